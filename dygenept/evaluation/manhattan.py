"""L1 distances of predictions to truths, as exact as ranks need them.

A rank asks which truths are farther than the own one, which nearly all distances tell in float32,
in half the time of float64. So distances are computed in float32 first, with a bound of their error
that no order of summation exceeds, and in float64 where the bound leaves the order open.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dygenept.machine.tables import empty_like, mean_row, row_parts, slices
from dygenept.machine.threads import in_threads
from dygenept.types import DoubleArray, FloatArray

# Rows of both sides that are compared together: they stay in the processor's cache.
BLOCK_ROWS, TILE_ROWS = 64, 32
# Values that are summed in float32; sums of these are added in float64.
WIDTH = 512
# Rounding of float32 and float64, and what is smaller than any float32.
UNIT, FINE, TINY = 2.0**-24, 2.0**-53, 2.0**-126
# Beyond this, sums of float32 are no longer finite; below so many values, float64 is as fast.
LARGEST, FEW_VALUES = 1e30, 1 << 22


class Manhattan:
    """L1 distances to some truths, rough ones first."""

    def __init__(self, truths: DoubleArray) -> None:
        """Measure the truths, (m, G), from their mean."""
        self._truths = truths
        self._centre = mean_row(truths)
        self._sizes = self._sizes_of(truths)

    def exact(self, predicted: DoubleArray) -> DoubleArray:
        """Return distances of each row to each truth, (n, G) to (n, m)."""
        return manhattan(predicted, self._truths)

    def rough(
        self, predicted: DoubleArray, columns: npt.NDArray[np.intp] | None = None
    ) -> DoubleArray:
        """Return distances of each row to each truth, (n, G) to (n, m), off by ``errors``.

        Args:
            predicted: (n, G).
            columns: Positions of the truths that are asked for; None for all.
        """
        if self.are_few(predicted):
            exact = self.exact(predicted)
            return exact if columns is None else exact[:, columns]
        n_truths = len(self._truths) if columns is None else len(columns)
        found = empty_like(self._truths, (len(predicted), n_truths), np.float64)
        for part in row_parts(*predicted.shape):
            self._fill_rough(self._narrow(predicted[part]), found[part], columns)
        return found

    def errors(self, predicted: DoubleArray) -> DoubleArray:
        """Return the most that a rough distance may be off by, (n, G) to (n, m)."""
        n_genes = predicted.shape[1]
        sizes = self._sizes_of(predicted)[:, None] + self._sizes
        # A sum of k terms is off by k units of its size, in any order: twice the maxima, which are
        # no larger than both sides together, and both sides as they are rounded to float32.
        share = (2.0 * WIDTH + 4.0) * UNIT + 8.0 * n_genes * FINE
        means = np.abs(self._centre).sum()
        errors: DoubleArray = 1.01 * share * sizes + 8.0 * n_genes * (FINE * means + TINY)
        return errors

    def settle(
        self,
        rough: DoubleArray,
        predicted: DoubleArray,
        own: npt.NDArray[np.intp],
        *,
        tie: float,
        exact: Callable[[int, npt.NDArray[np.intp], DoubleArray], DoubleArray],
    ) -> None:
        """Put exact distances where the order of a truth and the own one is open, and the largest.

        Args:
            rough: Rough distances, (n, m); changed in place.
            predicted: (n, G).
            own: Position of each row's own truth, (n,).
            tie: Distances that differ by this share of the row's largest are ties.
            exact: Takes a row, positions of truths and their exact distances, (k,), and returns
                what is to be put in their place.
        """
        if self.are_few(predicted):
            return
        for part in row_parts(*rough.shape):
            found, errors = rough[part], self.errors(predicted[part])
            np.maximum(found, 0.0, out=found)
            highest = (found + errors).max(axis=1, keepdims=True)
            of_own = np.take_along_axis(found, own[part, None], axis=1)
            own_errors = np.take_along_axis(errors, own[part, None], axis=1)
            is_open = np.abs(found - of_own) <= errors + own_errors + 2.0 * tie * highest
            is_open |= found + errors >= (found - errors).max(axis=1, keepdims=True)
            for place in range(len(found)):
                columns = np.flatnonzero(is_open[place])
                row = part.start + place
                distances = _exact(predicted[row : row + 1], self._truths[columns])[0]
                found[place, columns] = exact(row, columns, distances)

    def are_few(self, predicted: DoubleArray) -> bool:
        """Tell whether distances are exact at once: of few values, or of such as float32 lacks."""
        if predicted.size * len(self._truths) < FEW_VALUES:
            return True
        return bool(max(self._sizes_of(predicted).max(), self._sizes.max()) > LARGEST)

    def _sizes_of(self, rows: DoubleArray) -> DoubleArray:
        """Sum of the absolute differences from the centre, (n,)."""
        found = np.empty(len(rows))
        for part in row_parts(*rows.shape):
            differences = rows[part] - self._centre
            found[part] = np.abs(differences, out=differences).sum(axis=1)
        return found

    def _fill_rough(
        self, lefts: FloatArray, found: DoubleArray, chosen: npt.NDArray[np.intp] | None
    ) -> None:
        """Fill in the distances of some narrow rows, (n, m), tiles of truths in threads."""
        left_sums = lefts.sum(axis=1, dtype=np.float64)[:, None]

        def fill(columns: slice) -> None:
            # |a - b| = 2 max(a, b) - a - b, of which the maxima are summed run by run.
            tile = columns if chosen is None else chosen[columns]
            rights = self._narrow(self._truths[tile])
            maxima = np.empty_like(rights)
            sums = np.empty((len(lefts), len(rights), rights.shape[1] // WIDTH), dtype=np.float32)
            for values, of_row in zip(lefts, sums, strict=True):
                np.maximum(rights, values, out=maxima)
                # No matrix product: its library's own threads would wait for each other.
                np.einsum("ij->i", maxima.reshape(-1, WIDTH), out=of_row.reshape(-1))
            rights_sums = rights.sum(axis=1, dtype=np.float64)
            found[:, columns] = 2.0 * sums.sum(axis=2, dtype=np.float64) - left_sums - rights_sums

        in_threads(fill, slices(found.shape[1], TILE_ROWS))

    def _narrow(self, rows: DoubleArray) -> FloatArray:
        """Differences from the centre in float32, with zeros up to a multiple of the width."""
        n_genes = rows.shape[1]
        narrow = np.zeros((len(rows), -(-n_genes // WIDTH) * WIDTH), dtype=np.float32)
        narrow[:, :n_genes] = rows - self._centre
        return narrow


def manhattan(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """L1 distance of each row to each row of another array, in threads.

    Args:
        left: (n, G).
        right: (m, G).

    Returns:
        (n, m), float64.
    """

    def fill(rows: DoubleArray, found: DoubleArray) -> None:
        # A tile of both sides stays in the processor's cache.
        for columns in slices(len(right), BLOCK_ROWS):
            found[:, columns] = _exact(rows, right[columns])

    return _in_blocks(left, right, fill)


def _exact(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    from scipy.spatial.distance import cdist

    found: DoubleArray = cdist(left, right, "cityblock")
    return found


def _in_blocks(
    left: DoubleArray, right: DoubleArray, fill: Callable[[DoubleArray, DoubleArray], None]
) -> DoubleArray:
    """Let ``fill`` compute distances of some rows to all others, block by block in threads."""
    found = empty_like(right, (len(left), len(right)), np.float64)
    in_threads(lambda rows: fill(left[rows], found[rows]), slices(len(left), BLOCK_ROWS))
    return found
