"""DE tests of every gene against scipy, and samples of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.spatial.distance import cdist

from dygenept.data.de.rank_sum import rank_sum_p_values, significant
from dygenept.data.de.tests import de_tests, scores_vs_rest
from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.testing import ToyShape, toy_data
from dygenept.types import DoubleArray, PerturbationData


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    """Toy cells of two cell types, coarse so that values tie, with one constant gene."""
    toy = toy_data(ToyShape(n_cell_types=2))
    cells = toy.expression.toarray()
    cells = np.round(4 * cells) / 4
    cells[:, 3] = 0.0
    cells[:, 4] = 2.0
    return replace(
        toy,
        expression=sparse.csr_matrix(cells.astype(np.float32)),
    )


def cells_of(data: PerturbationData, row: int) -> tuple[DoubleArray, DoubleArray]:
    """Cells of a condition, and the control cells of its cell type."""
    dense = data.expression.toarray().astype(np.float64)
    of_type = data.cell_types.index(data.conditions[row].cell_type)
    is_control = (data.condition_codes < 0) & (data.cell_type_codes == of_type)
    return dense[data.condition_codes == row], dense[is_control]


def test_rank_sum_tests_agree_with_scipy_ties_and_zeros_included(data: PerturbationData) -> None:
    found = rank_sum_p_values(data)
    for row in range(0, len(data.conditions), 3):
        own, control = cells_of(data, row)
        expected = stats.mannwhitneyu(own, control, method="asymptotic", axis=0).pvalue
        varies = np.ptp(np.concatenate((own, control)), axis=0) > 0
        np.testing.assert_allclose(found[row, varies], expected[varies], rtol=1e-9, atol=1e-300)
        assert (found[row, ~varies] == 1.0).all()
        assert not varies[3]
        assert not varies[4]


def test_a_cell_type_without_controls_has_no_significant_gene(data: PerturbationData) -> None:
    first = data.cell_types[0]
    kept = (data.condition_codes >= 0) | (data.cell_type_codes != 0)
    bare = replace(
        data,
        expression=data.expression[np.flatnonzero(kept)],
        cell_ids=data.cell_ids[kept],
        condition_codes=data.condition_codes[kept],
        cell_type_codes=data.cell_type_codes[kept],
    )
    p_values = rank_sum_p_values(bare)
    is_first = np.array([condition.cell_type == first for condition in data.conditions])
    assert (p_values[is_first] == 1.0).all()
    assert (p_values[~is_first] < 0.05).any()
    np.testing.assert_array_equal(p_values[~is_first], rank_sum_p_values(data)[~is_first])


def test_significance_is_benjamini_hochberg_within_each_condition() -> None:
    rng = np.random.default_rng(0)
    p_values = rng.random((40, 60)) ** rng.integers(1, 6, (40, 1))
    expected = stats.false_discovery_control(p_values, axis=1) < 0.05
    np.testing.assert_array_equal(significant(p_values, 0.05), expected)
    assert 0 < expected.sum() < expected.size


def test_a_large_p_below_its_line_carries_smaller_ones_that_are_above_theirs() -> None:
    # Lines are 0.0125, 0.025, 0.0375, 0.05: 0.02 misses the first, 0.0374 meets the third.
    p_values = np.array([[0.9, 0.0374, 0.02, 0.03], [0.9, 0.6, 0.02, 0.03]])
    assert significant(p_values, 0.05).tolist() == [[False, True, True, True], [False] * 4]
    # The rate is exclusive.
    assert not significant(np.array([[0.025, 1.0]]), 0.05).any()


def test_scores_against_the_rest_agree_with_a_loop_and_leave_controls_out(
    data: PerturbationData,
) -> None:
    means = pseudobulk(data)
    found = scores_vs_rest(data, means)
    dense = data.expression.toarray().astype(np.float64)
    for row in range(0, len(data.conditions), 3):
        own, _ = cells_of(data, row)
        of_type = data.cell_types.index(data.conditions[row].cell_type)
        is_rest = (data.condition_codes >= 0) & (data.condition_codes != row)
        rest = dense[is_rest & (data.cell_type_codes == of_type)]
        variance = (own.var(axis=0, ddof=1) + rest.var(axis=0, ddof=1)) / len(own)
        difference = own.mean(axis=0) - rest.mean(axis=0)
        varies = variance > 0
        np.testing.assert_allclose(
            found[row, varies], difference[varies] / np.sqrt(variance[varies]), rtol=1e-5
        )
        assert (found[row, ~varies] == 0.0).all()


def test_a_condition_with_one_cell_or_alone_in_its_type_has_no_score() -> None:
    toy = toy_data(ToyShape(n_singles=2, n_doubles=0))
    codes = toy.condition_codes.copy()
    mine = np.flatnonzero(codes == 0)
    codes[mine[1:]] = 1
    lonely = replace(
        toy,
        condition_codes=codes,
    )
    scores = de_tests(lonely).scores_vs_rest
    # One cell has no variance, and its neighbour has one cell as the rest.
    assert np.isnan(scores).all()


def test_samples_are_seeded_distinct_and_of_the_right_cells(data: PerturbationData) -> None:
    means = pseudobulk(data)
    first, again, other = (cell_samples(data, means, seed=seed, max_cells=5) for seed in (0, 0, 1))
    differs = []
    for row in range(len(data.conditions)):
        own, control = cells_of(data, row)
        for sample, cells in ((first.real(row), own), (first.control(row), control)):
            assert len(sample) == min(5, len(cells))
            gaps = cdist(sample, cells)
            assert (gaps.min(axis=1) == 0).all()
        np.testing.assert_array_equal(first.real(row), again.real(row))
        np.testing.assert_array_equal(first.mean(row), means.means[row])
        differs.append(not np.array_equal(first.real(row), other.real(row)))
    assert any(differs)
    # Conditions of one cell type share their control cells.
    (one, other_row, *_) = (
        row for row, item in enumerate(data.conditions) if item.cell_type == data.cell_types[0]
    )
    np.testing.assert_array_equal(first.control(one), first.control(other_row))


def test_few_cells_are_all_taken_and_a_part_keeps_its_rows(data: PerturbationData) -> None:
    samples = cell_samples(data, pseudobulk(data), seed=0)
    own, control = cells_of(data, 2)
    np.testing.assert_array_equal(samples.real(2), own)
    part = samples.take([4, 2])
    np.testing.assert_array_equal(part.real(1), own)
    distances = part.distances(1)
    np.testing.assert_allclose(np.sqrt(distances.squared), cdist(control, own), atol=1e-5)
    assert distances.within_real == pytest.approx(cdist(own, own).mean(), abs=1e-6)
    direction = np.random.default_rng(0).normal(size=data.n_genes)
    of_control, of_real = part.project(1, direction)
    np.testing.assert_allclose(of_control, control @ direction)
    np.testing.assert_allclose(of_real, own @ direction)
