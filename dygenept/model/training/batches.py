"""What training draws from: conditions, their cells and the control cells, batch by batch.

A batch is one of training's here. Where controls are matched by the batch of an experiment, a
single cell is paired with a control cell of its own one, so that the change between the two is on
average the one that means have; a change of means is without batch effects already, and reads any
control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from dygenept.errors import DataError
from dygenept.model.conditions import ConditionSet, IndexArray
from dygenept.model.control_pool import ControlCells
from dygenept.model.losses import BatchCounts
from dygenept.model.training.options import TrainingOptions
from dygenept.types import Task


@dataclass(frozen=True, slots=True)
class PerturbedCells:
    """The perturbed cells of a condition set, in order of condition.

    Attributes:
        expression: CSR, (n, G), log1p scale.
        starts: First cell of each condition and, last, n, (n_conditions + 1,).
        batch_codes: As ``TaskCells`` has them, (n,); None where controls are not matched by batch.
    """

    expression: sparse.csr_matrix
    starts: IndexArray
    batch_codes: npt.NDArray[np.int32] | None = None

    def take(self, rows: IndexArray) -> PerturbedCells:
        """Return the cells of some conditions, in this order."""
        spans = [np.arange(self.starts[row], self.starts[row + 1]) for row in rows]
        starts = np.concatenate([[0], np.cumsum([len(span) for span in spans])]).astype(np.int64)
        chosen = np.concatenate(spans)
        codes = None if self.batch_codes is None else self.batch_codes[chosen]
        return PerturbedCells(self.expression[chosen], starts, codes)


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of each batch this process runs, and in how many pieces.

    Attributes:
        rank: Position of the process.
        size: Processes that a batch is divided among.
        pieces: Pieces that a process runs one after the other.
    """

    rank: int = 0
    size: int = 1
    pieces: int = 1


WHOLE = Share()


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a step draws: only positions, so that a resumed epoch skips to its place at once.

    Attributes:
        drawn: Conditions, or perturbed cells, (n,).
        rows: Condition of each, (n,).
        control_indices: Control cells, (n × cells per condition,).
    """

    drawn: IndexArray
    rows: IndexArray
    control_indices: IndexArray


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's rows, or a piece of them, condition by condition.

    ``n_rows`` = n_conditions × cells per condition.

    Attributes:
        gene_indices: (n_rows, P).
        control_indices: Positions in the control pool, (n_rows,).
        control: Expression of these cells, (n_rows, G), log1p scale.
        target: Change that the mean over each condition's rows must reach, (n_conditions, G).
        reference: Mean change of each condition, (n_conditions, G).
        de_indices: (n_conditions, 20), padded with -1.
        counts: Of the whole step, whichever part of it these rows are.
        weight: 1; 0 for a row that fills in where a process has none of its own, since every
            process must take part in every step.
    """

    gene_indices: torch.Tensor
    control_indices: torch.Tensor
    control: torch.Tensor
    target: torch.Tensor
    reference: torch.Tensor
    de_indices: torch.Tensor
    counts: BatchCounts
    weight: float = 1.0

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """Return a batch of changed tensors: on another device, or in pinned memory."""
        return replace(
            self,
            gene_indices=change(self.gene_indices),
            control_indices=change(self.control_indices),
            control=change(self.control),
            target=change(self.target),
            reference=change(self.reference),
            de_indices=change(self.de_indices),
        )


def perturbed_cells(task: Task, n_train: int) -> PerturbedCells:
    """Gather the cells of the first ``n_train`` conditions of the task.

    Raises:
        DataError: If a condition has no cell.
    """
    if task.cells is None:
        raise DataError("training on single cells needs cells, and the task has none")
    codes = task.cells.condition_codes
    chosen = np.flatnonzero((codes >= 0) & (codes < n_train))
    order = chosen[np.argsort(codes[chosen], kind="stable")]
    counts = np.bincount(codes[order], minlength=n_train)
    if not counts.all():
        empty = task.train[int(np.flatnonzero(counts == 0)[0])].label
        raise DataError(f"train perturbation {empty!r} has no cells in the task")
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    batch_codes = task.cells.batch_codes
    return PerturbedCells(
        expression=task.cells.expression[order],
        starts=starts,
        batch_codes=None if batch_codes is None else batch_codes[order],
    )


@dataclass(frozen=True, slots=True)
class BatchSource:
    """Draws batches; what an epoch draws depends only on its generator.

    Attributes:
        conditions: Train conditions.
        controls: Control cells, as the cell encoder was prepared with.
        cells: Perturbed cells, where rows are compared with single cells; None otherwise.
        options: Batch size, target.
    """

    conditions: ConditionSet
    controls: ControlCells
    cells: PerturbedCells | None
    options: TrainingOptions

    def take(self, rows: IndexArray) -> BatchSource:
        """Return a source of some of the conditions."""
        cells = None if self.cells is None else self.cells.take(rows)
        return replace(self, conditions=self.conditions.take(rows), cells=cells)

    @property
    def conditions_per_batch(self) -> int:
        """Conditions (with repeats, for single cells) per step."""
        if self.cells is not None:
            return self.options.batch_size
        return max(1, self.options.batch_size // self.options.cells_per_condition)

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch."""
        if self.options.steps_per_epoch:
            return self.options.steps_per_epoch
        n = len(self.conditions) if self.cells is None else int(self.cells.starts[-1])
        return -(-n // self.conditions_per_batch)

    def epoch(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield an epoch's batches: shuffled passes over conditions, or over perturbed cells."""
        for (batch,) in self.steps(rng):
            yield batch

    def steps(
        self, rng: np.random.Generator, *, first: int = 0, share: Share = WHOLE
    ) -> Iterator[tuple[Batch, ...]]:
        """Yield what a process runs in each step of an epoch.

        Args:
            rng: Decides the epoch; the same in every process.
            first: Steps to skip.
            share: The process's part. The parts of all processes and their pieces make up the
                batch, each condition once.
        """
        for step, plan in enumerate(self.plans(rng)):
            if step >= first:
                yield self._pieces(plan, share)

    def plans(self, rng: np.random.Generator) -> Iterator[BatchPlan]:
        """Draw an epoch's steps."""
        size = self.conditions_per_batch
        n = len(self.conditions) if self.cells is None else int(self.cells.starts[-1])
        wanted = size * self.steps_per_epoch
        passes = -(-wanted // n)
        order = np.concatenate([rng.permutation(n) for _ in range(passes)])
        stop = wanted if self.options.steps_per_epoch else n
        for start in range(0, stop, size):
            drawn = order[start : min(start + size, stop)]
            rows = drawn
            if self.cells is not None:
                # Cells lie condition by condition: the last start at or below a cell is its own.
                rows = np.searchsorted(self.cells.starts, drawn, side="right") - 1
            cell_types = np.repeat(self.conditions.cell_types[rows], self._repeats)
            if self.cells is not None and self.cells.batch_codes is not None:
                controls = self._draw_matched(cell_types, self.cells.batch_codes[drawn], rng)
            else:
                controls = self._draw_controls(cell_types, rng)
            yield BatchPlan(drawn, rows, controls)

    @property
    def _repeats(self) -> int:
        return 1 if self.cells is not None else self.options.cells_per_condition

    def _pieces(self, plan: BatchPlan, share: Share) -> tuple[Batch, ...]:
        """Make the pieces of a process; none is empty."""
        n_parts = share.size * share.pieces
        bounds = np.arange(n_parts + 1) * len(plan.drawn) // n_parts
        first = share.rank * share.pieces
        pieces = tuple(
            self._batch(plan, slice(int(start), int(stop)))
            for start, stop in zip(
                bounds[first:], bounds[first + 1 :][: share.pieces], strict=False
            )
            if stop > start
        )
        return pieces or (replace(self._batch(plan, slice(0, 1)), weight=0.0),)

    def _batch(self, plan: BatchPlan, part: slice) -> Batch:
        known, repeats = self.conditions, self._repeats
        control_indices = plan.control_indices[part.start * repeats : part.stop * repeats]
        control = self.controls.rows(control_indices)  # (n_rows, G)
        picked = torch.from_numpy(plan.rows[part])
        reference = known.deltas[picked]  # (n_conditions, G)
        target = reference
        if self.cells is not None:
            cells = self.cells.expression[plan.drawn[part]]
            target = torch.from_numpy(cells.toarray()) - control
        # Counted over the whole plan, so that the losses of its pieces add up.
        n_de = int((known.de_indices[torch.from_numpy(plan.rows)] >= 0).sum())
        return Batch(
            gene_indices=known.gene_indices[picked].repeat_interleave(
                repeats, dim=0
            ),  # (n_rows, P)
            control_indices=torch.from_numpy(control_indices),
            control=control,
            target=target,
            reference=reference,
            de_indices=known.de_indices[picked],
            counts=BatchCounts(n_values=len(plan.drawn) * known.deltas.shape[1], n_de=n_de),
        )

    def _draw_controls(self, cell_types: IndexArray, rng: np.random.Generator) -> IndexArray:
        drawn = np.empty(len(cell_types), dtype=np.int64)
        for cell_type in np.unique(cell_types):
            at = np.flatnonzero(cell_types == cell_type)
            drawn[at] = rng.choice(self.controls.members(int(cell_type)), size=len(at))
        return drawn

    def _draw_matched(
        self, cell_types: IndexArray, batch_codes: npt.NDArray[np.int32], rng: np.random.Generator
    ) -> IndexArray:
        """Draw for each cell a control of its batch, or of its cell type where these are few."""
        drawn = np.empty(len(cell_types), dtype=np.int64)
        kinds = np.stack([cell_types, batch_codes], axis=1)
        for cell_type, batch in np.unique(kinds, axis=0).tolist():
            at = np.flatnonzero((kinds == (cell_type, batch)).all(axis=1))
            drawn[at] = rng.choice(self.controls.of_batch(batch, cell_type), size=len(at))
        return drawn
