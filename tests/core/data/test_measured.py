"""Means, DE lists and DE tests together are what each of them is alone."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dygenept.data import measured
from dygenept.data.de.lists import DE_LISTS, de_genes
from dygenept.data.de.tests import de_tests
from dygenept.data.measured import measure
from dygenept.data.pseudobulk import condition_counts, pseudobulk
from dygenept.testing import ToyShape, toy_data


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("de_list", DE_LISTS)
def test_together_they_are_as_alone(de_list: str, beside: bool) -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    means = pseudobulk(data)
    lists, tests = de_genes(data, means, de_list), de_tests(data, means)
    found = measure(data, de_list, with_tests=True, beside=beside)
    assert found.tests is not None
    np.testing.assert_array_equal(found.means.means, means.means)
    np.testing.assert_array_equal(found.means.control_means, means.control_means)
    np.testing.assert_array_equal(found.de.indices, lists.indices)
    np.testing.assert_array_equal(found.tests.is_significant, tests.is_significant)
    np.testing.assert_array_equal(found.tests.scores_vs_rest, tests.scores_vs_rest)
    untested = measure(data, de_list)
    assert untested.tests is None
    np.testing.assert_array_equal(untested.de.indices, lists.indices)
    np.testing.assert_array_equal(condition_counts(data), means.n_cells)


@pytest.mark.parametrize(("beside", "n_threads"), [(True, 1), (False, 2)])
def test_tests_are_over_before_sums_begin_where_memory_or_threads_are_short(
    monkeypatch: pytest.MonkeyPatch, beside: bool, n_threads: int
) -> None:
    data, steps = toy_data(), []
    tested, summed = measured.significant_genes, measured.pseudobulk

    def test(*arguments: object) -> object:
        found = tested(*arguments)  # type: ignore[arg-type]
        steps.append("tests")
        return found

    def means(*arguments: object) -> object:
        steps.append("means")
        return summed(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(measured, "significant_genes", test)
    monkeypatch.setattr(measured, "pseudobulk", means)
    monkeypatch.setattr(measured, "n_threads", lambda: n_threads)
    measure(data, DE_LISTS[0], with_tests=True, beside=beside)
    assert steps == ["tests", "means"]


def test_sums_are_taken_while_tests_run(monkeypatch: pytest.MonkeyPatch) -> None:
    data, are_summing = toy_data(), threading.Event()
    tested, summed = measured.significant_genes, measured.pseudobulk

    def test(*arguments: object) -> object:
        assert are_summing.wait(20.0)
        return tested(*arguments)  # type: ignore[arg-type]

    def means(*arguments: object) -> object:
        are_summing.set()
        return summed(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(measured, "significant_genes", test)
    monkeypatch.setattr(measured, "pseudobulk", means)
    monkeypatch.setattr(measured, "n_threads", lambda: 2)
    assert measure(data, DE_LISTS[0], with_tests=True, beside=True).tests is not None
