"""Rank sums of several conditions at once against the same of one condition after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from dygenept.data.de import merged_ranks, rank_sum
from dygenept.data.de.merged_ranks import merged_statistics
from dygenept.testing import ToyShape, toy_data
from dygenept.types import PerturbationData


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    """Toy cells, coarse so that values tie, with a gene that no control cell expresses."""
    toy = toy_data(ToyShape())
    cells = np.round(4 * toy.expression.toarray()) / 4
    cells[toy.condition_codes < 0, 5] = 0.0
    cells[:, 6] = 0.0
    return replace(toy, expression=sparse.csr_matrix(cells.astype(np.float32)))


@pytest.mark.parametrize("cached", [1, 1 << 16])
def test_merged_statistics_are_those_of_each_condition_bit_for_bit(
    data: PerturbationData, monkeypatch: pytest.MonkeyPatch, cached: int
) -> None:
    monkeypatch.setattr(merged_ranks, "CACHED", cached)
    control = rank_sum.sorted_control(data.expression[np.flatnonzero(data.condition_codes < 0)])
    rows = np.flatnonzero((data.condition_codes >= 0) & (data.condition_codes < 9))
    groups = data.condition_codes[rows]
    statistic, variance = merged_statistics(data.expression[rows], groups, control)
    for group in range(9):
        own = data.expression[rows[groups == group]]
        expected, its_variance, _ = rank_sum._statistic(own, control)
        np.testing.assert_array_equal(statistic[group], expected)
        np.testing.assert_array_equal(variance[group], its_variance)


def test_controls_without_any_value_are_below_all_stored_ones(data: PerturbationData) -> None:
    control = rank_sum.sorted_control(sparse.csr_matrix((4, data.n_genes), dtype=np.float32))
    rows = np.flatnonzero(data.condition_codes == 0)
    statistic, _ = merged_statistics(data.expression[rows], np.zeros(len(rows), np.int32), control)
    n_stored = np.bincount(data.expression[rows].indices, minlength=data.n_genes)
    np.testing.assert_array_equal(statistic[0], 4.0 * (n_stored + 0.5 * (len(rows) - n_stored)))


@pytest.mark.parametrize(("looked_up", "most"), [(0, 500), (1 << 30, 500), (1 << 30, 1)])
def test_p_values_are_the_same_however_they_are_found(
    data: PerturbationData, monkeypatch: pytest.MonkeyPatch, looked_up: int, most: int
) -> None:
    expected = rank_sum.rank_sum_p_values(data)
    monkeypatch.setattr(rank_sum, "LOOKED_UP", looked_up)
    monkeypatch.setattr(rank_sum, "MERGED", most)
    np.testing.assert_array_equal(rank_sum.rank_sum_p_values(data), expected)


def test_conditions_are_cut_into_sets_by_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_sum, "TESTED", 3)
    found = rank_sum._sets([0, 1, 2, 3, 4, 5, 6, 7], [4, 6, 1, 50, 1, 1, 1, 1], most=10)
    assert found == [[0, 1], [2], [3], [4, 5, 6], [7]]
