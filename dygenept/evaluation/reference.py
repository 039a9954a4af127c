"""Train perturbations as seen from one cell type: what closed-form models learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.errors import PluginError, nearest
from dygenept.machine.tables import filled, mean_row, row_parts, rows_of
from dygenept.types import Condition, DoubleArray, Task


@dataclass(frozen=True, slots=True)
class TrainView:
    """Train and validation perturbations in one cell type.

    Attributes:
        conditions: The conditions, sorted, so that nothing depends on the task's order.
        means: Their mean log1p expression in this cell type, (n, G), float64.
        control: Mean of this cell type's control cells, (G,).
    """

    conditions: tuple[Condition, ...]
    means: DoubleArray
    control: DoubleArray

    @property
    def mean(self) -> DoubleArray:
        """Unweighted mean over the perturbations, (G,)."""
        return mean_row(self.means)

    @property
    def deltas(self) -> DoubleArray:
        """Change of each condition from control, (n, G); in a file where the means are."""
        return filled(self.means, self.means.shape, lambda part: self.means[part] - self.control)


def train_means(task: Task) -> dict[str, DoubleArray]:
    """Return the mean train and validation perturbation as each cell type shows it, (G,).

    A scorer computes it before a model receives the task: what a model writes there must not
    change what it is scored against.

    Raises:
        PluginError: If the task has no perturbation at all.
    """
    return {cell_type: train_view(task, cell_type).mean for cell_type in task.cell_types}


def train_view(task: Task, cell_type: str) -> TrainView:
    """Return the train and validation perturbations as one cell type shows them.

    A cell type with train perturbations of its own shows only these. A type without any (the
    held-out type of ``cross_cell_type``) shows those of all other types, each moved by the
    difference of the controls: its delta is kept and added to this type's control.

    Args:
        task: The fold's task; ``train`` and ``val`` both count.
        cell_type: The cell type to see from.

    Raises:
        PluginError: If the task has no such cell type, or no perturbation at all.
    """
    if cell_type not in task.cell_types:
        raise PluginError(
            f"data set {task.dataset!r} has no cell type {cell_type!r}; "
            f"{nearest(cell_type, task.cell_types)}"
        )
    known = task.known
    if not known:
        raise PluginError("the task has no train perturbation; use a split with fewer folds")
    control = task.control_mean(cell_type)
    # Sorted by condition, so that a sum over rows does not depend on the order of the file.
    order = sorted(range(len(known)), key=lambda row: known[row])
    own = [row for row in order if known[row].cell_type == cell_type]
    rows = own or order
    means = rows_of(task.means, rows)  # (n, G)
    if not own:
        types = np.array([task.cell_types.index(known[row].cell_type) for row in rows])
        for part in row_parts(*means.shape):
            means[part] = means[part] - task.control_means[types[part]] + control
    return TrainView(
        conditions=tuple(known[row] for row in rows),
        means=np.asarray(means, dtype=np.float64),
        control=np.asarray(control, dtype=np.float64),
    )
