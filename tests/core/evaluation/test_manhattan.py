"""L1 distances in float32 that rank as exact ones do."""

import numpy as np
import numpy.typing as npt
import pytest

from dygenept.evaluation.manhattan import FEW_VALUES, Manhattan, manhattan
from dygenept.types import DoubleArray

TIE = 1e-9
Columns = npt.NDArray[np.intp]


def farther(found: DoubleArray, own: Columns) -> list[float]:
    of_own = np.take_along_axis(found, own[:, None], axis=1)
    is_tied = np.abs(found - of_own) <= TIE * np.abs(found).max(axis=1, keepdims=True)
    counts: list[float] = (
        ((found > of_own) & ~is_tied).sum(axis=1) + 0.5 * is_tied.sum(axis=1)
    ).tolist()
    return counts


def table(n_rows: int, n_genes: int, *, seed: int, noise: float) -> DoubleArray:
    rng = np.random.default_rng(seed)
    level = np.random.default_rng(0).exponential(0.5, n_genes)
    rows: DoubleArray = level + noise * rng.normal(size=(n_rows, n_genes))
    return rows


def settled(
    distances: Manhattan, predicted: DoubleArray, own: Columns
) -> tuple[DoubleArray, dict[int, list[int]]]:
    asked: dict[int, list[int]] = {}

    def exact(row: int, columns: Columns, whole: DoubleArray) -> DoubleArray:
        asked[row] = columns.tolist()
        return whole

    found = distances.rough(predicted)
    distances.settle(found, predicted, own, tie=TIE, exact=exact)
    return found, asked


@pytest.mark.parametrize(("noise", "scale"), [(0.05, 1.0), (1e-7, 1.0), (0.05, 1e6), (0.05, 1e-6)])
def test_ranks_are_those_of_exact_distances(noise: float, scale: float) -> None:
    truths = scale * table(90, 1100, seed=1, noise=noise)
    predicted = scale * table(70, 1100, seed=2, noise=noise)
    # Ties, a tie that rounding broke, a near tie, and a truth that is predicted as it is.
    truths[5] = truths[3]
    truths[6] = truths[3] * (1.0 + 1e-15)
    truths[7] = truths[3]
    truths[7, 0] += 1e-6 * scale
    predicted[3] = truths[3]
    own = np.arange(70)
    assert predicted.size * len(truths) > FEW_VALUES
    exact = manhattan(predicted, truths)
    found, asked = settled(Manhattan(truths), predicted, own)
    assert farther(found, own) == farther(exact, own)
    assert {3, 5, 6} <= set(asked[3])
    for row, columns in asked.items():
        np.testing.assert_array_equal(found[row, columns], exact[row, columns])
        assert exact[row].argmax() in columns


def test_few_distances_are_open() -> None:
    truths, predicted = (table(rows, 1100, seed=rows, noise=0.05) for rows in (90, 70))
    _, asked = settled(Manhattan(truths), predicted, np.arange(70))
    assert sum(map(len, asked.values())) < 0.1 * 70 * 90


def test_rough_distances_are_within_their_bound() -> None:
    for scale in (1e-6, 1.0, 1e9):
        truths = scale * table(90, 1100, seed=1, noise=0.05)
        predicted = scale * table(70, 1100, seed=2, noise=0.05)
        distances = Manhattan(truths)
        gap = np.abs(distances.rough(predicted) - manhattan(predicted, truths))
        assert (gap <= distances.errors(predicted)).all()
        assert 0.0 < gap.max()
        assert distances.errors(predicted).max() < 1e-3 * manhattan(predicted, truths).max()


def test_what_stands_for_exact_distances_is_taken() -> None:
    truths, predicted = (table(rows, 1100, seed=rows, noise=0.05) for rows in (90, 70))
    distances = Manhattan(truths)
    found = distances.rough(predicted)
    distances.settle(
        found, predicted, np.arange(70), tie=TIE, exact=lambda row, columns, whole: 0.0 * whole
    )
    assert (found[np.arange(70), np.arange(70)] == 0.0).all()


def test_values_beyond_float32_and_few_values_are_exact() -> None:
    def refuse(row: int, columns: Columns, whole: DoubleArray) -> DoubleArray:
        raise AssertionError("nothing is open")

    for n_genes, scale in ((1100, 1e60), (5, 1.0)):
        truths = scale * table(90, n_genes, seed=1, noise=0.05)
        predicted = scale * table(70, n_genes, seed=2, noise=0.05)
        distances = Manhattan(truths)
        found = distances.rough(predicted)
        np.testing.assert_array_equal(found, manhattan(predicted, truths))
        distances.settle(found, predicted, np.arange(70), tie=TIE, exact=refuse)
