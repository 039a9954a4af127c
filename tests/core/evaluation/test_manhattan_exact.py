"""L1 distances, their bounds and what is left open, against plain renderings."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation import manhattan as module
from dygenept.evaluation.manhattan import Manhattan, manhattan
from dygenept.machine import tables
from dygenept.types import DoubleArray


def whole_numbers(n_rows: int, n_genes: int, seed: int) -> DoubleArray:
    """Values whose sums float32 has exactly, however they are taken."""
    return np.random.default_rng(seed).integers(0, 64, (n_rows, n_genes)).astype(np.float64)


def plain(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    return np.array([[np.abs(one - other).sum() for other in right] for one in left])


@pytest.fixture
def always_rough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW_VALUES", 0)


@pytest.mark.parametrize(("n_left", "n_right"), [(1, 1), (64, 63), (65, 64), (130, 129)])
def test_exact_distances_are_those_of_plain_loops(n_left: int, n_right: int) -> None:
    left, right = whole_numbers(n_left, 3, 0), whole_numbers(n_right, 3, 1)
    np.testing.assert_array_equal(manhattan(left, right), plain(left, right))
    np.testing.assert_array_equal(Manhattan(right).exact(left), plain(left, right))


@pytest.mark.usefixtures("always_rough")
@pytest.mark.parametrize("n_genes", [1, 511, 512, 513, 1030])
@pytest.mark.parametrize("n_right", [1, 31, 32, 33, 70])
def test_rough_distances_of_whole_numbers_are_exact(n_genes: int, n_right: int) -> None:
    left, right = whole_numbers(67, n_genes, 2), whole_numbers(n_right, n_genes, 3)
    right[-1] = 7.0
    # So that the centre is a whole number too.
    distances = Manhattan(right)
    distances._centre = np.round(distances._centre)
    np.testing.assert_array_equal(distances.rough(left), plain(left, right))


@pytest.mark.usefixtures("always_rough")
def test_sums_of_sums_are_taken_in_float64() -> None:
    # Of 512 values below 2^14 float32 has the sum, of 4,001 it has not.
    rng = np.random.default_rng(9)
    left, right = rng.integers(2**13, 2**14, (2, 3, 4001)).astype(np.float64)
    left[:, 0] += left.sum(axis=1) % 2 == 0
    distances = Manhattan(right)
    distances._centre = np.zeros(4001)
    assert (left.sum(axis=1) > 2**24).all()
    np.testing.assert_array_equal(distances.rough(left), plain(left, right))


@pytest.mark.usefixtures("always_rough")
def test_rough_distances_are_computed_in_float32() -> None:
    rng = np.random.default_rng(4)
    left, right = rng.normal(size=(3, 600)), rng.normal(size=(40, 600))
    distances = Manhattan(right)
    gap = np.abs(distances.rough(left) - plain(left, right))
    assert 0.0 < gap.max() < 1e-4
    assert (gap <= distances.errors(left)).all()


@pytest.mark.parametrize("part_values", [1 << 21, 3])
@pytest.mark.parametrize("n_genes", [2, 700])
def test_the_bound_is_that_of_float32_sums(
    n_genes: int, part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    rng = np.random.default_rng(5)
    left, right = rng.normal(2.0, 1.0, (3, n_genes)), rng.normal(2.0, 1.0, (4, n_genes))
    centre = right.mean(axis=0)
    share = (2 * 512 + 4) * 2.0**-24 + 8 * n_genes * 2.0**-53
    expected = [
        [
            1.01 * share * (np.abs(one - centre).sum() + np.abs(other - centre).sum())
            + 8 * n_genes * (2.0**-53 * np.abs(centre).sum() + 2.0**-126)
            for other in right
        ]
        for one in left
    ]
    np.testing.assert_allclose(Manhattan(right).errors(left), expected, rtol=1e-12)
    # Where all are alike, only the rounding of the mean and what float32 cannot hold is left.
    same = Manhattan(np.full((2, n_genes), 4.0)).errors(np.full((1, n_genes), 4.0))
    np.testing.assert_allclose(same, 8 * n_genes * (2.0**-53 * 4 * n_genes + 2.0**-126), rtol=1e-12)
    none = Manhattan(np.zeros((2, n_genes))).errors(np.zeros((1, n_genes)))
    np.testing.assert_allclose(none, 8 * n_genes * 2.0**-126, rtol=1e-12)


def test_distances_are_exact_at_once_below_so_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    left, right = rng.normal(size=(2, 5)), rng.normal(size=(3, 5))
    distances = Manhattan(right)
    for few, is_exact in ((30, False), (31, True)):
        monkeypatch.setattr(module, "FEW_VALUES", few)
        assert distances.are_few(left) is is_exact
        assert np.array_equal(distances.rough(left), manhattan(left, right)) is is_exact


@pytest.mark.parametrize("few", [0, 1 << 22])
@pytest.mark.parametrize("n_chosen", [1, 32, 33, 69])
def test_rough_distances_to_some_truths_are_those_among_all(
    n_chosen: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_VALUES", few)
    rng = np.random.default_rng(7)
    left, right = rng.normal(size=(3, 600)), rng.normal(size=(70, 600))
    distances = Manhattan(right)
    columns = rng.permutation(70)[:n_chosen]
    found = distances.rough(left, columns)
    np.testing.assert_array_equal(found, distances.rough(left)[:, columns])


@pytest.mark.usefixtures("always_rough")
@pytest.mark.parametrize("side", ["predicted", "truths"])
def test_what_is_larger_than_float32_can_sum_is_exact_at_once(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = np.array([[1.0, 2.0]]), np.array([[0.0, 0.0], [2.0, 4.0], [1.0, 2.0]])
    (left if side == "predicted" else right)[0] *= 10.0
    if side == "truths":
        right[0] = [-16.0, 12.0]
    distances = Manhattan(right)
    largest = max(
        float(np.abs(rows - right.mean(axis=0)).sum(axis=1).max()) for rows in (left, right)
    )
    for bound, is_exact in ((largest * 1.0001, False), (largest * 0.9999, True)):
        monkeypatch.setattr(module, "LARGEST", bound)
        assert distances.are_few(left) is is_exact
    monkeypatch.setattr(module, "LARGEST", distances._sizes_of(left if side == "predicted" else
                                                               right).max())  # fmt: skip
    assert distances.are_few(left) is False


@pytest.mark.usefixtures("always_rough")
@pytest.mark.parametrize("part_values", [1 << 21, 5])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_open_is_what_a_plain_rendering_leaves_open(
    seed: int, part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    rng = np.random.default_rng(seed)
    n, m, tie = 5, 7, 1 / 64
    predicted, truths = whole_numbers(n, 3, seed), whole_numbers(m, 3, seed + 50)
    own = rng.integers(0, m, n)
    # Whole and half numbers, of which many lie just at a bound.
    rough = rng.integers(-1, 33, (n, m)).astype(np.float64)
    errors = rng.integers(0, 5, (n, m)) / 2
    distances = Manhattan(truths)
    monkeypatch.setattr(
        Manhattan,
        "errors",
        lambda self, rows: errors[[np.flatnonzero((predicted == row).all(axis=1))[0]
                                   for row in rows]],
    )  # fmt: skip
    expected, asked_for = np.maximum(rough, 0.0), {}
    for row in range(n):
        of = expected[row].copy()
        highest = max(of + errors[row])
        surely = max(of - errors[row])
        open_ones = [
            column
            for column in range(m)
            if abs(of[column] - of[own[row]])
            <= errors[row, column] + errors[row, own[row]] + 2 * tie * highest
            or of[column] + errors[row, column] >= surely
        ]
        asked_for[row] = open_ones
        for column in open_ones:
            expected[row, column] = 1000.0 + np.abs(predicted[row] - truths[column]).sum()
    seen: dict[int, list[int]] = {}

    def exact(row: int, columns: np.ndarray, whole: DoubleArray) -> DoubleArray:
        seen[row] = columns.tolist()
        np.testing.assert_array_equal(whole, plain(predicted[[row]], truths[columns])[0])
        return whole + 1000.0

    assert len(np.unique(predicted, axis=0)) == n
    distances.settle(rough, predicted, own, tie=tie, exact=exact)
    assert seen == asked_for
    np.testing.assert_array_equal(rough, expected)
    assert any(len(columns) < m for columns in seen.values())
