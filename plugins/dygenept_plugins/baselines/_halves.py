"""What ceilings that predict one half of the cells from the other share."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from dygenept.evaluation.closed_form import require_held_out
from dygenept.plugin import PluginConfig, PluginError
from dygenept.types import Condition, HeldOut, Task


class HalvesConfig(PluginConfig):
    """Options of a ceiling from halved cells.

    Attributes:
        n_halves: Random halvings whose scores are averaged.
    """

    n_halves: int = Field(default=5, ge=1, le=1000)


class HalvesBaseline:
    """Keeps the task, which must show the truth.

    Args:
        name: Name of the ceiling, for errors.
        n_halves: Random halvings whose scores are averaged.
    """

    def __init__(self, name: str, n_halves: int) -> None:
        self._name, self._n_halves = name, n_halves
        self._task: Task | None = None

    def fit(self, task: Task) -> None:
        """Keep the task.

        Raises:
            PluginError: If the task hides the truth.
        """
        require_held_out(task, ())
        self._task = task

    def _held_out(self, conditions: Sequence[Condition]) -> tuple[Task, HeldOut, list[int]]:
        """Return the task, its truth and the truth's rows of some conditions.

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        if self._task is None:
            raise PluginError(f"{self._name} predicts before it was fitted; call fit")
        held_out, rows = require_held_out(self._task, conditions)
        return self._task, held_out, rows
