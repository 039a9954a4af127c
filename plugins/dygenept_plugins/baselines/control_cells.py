"""Trivial predictions of cells, beside which a model that predicts cells is read.

``control_cells``: control cells as they are; the mean is the control mean.
``shifted_cells``: control cells moved gene by gene to the mean of the train perturbations, floored
at 0; the mean is that of ``perturbed_mean``.
Where controls are matched by batch they are drawn in the batches of the real cells, and moved by
the same change.
Source: this project; scGen and CellOT compare with the first. Load nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.reference import train_view
from dygenept.plugin import BaselineSpec, PluginError, hookimpl
from dygenept.results.cell_eval import shifted
from dygenept.types import (
    Condition,
    DoubleArray,
    FloatArray,
    IntArray,
    Predictions,
    Task,
    TaskCells,
)


class ControlCells:
    """Sampled control cells of the condition's cell type, moved or not."""

    def __init__(self, *, is_shifted: bool) -> None:
        self._is_shifted = is_shifted
        self._task: Task | None = None

    def fit(self, task: Task) -> None:
        """Keep the task.

        Raises:
            PluginError: If it has no cells.
        """
        self._task = task
        self._cells()

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the mean, (n, G)."""
        expression = np.empty((len(conditions), len(self._fitted().gene_ids)))
        for row, condition in enumerate(conditions):
            expression[row] = self._mean(condition.cell_type)
        return Predictions(tuple(conditions), expression)

    def predict_cells(
        self, conditions: Sequence[Condition], *, n_cells: int
    ) -> tuple[FloatArray, ...]:
        """Return sampled control cells, moved or not, (at most n_cells, G) each."""
        task, cells = self._fitted(), self._cells()
        found = []
        for number, condition in enumerate(conditions):
            rows = self._controls(condition)
            rng = np.random.default_rng([task.runtime.seed, number])
            drawn = np.sort(rng.choice(rows, size=min(n_cells, len(rows)), replace=False))
            sample = cells.expression[drawn].toarray()
            if self._is_shifted:
                sample = shifted(sample, np.maximum(self._mean(condition.cell_type), 0.0))
            found.append(sample.astype(np.float32))
        return tuple(found)

    def predict_cells_of(
        self, conditions: Sequence[Condition], *, batches: Sequence[IntArray]
    ) -> tuple[FloatArray, ...]:
        """Return control cells of these batches, moved or not, (k, G) each.

        Each control of a batch is drawn once before any is drawn again.
        """
        task, cells = self._fitted(), self._cells()
        found = []
        for number, (condition, wanted) in enumerate(zip(conditions, batches, strict=True)):
            rows, expected = self._controls(condition), np.zeros(len(task.gene_ids))
            sample = np.empty((len(wanted), len(task.gene_ids)), dtype=np.float32)
            rng = np.random.default_rng([task.runtime.seed, number])
            for batch in np.unique(wanted).tolist():
                is_own = wanted == batch
                pool = rows if batch < 0 else rows[self._batches()[rows] == batch]
                n_times, rest = divmod(int(is_own.sum()), len(pool))
                drawn = [*([pool] * n_times), rng.choice(pool, size=rest, replace=False)]
                sample[is_own] = cells.expression[np.concatenate(drawn)].toarray()
                mean = np.asarray(cells.expression[pool].mean(axis=0, dtype=np.float64)).ravel()
                expected += is_own.mean() * mean
            if self._is_shifted:
                view = train_view(task, condition.cell_type)
                change = view.mean - view.control
                sample = shifted(sample, np.maximum(expected + change, 0.0)).astype(np.float32)
            found.append(sample)
        return tuple(found)

    def _controls(self, condition: Condition) -> npt.NDArray[np.intp]:
        """Return the control cells of a condition's cell type."""
        code, cells = self._fitted().cell_types.index(condition.cell_type), self._cells()
        return np.flatnonzero((cells.condition_codes < 0) & (cells.cell_type_codes == code))

    def _batches(self) -> IntArray:
        batches = self._cells().batch_codes
        if batches is None:
            raise PluginError("this baseline was asked for cells of batches, and the task has none")
        return batches

    def _mean(self, cell_type: str) -> DoubleArray:
        view = train_view(self._fitted(), cell_type)
        return view.mean if self._is_shifted else view.control

    def _fitted(self) -> Task:
        if self._task is None:
            raise PluginError("control_cells cannot predict before it is fitted; call fit")
        return self._task

    def _cells(self) -> TaskCells:
        cells = self._fitted().cells
        if cells is None:
            raise PluginError("this baseline predicts cells, and the task has none")
        return cells


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return both."""
    return [
        BaselineSpec(
            name="control_cells",
            summary="Control cells as predicted cells.",
            source="this project; the usual null model of cells",
            factory=lambda config: ControlCells(is_shifted=False),
            needs_cells=True,
            closed_form=False,
        ),
        BaselineSpec(
            name="shifted_cells",
            summary="Control cells moved to the mean of the train perturbations.",
            source="this project",
            factory=lambda config: ControlCells(is_shifted=True),
            needs_cells=True,
            closed_form=False,
        ),
    ]
