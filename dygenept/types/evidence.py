"""What a metric may read beyond means: DE tests of all genes, and samples of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dygenept.types.perturbations import BoolArray, DoubleArray, FloatArray, IntArray

Rows = Sequence[int] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DeTests:
    """DE tests of every gene, one row per condition.

    Attributes:
        is_significant: True where the gene differs from the control of the condition's cell type
            (Mann-Whitney U test, Benjamini-Hochberg FDR below 0.05 within the condition), (n, G).
        scores_vs_rest: t score of the gene against the other perturbed cells of the cell type,
            (n, G); a row of NaN where there is none (one cell, or no other perturbation).
    """

    is_significant: BoolArray
    scores_vs_rest: DoubleArray

    def take(self, rows: Rows) -> DeTests:
        """Return the tests of some conditions, in this order."""
        kept = np.asarray(rows)
        return DeTests(self.is_significant[kept], self.scores_vs_rest[kept])


@dataclass(frozen=True, slots=True)
class CellDistances:
    """Euclidean distances among the sampled cells of one condition; no model changes them.

    Attributes:
        squared: Squared distance of each control cell (row) and real cell (column), (m, k).
        within_control: Mean distance of two control cells, each cell with itself too.
        within_real: The same of two real cells.
    """

    squared: FloatArray
    within_control: float
    within_real: float


class MetricCells(Protocol):
    """Samples of the cells behind each condition: single cells, log1p scale.

    Cells are drawn without replacement and seeded, the same for every model, and made dense one
    condition at a time. Where controls are matched by batch, all but those of ``real_mixed`` and
    ``measured`` are without batch effects: a cell minus how far its batch's controls lie from all
    controls, so that a value may lie below 0.
    """

    def control(self, row: int) -> DoubleArray:
        """Sampled control cells of the condition's cell type, (m, G)."""

    def real(self, row: int) -> DoubleArray:
        """Sampled cells of the condition, (k, G)."""

    def real_mixed(self, row: int) -> DoubleArray:
        """Sampled cells of the condition in the controls' mix of batches, (k, G).

        What predicted cells are compared with that name no batch; without matched batches it is
        ``real``.
        """

    def measured(self, row: int) -> DoubleArray:
        """Sampled cells of the condition as they are, batch effects included, (k, G).

        What predicted cells are compared with that are in the batches of these.
        """

    def batches(self, row: int) -> IntArray | None:
        """Row of ``CellBatches.offsets`` of each sampled cell of the condition, (k,).

        -1 for a cell that is compared with all controls; None without matched batches.
        """

    def mean(self, row: int) -> DoubleArray:
        """Mean of all cells of the condition, sampled or not, (G,)."""

    def distances(self, row: int) -> CellDistances:
        """Distances among these cells, computed once."""

    def project(self, row: int, direction: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Inner product of each control cell and each real cell with a direction, (m,), (k,)."""

    def take(self, rows: Rows) -> MetricCells:
        """Return the samples of some conditions, in this order."""


@dataclass(frozen=True, slots=True)
class PredictedCells:
    """Cells that a model predicted for each condition.

    Attributes:
        cells: Predicted cells, (k, G) each, log1p scale, none below 0.
        means: Their means, (n, G); without batch effects where cells name their batch.
        adjusted_p: Benjamini-Hochberg-adjusted p values of each gene against control cells
            (Mann-Whitney U test), (n, G): those of its batch where a cell names one, as real cells
            are tested, and all of the cell type elsewhere.
        name_batches: True where cells are in the batches of the sampled real ones, cell by cell.
    """

    cells: tuple[FloatArray, ...]
    means: DoubleArray
    adjusted_p: DoubleArray
    name_batches: bool = False

    def take(self, rows: Rows) -> PredictedCells:
        """Return the cells of some conditions, in this order."""
        kept = np.arange(len(self.cells))[np.asarray(rows)]
        return PredictedCells(
            tuple(self.cells[row] for row in kept),
            self.means[kept],
            self.adjusted_p[kept],
            self.name_batches,
        )
