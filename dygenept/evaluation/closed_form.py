"""The base of models that predict only from the means of the train perturbations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from dygenept.errors import PluginError
from dygenept.evaluation.reference import TrainView, train_view
from dygenept.machine.tables import empty_like, filled, finite_rows, row_parts
from dygenept.types import (
    Condition,
    DoubleArray,
    HeldOut,
    IntArray,
    Predictions,
    Task,
    in_cell_type,
)


class ClosedFormModel(ABC):
    """Predicts each cell type's conditions from that type's view of training."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._views: dict[str, TrainView] = {}

    @property
    def task(self) -> Task:
        """The task it was fitted to.

        Raises:
            PluginError: If it is not fitted yet.
        """
        if self._task is None:
            raise PluginError(f"{type(self).__name__} cannot predict before it is fitted; call fit")
        return self._task

    def fit(self, task: Task) -> None:
        """Keep the task; train and validation perturbations both count."""
        self._task = task
        self._views = {}

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict the pseudobulk of each condition.

        Raises:
            PluginError: If a condition's cell type is not one of the task's.
        """
        shape = len(conditions), len(self.task.gene_ids)
        expression = empty_like(self.task.means, shape, np.float64)
        for cell_type in sorted({condition.cell_type for condition in conditions}):
            rows = [row for row, item in enumerate(conditions) if item.cell_type == cell_type]
            wanted = tuple(conditions[row] for row in rows)
            given = self.predict_within(self._view(cell_type), wanted)
            for part in row_parts(len(rows), shape[1]):
                # One (G,) for all rows, or (n_rows, G).
                expression[rows[part]] = given if given.ndim == 1 else given[part]
        return Predictions(conditions=tuple(conditions), expression=expression)

    @abstractmethod
    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type.

        Args:
            view: That cell type's view of the training perturbations.
            conditions: Conditions of that cell type, (n,).

        Returns:
            Mean log1p expression, (n, G), or (G,) where all are the same.
        """

    def _view(self, cell_type: str) -> TrainView:
        if cell_type not in self._views:
            self._views[cell_type] = train_view(self.task, cell_type)
        return self._views[cell_type]


def require_held_out(task: Task, conditions: Sequence[Condition]) -> tuple[HeldOut, list[int]]:
    """Return the truth that a ceiling or floor is handed, and each condition's row in it.

    Raises:
        PluginError: If the task hides the truth, or a condition is not held out.
    """
    held_out = task.held_out
    if held_out is None:
        raise PluginError(
            "this control reads the truth, which the task hides; run it with a plugin of role "
            "'ceiling' or 'floor'"
        )
    rows = {condition: row for row, condition in enumerate(held_out.conditions)}
    for condition in conditions:
        if condition not in rows:
            raise PluginError(
                f"{condition.label!r}{in_cell_type(condition.cell_type, quoted=True)} is not held "
                "out in this fold; this control predicts only held-out conditions"
            )
    return held_out, [rows[condition] for condition in conditions]


def scored_halves(
    halves: Sequence[DoubleArray], means: DoubleArray, conditions: tuple[Condition, ...]
) -> Predictions:
    """Let one half of each condition's cells predict the other.

    A condition with one cell has no second half: its truth is NaN, so it is undefined under every
    metric, and its prediction is the cell's own expression.

    Args:
        halves: Means of both halves, (n, G) each.
        means: Means of all cells, (n, G).
        conditions: Conditions, (n,).
    """
    first, second = halves
    has_both = (finite_rows(first) & finite_rows(second))[:, None]
    return Predictions(
        conditions=conditions,
        expression=filled(
            first, first.shape, lambda part: np.where(has_both[part], first[part], means[part])
        ),
        truth=filled(
            first, first.shape, lambda part: np.where(has_both[part], second[part], np.nan)
        ),
    )


def cells_of_halves(held_out: HeldOut, rows: Sequence[int]) -> IntArray | None:
    """Return the cells behind the first half of each condition; 0 where there is no half."""
    return None if held_out.n_cells is None else held_out.n_cells[rows] // 2
