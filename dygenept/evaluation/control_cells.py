"""The control cells that every change is measured from: disjoint halves, and whether they are few.

The noise of a control mean is in the predicted change and in the true one. Where control cells are
few it makes any two changes alike; see "Shared control noise" in ``docs/inference.md``. Where
controls are matched by batch, a change is measured from the controls of some batches, in the
proportions of the condition's own cells: these are fewer, and halves are halves of each batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.pseudobulk import cell_sums
from dygenept.types import CellBatches, DoubleArray, IntArray, PerturbationData

if TYPE_CHECKING:
    from scipy import sparse

# Where more of a change's noise is the control's, two changes without signal correlate by as much.
MOST_SHARED = 0.1


@dataclass(frozen=True, slots=True)
class ControlCells:
    """Control cells beside the perturbed ones.

    Attributes:
        n_cells: Control cells of each cell type.
        noise_shares: By cell type, the share of the noise of a change that is the control's:
            n / (n + n_control), the median over perturbations of n cells. So much do two changes
            correlate that have nothing but noise. Where controls are matched by batch, n_control is
            the number of cells whose mean is as noisy as that of the controls in the condition's
            proportions of batches.
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
    matched = None if data.batches is None else _matched_numbers(data, data.batches)
    shares = {}
    for kind, n_control in zip(data.cell_types, n_cells.tolist(), strict=True):
        rows = [row for row, item in enumerate(data.conditions) if item.cell_type == kind]
        if rows:
            n_own = n_perturbed[rows].astype(np.float64)
            of_change = n_control if matched is None else matched[rows]
            shares[kind] = float(np.median(n_own / (n_own + of_change)))
    return ControlCells(dict(zip(data.cell_types, n_cells.tolist(), strict=True)), shares)


def _matched_numbers(data: PerturbationData, batches: CellBatches) -> DoubleArray:
    """Number of cells whose mean is as noisy as that of each condition's controls, (n,).

    A share p of a condition's cells in a batch is compared with the n controls of the batch, and
    the rest r with all N: the variance of a cell's value is multiplied by the sum of p² / n, plus
    (1 - (1 - r)²) / N, since the mean of all controls contains those of the batches.
    """
    shares = _batch_shares(data, batches)
    is_control = data.condition_codes < 0
    of_batches = np.bincount(batches.rows[is_control], minlength=len(batches.offsets))
    of_types = np.bincount(data.cell_type_codes[is_control], minlength=len(data.cell_types))
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    n_all = of_types[[row[item.cell_type] for item in data.conditions]].astype(np.float64)
    inside = np.asarray(shares.sum(axis=1)).ravel()
    noise = np.asarray(shares.power(2) @ (1.0 / np.maximum(of_batches, 1.0))).ravel()
    noise += (1.0 - inside**2) / np.maximum(n_all, 1.0)
    return np.where(n_all > 0, 1.0 / np.maximum(noise, 1e-300), 0.0)


def _batch_shares(data: PerturbationData, batches: CellBatches) -> sparse.csr_matrix:
    """Share of each condition's cells in each row of offsets, (n_conditions, n_rows)."""
    from scipy import sparse

    n = len(data.conditions)
    perturbed = np.flatnonzero(data.condition_codes >= 0)
    codes = data.condition_codes[perturbed]
    weights = 1.0 / np.bincount(codes, minlength=n)[codes]
    is_placed = batches.rows[perturbed] >= 0
    places = codes[is_placed], batches.rows[perturbed][is_placed]
    return sparse.csr_matrix((weights[is_placed], places), shape=(n, len(batches.offsets)))


@dataclass(frozen=True, slots=True)
class ControlHalves:
    """Means of two random disjoint halves of the control cells that changes are measured from.

    Attributes:
        of_types: Those of each cell type, (2, n_cell_types, G), float64; NaN where a type has one
            control cell, or none.
        of_batches: Where controls are matched by batch, those of each row of offsets, without batch
            effects, (2, n_rows, G); NaN where there is one. None otherwise.
        shares: There, the share of each condition's cells in each row, (n_conditions, n_rows).
    """

    of_types: DoubleArray
    of_batches: DoubleArray | None = None
    shares: sparse.csr_matrix | None = None

    def of_condition(self, row: int, cell_type: int) -> DoubleArray:
        """Return what a condition's change is measured from, (2, G).

        Args:
            row: Position of the condition in the data set.
            cell_type: Position of its cell type.
        """
        of_type: DoubleArray = self.of_types[:, cell_type]
        if self.of_batches is None or self.shares is None:
            return of_type
        own = self.shares[row]
        found = np.zeros_like(of_type)
        for place, share in zip(own.indices.tolist(), own.data.tolist(), strict=True):
            found += share * self.of_batches[:, place]
        rest = 1.0 - float(own.data.sum())
        # Shares of whole cells that add up to 1 but for rounding leave nothing.
        return found + rest * of_type if rest > 1e-9 else found


def control_half_means(data: PerturbationData, *, seed: int) -> ControlHalves:
    """Average two random disjoint halves of each cell type's control cells.

    Where controls are matched by batch, each half of a cell type has half of each of its batches.
    """
    rng = np.random.default_rng(seed)
    n_types = len(data.cell_types)
    is_control = data.condition_codes < 0
    kinds = data.cell_type_codes
    if data.batches is None:
        codes = _half_codes(np.where(is_control, kinds, -1), n_types, rng)
        return ControlHalves(_half_means(data, codes, n_types))
    n_rows = len(data.batches.offsets)
    rows = np.where(is_control, data.batches.rows, -1)
    codes = _half_codes(rows, n_rows, rng)
    half = codes // n_rows
    of_types = np.where(codes < 0, -1, kinds + n_types * half).astype(np.int32)
    return ControlHalves(
        of_types=_half_means(data, of_types, n_types),
        of_batches=_half_means(data, codes, n_rows),
        shares=_batch_shares(data, data.batches),
    )


def _half_codes(groups: IntArray, n_groups: int, rng: np.random.Generator) -> IntArray:
    """Draw two halves of each group of cells; second halves are numbered ``n_groups`` higher."""
    codes = np.full(len(groups), -1, dtype=np.int32)
    for number in range(n_groups):
        cells = rng.permutation(np.flatnonzero(groups == number))
        codes[cells[: len(cells) // 2]] = number
        codes[cells[len(cells) // 2 :]] = number + n_groups
    return codes


def _half_means(data: PerturbationData, codes: IntArray, n_groups: int) -> DoubleArray:
    counts = np.bincount(codes[codes >= 0], minlength=2 * n_groups).astype(np.float64)
    counts[counts == 0] = np.nan
    means = cell_sums(data, codes, n_groups=2 * n_groups)
    means /= counts[:, None]
    return means.reshape(2, n_groups, data.n_genes)
