"""Where the right perturbation ranks among all held-out ones of its cell type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from dygenept.machine.threads import n_threads
from dygenept.types import Condition, DoubleArray

ONE_CONDITION = "one held-out perturbation in its cell type"
# Distances that agree to this share of the right one's are ties; rounding must not rank.
TIE = 1e-9
BLOCK_ROWS = 64


def share_farther(
    conditions: Sequence[Condition], distances: Callable[[npt.NDArray[np.intp]], DoubleArray]
) -> tuple[DoubleArray, DoubleArray, dict[int, str]]:
    """Count candidates that are farther from a prediction than the right one is.

    The candidates of a condition are all held-out conditions of its cell type. A tie counts half,
    so that the order of rows decides nothing.

    Args:
        conditions: Held-out conditions, (n,).
        distances: Returns the distance of each prediction (row) to each truth (column) among some
            conditions, given by position.

    Returns:
        Candidates farther than the right one, ties counted half, (n,); candidates other than
        the right one, (n,); and why a condition has no rank, by position.
    """
    farther = np.full(len(conditions), np.nan)
    others = np.zeros(len(conditions))
    reasons: dict[int, str] = {}
    types = np.asarray([condition.cell_type for condition in conditions])
    for cell_type in sorted(set(types.tolist())):
        rows = np.flatnonzero(types == cell_type)
        if len(rows) == 1:
            reasons[int(rows[0])] = ONE_CONDITION
            continue
        found = distances(rows)  # (m, m): predictions by truths
        own = np.diagonal(found)[:, None]  # (m, 1)
        margin = TIE * np.abs(found).max(axis=1, keepdims=True)
        is_tied = np.abs(found - own) <= margin
        # The right candidate is always tied with itself, and must not count.
        farther[rows] = ((found > own) & ~is_tied).sum(axis=1) + 0.5 * (is_tied.sum(axis=1) - 1)
        others[rows] = len(rows) - 1
    return farther, others, reasons


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
