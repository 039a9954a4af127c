"""A cell in another batch: of the same rank among its controls, gene by gene."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from dygenept.data.de.rank_sum import sorted_control
from dygenept.evaluation.rank_moves import moved_by_rank
from dygenept.types import DoubleArray


def moved(
    cells: list[list[float]] | DoubleArray,
    own: list[list[float]] | DoubleArray,
    other: list[list[float]] | DoubleArray,
    seed: int = 0,
) -> DoubleArray:
    controls = [sorted_control(sparse.csr_matrix(np.float32(item))) for item in (own, other)]
    given = np.asarray(cells, dtype=np.float32).astype(np.float64)
    return moved_by_rank(given, controls[0], controls[1], np.random.default_rng(seed))


def test_control_cells_of_one_batch_become_those_of_the_other() -> None:
    rng = np.random.default_rng(0)
    own, other = (np.log1p(rng.poisson(rate, (40, 30))) for rate in (0.7, 2.0))
    found = moved(own, own, other)
    # But for how ties are drawn.
    assert abs(found.mean(axis=0) - other.mean(axis=0)).mean() < 0.06
    assert abs(own.mean(axis=0) - other.mean(axis=0)).mean() > 0.4
    assert set(np.unique(np.float32(found))) <= set(np.unique(np.float32(other)))
    assert abs((found == 0).mean() - (other == 0).mean()) < 0.02


def test_without_ties_a_rank_is_kept_exactly() -> None:
    rng = np.random.default_rng(1)
    own, other = (rng.gamma(2.0, 1.0, (25, 6)) + 0.1 for _ in range(2))
    found = moved(own, own, other)
    expected = np.empty_like(found)
    for gene in range(6):
        order = np.argsort(np.argsort(own[:, gene]))
        expected[:, gene] = np.sort(np.float32(other[:, gene]))[order]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        # Above all controls, whose highest are 3 and 5; below all of them, 1 and 2.
        (4.0, 6.0),
        (0.5, 1.5),
        # Not below zero.
        (0.0, 1.0),
    ],
)
def test_beyond_the_controls_a_value_keeps_its_distance(cell: float, expected: float) -> None:
    assert moved([[cell]], [[1.0], [2.0], [3.0]], [[2.0], [4.0], [5.0]]) == expected


def test_a_gene_that_no_control_expresses_stays_and_zeros_stay_zeros() -> None:
    silent = np.zeros((12, 2))
    cells = [[0.0, 1.5], [2.0, 0.0]]
    np.testing.assert_array_equal(moved(cells, silent, silent), cells)
    # A batch of more depth has fewer zeros, and as many cells lose theirs.
    half = np.array([[0.0], [1.0]] * 500)
    found = moved(np.zeros((400, 1)), half, np.array([[0.0], [1.0], [1.0], [1.0]] * 100))
    assert (found == 0).mean() == pytest.approx(0.5, abs=0.08)


def test_draws_of_ties_are_seeded() -> None:
    rng = np.random.default_rng(2)
    own, other = (np.log1p(rng.poisson(1.0, (20, 50))) for _ in range(2))
    np.testing.assert_array_equal(moved(own, own, other), moved(own, own, other))
    assert not np.array_equal(moved(own, own, other), moved(own, own, other, seed=1))
