from __future__ import annotations

import numpy as np
import pytest

from dygenept.data import sums as module
from dygenept.data.pseudobulk import half_means, positions_of, pseudobulk
from dygenept.data.sums import group_sums
from dygenept.errors import DataError
from dygenept.testing import ToyShape, toy_data
from dygenept.types import Condition, Perturbation


def test_means_equal_a_loop_over_conditions() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    dense = data.expression.toarray().astype(np.float64)
    means = pseudobulk(data)
    for row, _ in enumerate(data.conditions):
        cells = data.condition_codes == row
        np.testing.assert_allclose(means.means[row], dense[cells].mean(axis=0), rtol=1e-12)
        assert means.n_cells[row] == cells.sum()
    for row, _ in enumerate(data.cell_types):
        cells = (data.condition_codes < 0) & (data.cell_type_codes == row)
        np.testing.assert_allclose(means.control_means[row], dense[cells].mean(axis=0), rtol=1e-12)
    assert means.means.dtype == means.control_means.dtype == np.float64


def test_blocks_change_nothing_but_the_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = toy_data()
    whole = pseudobulk(data)
    monkeypatch.setattr(module, "BLOCK_CELLS", 7)
    monkeypatch.setattr(module, "BLOCK_VALUES", 100)
    np.testing.assert_allclose(pseudobulk(data).means, whole.means, rtol=1e-13)
    np.testing.assert_allclose(pseudobulk(data).control_means, whole.control_means, rtol=1e-13)


def test_sums_leave_out_cells_of_no_group_and_give_zeros_to_an_empty_one() -> None:
    data = toy_data()
    codes = np.full(data.n_cells, -1, dtype=np.int32)
    codes[:5] = 2
    sums = group_sums(data.expression, codes, n_groups=4)
    expected = data.expression[:5].toarray().astype(np.float64).sum(axis=0)
    np.testing.assert_allclose(sums[2], expected, rtol=1e-12)
    assert not sums[[0, 1, 3]].any()


def test_squares_are_summed_and_leave_the_expression_alone() -> None:
    data = toy_data()
    before = data.expression.copy()
    codes = np.zeros(data.n_cells, dtype=np.int32)
    squares = group_sums(data.expression, codes, n_groups=1, power=2)
    np.testing.assert_allclose(squares[0], (before.toarray() ** 2).sum(axis=0), rtol=1e-5)
    assert (before != data.expression).nnz == 0


def test_halves_are_disjoint_and_together_hold_all_cells() -> None:
    data = toy_data(ToyShape(n_cells=7))
    conditions = data.conditions[3:6]
    halves = half_means(data, conditions, np.random.default_rng(0))
    assert halves.shape == (2, 3, data.n_genes)
    # Three and four of seven cells.
    pooled = (3 * halves[0] + 4 * halves[1]) / 7
    np.testing.assert_allclose(pooled, pseudobulk(data).means[3:6], rtol=1e-12)
    assert (halves[0] != halves[1]).any()


def test_halves_are_random_and_repeatable() -> None:
    data = toy_data()
    first, again, other = (
        half_means(data, data.conditions, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_first_half_of_one_cell_is_empty() -> None:
    data = toy_data()
    codes = data.condition_codes.copy()
    codes[np.flatnonzero(codes == 1)[1:]] = -1
    from dataclasses import replace

    lone = replace(data, condition_codes=codes)
    halves = half_means(lone, lone.conditions[:2], np.random.default_rng(0))
    assert np.isnan(halves[0, 1]).all()
    assert np.isfinite(halves[:, 0]).all()
    cell = int(np.flatnonzero(codes == 1)[0])
    np.testing.assert_allclose(halves[1, 1], data.expression[[cell]].toarray()[0], rtol=1e-6)


def test_halves_of_a_foreign_condition_are_refused() -> None:
    stranger = Condition(Perturbation("XYZ", ("XYZ",)), "toy_a")
    with pytest.raises(DataError, match="no cells of 'XYZ'"):
        half_means(toy_data(), [stranger], np.random.default_rng(0))


def test_positions_are_those_of_the_data_set_that_is_asked_about() -> None:
    first = tuple(Condition(Perturbation(name, (name,)), "cells") for name in "AB")
    assert positions_of(first) == {first[0]: 0, first[1]: 1}
    turned = first[::-1]
    assert positions_of(turned) == {first[1]: 0, first[0]: 1}
    assert positions_of(first) == {first[0]: 0, first[1]: 1}
