"""Controls matched by batch: every cell is compared with the controls of its own batch.

The mean of a batch's control cells minus that of all controls of the cell type is subtracted from
every cell of the batch, gene by gene: a regression on batch, fitted on control cells alone. So the
change of a condition is the mean of its cells minus that of controls in the same proportions of
batches, and variances are those within batches. Sums of such cells come from sums of the sparse
ones; no matrix of cells is made dense. ``batch_factors`` does the same by multiplying, for a file
that is written anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dygenept.data.sums import group_sums
from dygenept.machine.tables import row_parts
from dygenept.types import BoolArray, CellBatches, DoubleArray, IntArray
from dygenept.types.cells import CellMatrix

# Fewer control cells say little of a batch; its cells are compared with all controls.
MIN_CONTROLS = 10
# A gene that a batch's controls hardly express gets no larger factor than this, nor 1 / this.
MAX_FACTOR = 4.0


def match_batches(
    expression: CellMatrix,
    names: Sequence[str],
    codes: IntArray,
    *,
    condition_codes: IntArray,
    cell_type_codes: IntArray,
) -> CellBatches:
    """Measure how far the controls of each batch lie from all controls of their cell type.

    Args:
        expression: CSR, (N, G), log1p.
        names: Batches.
        codes: Position in ``names`` of each cell's, -1 for a cell without one, (N,).
        condition_codes: -1 for control cells, (N,).
        cell_type_codes: Cell type of each cell, (N,).
    """
    is_control = condition_codes < 0
    n_types = int(cell_type_codes.max()) + 1
    pairs, kept = _pairs(len(names), codes, cell_type_codes, is_control)
    row_of = np.full(n_types * len(names) + 1, -1, dtype=np.int32)
    row_of[kept] = np.arange(len(kept))
    rows = row_of[pairs]
    # Control cells of small batches are moved together, so that all controls keep their mean.
    is_left = is_control & (rows < 0)
    rows[is_left] = len(kept) + cell_type_codes[is_left]
    n_rows = len(kept) + n_types
    type_of_row = np.concatenate((kept // max(len(names), 1), np.arange(n_types)))
    overall = _control_means(expression, np.where(is_control, cell_type_codes, -1), n_types)
    offsets = _control_means(expression, np.where(is_control, rows, -1), n_rows)
    offsets -= overall[type_of_row]
    offsets[np.bincount(rows[is_control], minlength=n_rows) == 0] = 0.0
    return CellBatches(tuple(names), codes.astype(np.int32), offsets, rows)


def count_offsets(
    n_batches: int, codes: IntArray, *, condition_codes: IntArray, cell_type_codes: IntArray
) -> int:
    """Count the rows of offsets that ``match_batches`` would return, without a value of a cell."""
    _, kept = _pairs(n_batches, codes, cell_type_codes, condition_codes < 0)
    return len(kept) + int(cell_type_codes.max()) + 1


def _pairs(
    n_batches: int, codes: IntArray, cell_type_codes: IntArray, is_control: BoolArray
) -> tuple[IntArray, npt.NDArray[np.intp]]:
    """Number cell type and batch of each cell, and those pairs that have enough control cells."""
    n_pairs = (int(cell_type_codes.max()) + 1) * n_batches
    pairs = np.where(codes < 0, n_pairs, cell_type_codes * n_batches + codes)
    counts = np.bincount(pairs[is_control], minlength=n_pairs + 1)[:n_pairs]
    return pairs, np.flatnonzero(counts >= MIN_CONTROLS)


def _control_means(expression: CellMatrix, codes: IntArray, n_groups: int) -> DoubleArray:
    """Average groups of cells; zeros for a group without cells."""
    sums = group_sums(expression, codes.astype(np.int32), n_groups=n_groups)
    sums /= np.maximum(np.bincount(codes[codes >= 0], minlength=n_groups), 1)[:, None]
    return sums


def shared_batches(batches: CellBatches, n_cell_types: int) -> IntArray:
    """Number the batch and cell type whose controls a cell is compared with, (N,).

    Returns:
        Row of ``batches.offsets``, which perturbed and control cells share; -1 for cells that are
        compared with all controls, and for the control cells of small batches.
    """
    # The last rows are those of the control cells of small batches, one per cell type.
    n_kept = len(batches.offsets) - n_cell_types
    return np.where(batches.rows < n_kept, batches.rows, -1).astype(np.int32)


def matched_sums(
    sums: DoubleArray,
    batches: CellBatches,
    codes: IntArray,
    *,
    cross: DoubleArray | None = None,
) -> DoubleArray:
    """Turn sums over cells, or over their squares, into those of cells without batch effects.

    Args:
        sums: Sums of each group, or sums of squares, (n_groups, G); changed in place.
        batches: The batches.
        codes: Group of each cell, -1 for a cell of none, (N,).
        cross: Sums of cells times their batch's offset, (n_groups, G), for sums of squares.
    """
    from scipy import sparse

    is_used = (codes >= 0) & (batches.rows >= 0)
    n_cells = sparse.csr_matrix(
        (np.ones(int(is_used.sum())), (codes[is_used], batches.rows[is_used])),
        shape=(len(sums), len(batches.offsets)),
    )
    squares = None if cross is None else np.square(batches.offsets)
    for part in row_parts(*sums.shape):
        if cross is None or squares is None:
            sums[part] -= n_cells[part] @ batches.offsets
            continue
        sums[part] -= 2.0 * cross[part]
        sums[part] += n_cells[part] @ squares
        # Rounding must not make a variance negative.
        np.maximum(sums[part], 0.0, out=sums[part])
    return sums


def batch_factors(
    sums: DoubleArray, n_controls: IntArray, *, n_batches: int
) -> tuple[DoubleArray, int]:
    """Return the factor of each gene in each batch of each cell type, and how many were limited.

    A log-linear regression of means on batch: the mean of all controls of the cell type divided by
    that of the batch's controls. Values stay above zero and zeros stay zeros, so that the matrix
    stays sparse, and the controls of all batches have one mean.

    Args:
        sums: Sum over the control cells of each pair, row cell type × n_batches + batch,
            (n_types * n_batches, G).
        n_controls: Their numbers, (n_types * n_batches,).
        n_batches: Number of batches.

    Returns:
        Factors, as ``sums``; 1 in a batch with fewer than ``MIN_CONTROLS`` control cells, and
        where either mean is 0.
    """
    n_types = len(sums) // n_batches
    by_type = sums.reshape(n_types, n_batches, -1)
    n = n_controls.reshape(n_types, n_batches)
    overall = by_type.sum(axis=1) / np.maximum(n.sum(axis=1), 1)[:, None]
    own = by_type / np.maximum(n, 1)[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = overall[:, None, :] / own
    usable = (own > 0) & (overall > 0)[:, None, :] & (n >= MIN_CONTROLS)[:, :, None]
    factors = np.where(usable, factors, 1.0)
    limited = np.clip(factors, 1.0 / MAX_FACTOR, MAX_FACTOR)
    return limited.reshape(sums.shape), int((limited != factors).sum())
