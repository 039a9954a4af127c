"""The truth with its perturbation labels permuted: what knowing everything but the label gives.

A floor: a model that does not beat it has learned nothing about which gene was perturbed.
Source: openproblems-bio, negative controls. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.closed_form import require_held_out
from dygenept.evaluation.reference import train_view
from dygenept.machine.tables import empty_like
from dygenept.plugin import BaselineSpec, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, Predictions, Task


class Shuffled:
    """ŷ = the truth of another held-out perturbation of the same cell type."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._shuffled: dict[Condition, DoubleArray] = {}

    def fit(self, task: Task) -> None:
        """Permute the held-out truth within each cell type so that none keeps its own.

        The permutation is one random cycle, seeded by the run. A cell type with one held-out
        perturbation has nothing to exchange, and takes a random train perturbation instead.

        Raises:
            PluginError: If the task hides the truth.
        """
        held_out, _ = require_held_out(task, ())
        rng = np.random.default_rng(task.runtime.seed)
        self._task = task
        self._shuffled = {}
        rows = {condition: row for row, condition in enumerate(held_out.conditions)}
        for cell_type in sorted({condition.cell_type for condition in rows}):
            members = sorted(item for item in rows if item.cell_type == cell_type)
            if len(members) == 1:
                choices = train_view(task, cell_type).means
                self._shuffled[members[0]] = choices[int(rng.integers(len(choices)))]
                continue
            order = rng.permutation(len(members)).tolist()
            for taker, giver in zip(order, order[1:] + order[:1], strict=True):
                self._shuffled[members[taker]] = held_out.means[rows[members[giver]]]

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the permuted truth, (n, G).

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        if self._task is None:
            raise PluginError("shuffled predicts before it was fitted; call fit")
        require_held_out(self._task, conditions)
        shape = len(conditions), len(self._task.gene_ids)
        expression = empty_like(self._task.means, shape, np.float64)
        for row, condition in enumerate(conditions):
            expression[row] = self._shuffled[condition]
        return Predictions(conditions=tuple(conditions), expression=expression)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the control."""
    return [
        BaselineSpec(
            name="shuffled",
            summary="Truth with perturbation labels permuted (floor).",
            source="openproblems-bio/task_perturbation_prediction, negative controls",
            factory=lambda config: Shuffled(),
            role="floor",
            reads_halves=False,
        )
    ]
