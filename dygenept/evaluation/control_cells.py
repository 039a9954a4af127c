"""The control cells that every change is measured from: disjoint halves, and whether they are few.

The noise of a control mean is in the predicted change and in the true one. Where control cells are
few it makes any two changes alike; see "Shared control noise" in ``docs/inference.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dygenept.data.pseudobulk import cell_sums
from dygenept.types import DoubleArray, IntArray, PerturbationData

# Where more of a change's noise is the control's, two changes without signal correlate by as much.
MOST_SHARED = 0.1


@dataclass(frozen=True, slots=True)
class ControlCells:
    """Control cells beside the perturbed ones.

    Attributes:
        n_cells: Control cells of each cell type.
        noise_shares: By cell type, the share of the noise of a change that is the control's:
            n / (n + n_control), the median over perturbations of n cells. So much do two changes
            correlate that have nothing but noise.
    """

    n_cells: Mapping[str, int]
    noise_shares: Mapping[str, float]

    @property
    def are_few(self) -> bool:
        """True if in a cell type more than a tenth of the noise is the control's."""
        return max(self.noise_shares.values(), default=0.0) > MOST_SHARED


def count_controls(data: PerturbationData, n_perturbed: IntArray) -> ControlCells:
    """Count the control cells of each cell type, and relate them to the perturbed ones.

    Args:
        data: The data set.
        n_perturbed: Cells of each condition, (n_conditions,).
    """
    is_control = data.condition_codes < 0
    n_cells = np.bincount(data.cell_type_codes[is_control], minlength=len(data.cell_types))
    shares = {}
    for kind, n_control in zip(data.cell_types, n_cells.tolist(), strict=True):
        rows = [row for row, item in enumerate(data.conditions) if item.cell_type == kind]
        if rows:
            n_own = n_perturbed[rows].astype(np.float64)
            shares[kind] = float(np.median(n_own / (n_own + n_control)))
    return ControlCells(dict(zip(data.cell_types, n_cells.tolist(), strict=True)), shares)


def control_half_means(data: PerturbationData, *, seed: int) -> DoubleArray:
    """Average two random disjoint halves of each cell type's control cells.

    Returns:
        Means, (2, n_cell_types, G), float64; NaN where a type has one control cell, or none.
    """
    rng = np.random.default_rng(seed)
    n_types = len(data.cell_types)
    codes = np.full(data.n_cells, -1, dtype=np.int32)
    for number in range(n_types):
        is_own = (data.condition_codes < 0) & (data.cell_type_codes == number)
        cells = rng.permutation(np.flatnonzero(is_own))
        codes[cells[: len(cells) // 2]] = number
        codes[cells[len(cells) // 2 :]] = number + n_types
    counts = np.bincount(codes[codes >= 0], minlength=2 * n_types).astype(np.float64)
    counts[counts == 0] = np.nan
    means = cell_sums(data, codes, n_groups=2 * n_types) / counts[:, None]
    halves: DoubleArray = means.reshape(2, n_types, data.n_genes)
    return halves
