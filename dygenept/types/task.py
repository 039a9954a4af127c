"""What a model may learn from in one fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.types.perturbations import Condition, DoubleArray, IntArray
from dygenept.types.runtime import Runtime

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.types.effects import KnownEffects


@dataclass(frozen=True, slots=True)
class TaskCells:
    """The cells a model may see: train, validation and control; no held-out cell.

    Attributes:
        expression: CSR, (n, G), float32, log1p scale.
        condition_codes: Index into ``Task.train + Task.val``; -1 for control, (n,).
        cell_type_codes: Index into ``Task.cell_types``, (n,).
        cell_ids: Names of the cells, (n,).
        batch_codes: Where controls are matched by batch: a number that the perturbed and the
            control cells of one batch and cell type share, (n,); -1 for a cell of a batch with too
            few control cells, or of none: it is compared with all controls of its cell type. None
            where they are not matched. Means are without batch effects then; expression is not.
    """

    expression: sparse.csr_matrix
    condition_codes: IntArray
    cell_type_codes: IntArray
    cell_ids: npt.NDArray[np.object_]
    batch_codes: IntArray | None = None


@dataclass(frozen=True, slots=True)
class TestedHalves:
    """Two random halves of each held-out condition's cells, the first one tested.

    Attributes:
        means: Means of both, (2, n_test, G); the first half is NaN where a condition has one cell.
        adjusted_p: How likely the first half differs from the other perturbed cells of its cell
            type by chance alone: adjusted p value of each gene, (n_test, G).
    """

    __test__ = False

    means: DoubleArray
    adjusted_p: DoubleArray


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The truth of the held-out conditions; handed only to oracles (truth, shuffled …).

    Attributes:
        conditions: Held-out conditions.
        means: Mean log1p expression, (n_test, G).
        half_means: Means of two random disjoint halves of each condition's cells,
            (2, n_test, G); the first half is empty and NaN where a condition has one cell. None
            where the oracle's spec says that it reads none.
        draw_halves: Draws further halves in the same way.
        n_cells: Cells of each condition, (n_test,).
        draw_tested_halves: Draws halves of which the first is tested.
    """

    conditions: tuple[Condition, ...]
    means: DoubleArray
    half_means: DoubleArray | None
    draw_halves: Callable[[np.random.Generator], DoubleArray] | None = None
    n_cells: IntArray | None = None
    draw_tested_halves: Callable[[np.random.Generator], TestedHalves] | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """All that a model may learn from in one fold.

    Attributes:
        dataset: Name of the data set.
        is_simulated: True when its cells are simulated.
        gene_ids: Index of ``var``, (G,).
        gene_symbols: Gene symbols, (G,).
        target_genes: Every target gene of the data set, held-out ones too (only their names).
        cell_types: Cell type names.
        control_means: Mean of each cell type's control cells, (n_cell_types, G), log1p scale.
        train: Conditions to fit on.
        val: Conditions only for early stopping (closed-form baselines fit on them as well).
        means: Pseudobulk of ``train + val``, (n_train + n_val, G), log1p scale.
        n_cells: Cells behind each row of ``means``.
        de_indices: Top-20 DE genes of ``train + val``, (n_train + n_val, 20), padded with -1.
        cells: The cells, for models that ask for them; None otherwise.
        held_out: The truth, only for oracles; None otherwise.
        runtime: Device, seed, progress.
        effects: Which of ``means`` were measured, where the data set is a table of effects:
            controls are zero then, and what was not measured is the gene's mean. None for cells.
    """

    dataset: str
    is_simulated: bool
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    control_means: DoubleArray
    train: tuple[Condition, ...]
    val: tuple[Condition, ...]
    means: DoubleArray
    n_cells: IntArray
    de_indices: IntArray
    cells: TaskCells | None = None
    held_out: HeldOut | None = None
    runtime: Runtime = field(default_factory=Runtime)
    effects: KnownEffects | None = None

    @property
    def known(self) -> tuple[Condition, ...]:
        """Train and validation conditions, in the order of ``means``."""
        return self.train + self.val

    def control_mean(self, cell_type: str) -> DoubleArray:
        """Mean expression of the control cells of a cell type, (G,)."""
        row: DoubleArray = self.control_means[self.cell_types.index(cell_type)]
        return row
