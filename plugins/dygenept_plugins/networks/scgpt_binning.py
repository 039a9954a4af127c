"""Binned expression values as scGPT reads them, and the draw of genes for cells with too many.

Binning follows scGPT (Cui et al. 2024, doi:10.1038/s41592-024-02201-0): quantile edges of a cell's
non-zero values. Where several edges coincide, scGPT draws a bin between them at random; here the
rule is fixed, so that the same cell always gives the same tokens.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
KeyArray = npt.NDArray[np.uint32]
HashArray = npt.NDArray[np.uint64]


def bin_values(data: Float32Array, lengths: Int64Array, *, n_bins: int) -> Float32Array:
    """Bin each cell's values by the quantiles of that cell.

    Equal to ``np.digitize(x, np.quantile(x, np.linspace(0, 1, n_bins - 1)))`` on each cell's
    values: the bin is the number of edges at or below the value, so tied values share the highest
    bin that scGPT could draw for them.

    Args:
        data: Positive values, cell after cell, (n_values,).
        lengths: Values of each cell, (N,).
        n_bins: Bins; bin 0 is for zeros, which are not here.

    Returns:
        Bins, 1 to ``n_bins - 1``, (n_values,).
    """
    if not len(data):
        return np.zeros(0, dtype=np.float32)
    row = np.repeat(np.arange(len(lengths)), lengths)
    # The bits of non-negative floats sort as the floats do.
    order = order_within(row, data.view(np.uint32))
    ranked = data[order]
    starts = starts_of(lengths)[:-1][lengths > 0]
    edges, below, above = _quantiles(ranked, starts, lengths[lengths > 0], n_bins=n_bins)
    # Every edge lies between two neighbours in rank and counts from the first that reaches it.
    reached = np.where(ranked[below] >= edges, below, above)
    is_first = np.concatenate([[True], (np.diff(ranked) != 0) | (np.diff(row[order]) != 0)])
    group = np.cumsum(is_first) - 1
    per_group = np.bincount(group[reached].ravel(), minlength=int(group[-1]) + 1)
    passed = np.cumsum(per_group)[group]  # edges at or below, those of earlier cells included
    before = np.repeat(np.arange(len(starts)) * edges.shape[1], lengths[lengths > 0])
    binned = np.empty(len(data), dtype=np.float32)
    binned[order] = passed - before
    return binned


def _quantiles(
    ranked: Float32Array, starts: Int64Array, lengths: Int64Array, *, n_bins: int
) -> tuple[Float64Array, Int64Array, Int64Array]:
    """Edges of each cell, and the positions of the ranked values around them, (N, n_bins - 1).

    The arithmetic is numpy's own, step by step, so that an edge that falls on a value up to
    rounding falls on the same side of it.
    """
    place = np.linspace(0, 1, n_bins - 1)[None, :] * (lengths[:, None] - 1)
    floor = np.floor(place)
    share = place - floor
    below = starts[:, None] + floor.astype(np.int64)
    above = np.minimum(below + 1, (starts + lengths - 1)[:, None])
    low, high = ranked[below], ranked[above]
    gap = high - low
    # numpy's lerp: from whichever end is nearer.
    edges = np.where(share >= 0.5, high - gap * (1 - share), low + gap * share)
    return edges, below, above


def order_within(row: Int64Array, keys: KeyArray) -> Int64Array:
    """Order entries by row, then key; one 64-bit sort takes a seventh of a lexsort's time."""
    return np.argsort((row.astype(np.uint64) << np.uint64(32)) | keys, kind="stable")


def sampling_keys(
    data: Float32Array, gene: Int64Array, lengths: Int64Array, *, seed: int
) -> KeyArray:
    """Pseudo-random keys, at least 1, from (seed, the cell's values, gene), (n_values,)."""
    # Sums of bits are exact, so they are the same wherever a cell is in the pool.
    bits = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum(data.view(np.uint32), dtype=np.uint64, out=bits[1:])
    starts = starts_of(lengths)
    # Scrambled twice: once for the cell, then for the gene within it.
    cell = _mixed((bits[starts[1:]] - bits[starts[:-1]]) ^ np.uint64(seed % 2**63))
    keys = _mixed(np.repeat(cell, lengths) + gene.astype(np.uint64))
    priorities: KeyArray = np.maximum(keys >> np.uint64(32), np.uint64(1)).astype(np.uint32)
    return priorities


def _mixed(keys: HashArray) -> HashArray:
    """Scramble keys (splitmix64, Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195)."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def starts_of(lengths: Int64Array) -> Int64Array:
    """Return the position of each cell's first entry and, last, of the end, (N,) to (N + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
