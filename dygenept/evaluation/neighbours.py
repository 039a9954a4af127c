"""Where the right perturbation ranks among all of its cell type that any fold holds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.machine.threads import n_threads
from dygenept.types import Candidates, DoubleArray, MetricInputs

ONE_CONDITION = "one held-out perturbation in its cell type"
# Distances that agree to this share of the right one's are ties; rounding must not rank.
TIE = 1e-9
BLOCK_ROWS = 64


@dataclass(frozen=True, slots=True)
class Rivals:
    """The predictions of one cell type, and the candidates among which each is to find its own.

    Attributes:
        rows: Positions of the predictions, (n,).
        truth: True means of the candidates, (m, G).
        own: Position of each prediction's own candidate, (n,).
    """

    rows: npt.NDArray[np.intp]
    truth: DoubleArray
    own: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the own candidate of each prediction comes.

    Attributes:
        farther: Candidates that are farther than the own one, ties counted half, (n,); NaN where
            there is no other.
        others: Candidates other than the own one, (n,).
        reasons: Why a prediction has no rank, by position.
    """

    farther: DoubleArray
    others: DoubleArray
    reasons: Mapping[int, str]


def places(inputs: MetricInputs, distances: Callable[[Rivals], DoubleArray]) -> Places:
    """Count candidates that are farther from a prediction than its own one is.

    The candidates of a condition are all conditions of its cell type that any fold holds out. A
    tie counts half, so that the order of rows decides nothing.

    Args:
        inputs: Predictions and candidates.
        distances: Returns the distance of each prediction (row) to each candidate (column) of one
            cell type, (n, m).
    """
    candidates = inputs.candidates or Candidates(inputs.conditions, inputs.truth)
    farther = np.full(len(inputs.conditions), np.nan)
    others = np.zeros(len(inputs.conditions))
    reasons: dict[int, str] = {}
    types = np.asarray([condition.cell_type for condition in inputs.conditions])
    candidate_types = np.asarray([condition.cell_type for condition in candidates.conditions])
    for cell_type in sorted(set(types.tolist())):
        rows = np.flatnonzero(types == cell_type)
        columns = np.flatnonzero(candidate_types == cell_type)
        if len(columns) == 1:
            reasons.update(dict.fromkeys(rows.tolist(), ONE_CONDITION))
            continue
        place = {candidates.conditions[column]: at for at, column in enumerate(columns.tolist())}
        own = np.array([place[inputs.conditions[row]] for row in rows.tolist()], dtype=np.intp)
        is_all = len(columns) == len(candidates.conditions)
        truth = candidates.truth if is_all else candidates.truth[columns]
        found = distances(Rivals(rows, truth, own))  # (n, m): predictions by candidates
        of_own = np.take_along_axis(found, own[:, None], axis=1)  # (n, 1)
        margin = TIE * np.abs(found).max(axis=1, keepdims=True)
        is_tied = np.abs(found - of_own) <= margin
        # The own candidate is always tied with itself, and must not count.
        farther[rows] = ((found > of_own) & ~is_tied).sum(axis=1) + 0.5 * (is_tied.sum(axis=1) - 1)
        others[rows] = len(columns) - 1
    return Places(farther, others, reasons)


def euclidean(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Euclidean distance of each row to each row of another array, by one matrix product.

    Args:
        left: (n, G).
        right: (m, G).

    Returns:
        (n, m), float64.
    """
    # Around a common centre the product loses fewer digits to cancellation.
    centre = right.mean(axis=0)
    left, right = left - centre, right - centre
    distances: DoubleArray = np.sqrt(squared_distances(left, right))
    return distances


def squared_distances(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Squared Euclidean distance of each row to each row, (n, G) and (m, G) to (n, m)."""
    squares = np.einsum("ng,ng->n", left, left)[:, None] + np.einsum("mg,mg->m", right, right)
    squares -= 2.0 * (left @ right.T)  # (n, m)
    # Cancellation may leave a tiny negative square where two rows are equal.
    distances: DoubleArray = np.maximum(squares, 0.0)
    return distances


def manhattan(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """L1 distance of each row to each row of another array, in threads.

    Args:
        left: (n, G).
        right: (m, G).

    Returns:
        (n, m), float64.
    """
    from scipy.spatial.distance import cdist

    if len(left) > 1 and (left == left[0]).all():
        # A model that predicts the same for all needs one row.
        return np.repeat(manhattan(left[:1], right), len(left), axis=0)
    found = np.empty((len(left), len(right)))

    def fill(first: int) -> None:
        rows = slice(first, first + BLOCK_ROWS)
        # A tile of both sides stays in the processor's cache.
        for other in range(0, len(right), BLOCK_ROWS):
            columns = slice(other, other + BLOCK_ROWS)
            found[rows, columns] = cdist(left[rows], right[columns], "cityblock")

    with ThreadPoolExecutor(n_threads()) as pool:
        list(pool.map(fill, range(0, len(left), BLOCK_ROWS)))
    return found
