"""The truth itself: it must win every metric.

Source: this project. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.evaluation.closed_form import require_held_out
from dygenept.machine.tables import rows_of
from dygenept.plugin import BaselineSpec, PluginError, hookimpl
from dygenept.types import Condition, Predictions, Task


class Truth:
    """ŷ = y."""

    def __init__(self) -> None:
        self._task: Task | None = None

    def fit(self, task: Task) -> None:
        """Keep the task.

        Raises:
            PluginError: If the task hides the truth.
        """
        require_held_out(task, ())
        self._task = task

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the truth, (n, G).

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        if self._task is None:
            raise PluginError("truth predicts before it was fitted; call fit")
        held_out, rows = require_held_out(self._task, conditions)
        return Predictions(conditions=tuple(conditions), expression=rows_of(held_out.means, rows))


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the control."""
    return [
        BaselineSpec(
            name="truth",
            summary="The truth itself (ceiling).",
            source="this project",
            factory=lambda config: Truth(),
            role="ceiling",
            reads_halves=False,
        )
    ]
