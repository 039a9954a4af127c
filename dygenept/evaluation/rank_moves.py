"""Cells as they would be in another batch: gene by gene, of the same rank among its controls.

A mean can be moved by a difference. A cell cannot without its zeros, which are most of it: where
batches differ by a factor of counts, zeros stay zeros. Ranks keep the whole distribution: control
cells of one batch that are moved so are distributed, gene by gene, as those of the other.
"""

from __future__ import annotations

import numpy as np

from dygenept.data.de.merged_ranks import SortedControl
from dygenept.types import DoubleArray

VALUE_BITS = np.uint64(0xFFFFFFFF)


def moved_by_rank(
    cells: DoubleArray, own: SortedControl, other: SortedControl, rng: np.random.Generator
) -> DoubleArray:
    """Give each value the rank that it has among its batch's controls among those of another one.

    Values that tie, such as zeros, are divided at random over the ranks that they share. Beyond all
    control cells a value keeps its distance from the outermost.

    Args:
        cells: Values of float32, (n, G), none below 0.
        own: Control cells of the batch that they are in.
        other: Control cells of the batch that they are brought to.
        rng: Divides ties.

    Returns:
        (n, G), none below 0.
    """
    lower, upper = _ranks(cells, own)
    drawn = rng.random(cells.shape)
    # Between two control cells it is drawn which of both ranks it gets.
    ranks = np.where(upper > lower, lower + (upper - lower) * drawn, lower - 0.5 + drawn)
    last = other.n_cells - 1
    places = np.clip(np.floor(ranks * (other.n_cells / own.n_cells)), 0, last).astype(np.intp)
    moved = _at(places, other)
    for is_beyond, rank in ((lower == own.n_cells, -1), (upper == 0, 0)):
        if is_beyond.any():
            ends = [_at(np.full((1, cells.shape[1]), rank % of.n_cells), of) for of in (other, own)]
            moved = np.where(is_beyond, np.maximum(cells + (ends[0] - ends[1]), 0.0), moved)
    return moved


def _ranks(cells: DoubleArray, control: SortedControl) -> tuple[DoubleArray, DoubleArray]:
    """Count the control cells below each value, and those not above it, (n, G) each."""
    zeros = control.n_cells - control.n_stored
    lower, upper = np.zeros(cells.shape), np.broadcast_to(zeros, cells.shape).copy()
    rows, genes = np.nonzero(cells)
    if len(rows):
        bits = cells[rows, genes].astype(np.float32).view(np.uint32)
        keys = (genes.astype(np.uint64) << np.uint64(32)) | bits
        first = control.below[control.starts[genes]]
        for found, side in ((lower, "left"), (upper, "right")):
            place = np.searchsorted(control.keys, keys, side=side)  # type: ignore[call-overload]
            found[rows, genes] = zeros[genes] + (control.below[place] - first)
    return lower, upper


def _at(places: np.ndarray[tuple[int, int], np.dtype[np.intp]], of: SortedControl) -> DoubleArray:
    """Return the value of the control cell of each rank, from 0, of each gene, (n, G)."""
    found = np.zeros(places.shape)
    zeros = (of.n_cells - of.n_stored).astype(np.intp)
    rows, genes = np.nonzero(places >= zeros)
    if len(rows):
        wanted = of.below[of.starts[genes]] + (places[rows, genes] - zeros[genes])
        keys = of.keys[np.searchsorted(of.below, wanted, side="right") - 1]
        found[rows, genes] = (keys & VALUE_BITS).astype(np.uint32).view(np.float32)
    return found
