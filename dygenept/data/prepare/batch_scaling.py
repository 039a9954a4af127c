"""Batch effects taken away by a factor per gene and batch, fitted on control cells.

A log-linear regression of means on batch: each value is multiplied by the mean of all controls of
the cell type divided by that of the batch's controls. Values stay above zero and zeros stay zeros,
so that the matrix stays sparse, and the controls of all batches have one mean.
"""

from __future__ import annotations

import numpy as np

from dygenept.data.batches import MIN_CONTROLS
from dygenept.types import DoubleArray, IntArray

# A gene that a batch's controls hardly express gets no larger factor than this, nor 1 / this.
MAX_FACTOR = 4.0


def batch_factors(
    sums: DoubleArray, n_controls: IntArray, *, n_batches: int
) -> tuple[DoubleArray, int]:
    """Return the factor of each gene in each batch of each cell type, and how many were limited.

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
