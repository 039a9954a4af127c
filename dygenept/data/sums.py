"""Sums of groups of cells, over blocks of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

# A block's values are copied as float64 for the product: 16,384 cells of 1,500 genes take 200 MB.
# Blocks are also cut by stored values, so that dense-ish data takes no more memory.
from dygenept.data.memory import BLOCK_CELLS, BLOCK_VALUES
from dygenept.machine.tables import give_back_pages, zeros
from dygenept.types import CellBatches, DoubleArray, IntArray
from dygenept.types.cells import CellMatrix

# Stored values of some groups that stay in the processor's cache.
CACHED_VALUES = 1 << 19


def group_sums(
    expression: CellMatrix,
    codes: IntArray,
    *,
    n_groups: int,
    power: Literal[1, 2] = 1,
    batches: CellBatches | None = None,
    folder: Path | None = None,
) -> DoubleArray:
    """Sum the expression of each group of cells, or its squares.

    Args:
        expression: CSR, (N, G), float32.
        codes: Group of each cell in [0, n_groups), -1 for a cell of no group, (N,).
        n_groups: Number of groups.
        power: 2 sums squares, each rounded to float32 as scanpy's kernel does.
        batches: Every value is multiplied by its batch's offset.
        folder: Where sums are kept in a file; None keeps them in memory.

    Returns:
        Sums accumulated in float64, (n_groups, G); zeros for a group without cells.
    """
    sums = zeros((n_groups, expression.shape[1]), np.float64, folder=folder)
    # Cells of one group lie together, and a row of sums stays in the processor's cache.
    order = np.argsort(codes, kind="stable")
    order = order[np.searchsorted(codes[order], 0) :]
    for cells in _blocks(expression, order, codes):
        block = expression[cells]
        values = np.square(block.data) if power == 2 else block.data
        if batches is not None:
            own = np.repeat(batches.rows[cells], np.diff(block.indptr))
            values = values * np.where(own < 0, 0.0, batches.offsets[own, block.indices])
        groups, firsts = np.unique(codes[cells], return_index=True)
        bounds = block.indptr[[*firsts.tolist(), len(cells)]].tolist()
        for group, low, high in zip(groups.tolist(), bounds[:-1], bounds[1:], strict=True):
            sums[group] += np.bincount(
                block.indices[low:high], weights=values[low:high], minlength=sums.shape[1]
            )
        give_back_pages()
    return sums


def _blocks(
    expression: CellMatrix, order: npt.NDArray[np.intp], codes: IntArray
) -> list[npt.NDArray[np.intp]]:
    lengths = np.diff(expression.indptr)[order]
    ends = np.cumsum(lengths, dtype=np.int64)
    by_values = ends // BLOCK_VALUES
    by_cells = np.arange(len(order)) // BLOCK_CELLS
    cuts = np.flatnonzero((np.diff(by_values) > 0) | (np.diff(by_cells) > 0)) + 1
    # Between groups blocks are cut further, which changes no sum, so that their memory is reused.
    starts = np.flatnonzero(np.diff(codes[order])) + 1
    pieces = ends[starts - 1] // CACHED_VALUES
    further = starts[np.diff(pieces, prepend=0) > 0]
    return np.split(order, np.union1d(cuts, further))
