"""One half of the cells predicts the other: the noise ceiling.

Source: openproblems-bio, positive controls; Ahlmann-Eltze et al. 2025. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.errors import PluginError
from dygenept.evaluation.closed_form import require_held_out
from dygenept.hookspecs import hookimpl
from dygenept.specs import BaselineSpec, PluginConfig
from dygenept.types import Condition, Predictions, Task


class TechnicalDuplicate:
    """ŷ = mean of one random half of the cells, scored against the other half."""

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
        """Return one half as the prediction and the other as the truth, (n, G) each.

        A condition with one cell has no second half: its truth is NaN here, so it is undefined
        under every metric, and its prediction is the cell's own expression.

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        if self._task is None:
            raise PluginError("technical_duplicate predicts before it was fitted; call fit")
        held_out, rows = require_held_out(self._task, conditions)
        first, second = held_out.half_means[:, rows]
        has_both = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
        return Predictions(
            conditions=tuple(conditions),
            expression=np.where(has_both[:, None], first, held_out.means[rows]),
            truth=np.where(has_both[:, None], second, np.nan),
        )


def _build(config: PluginConfig) -> TechnicalDuplicate:
    return TechnicalDuplicate()


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the control."""
    return [
        BaselineSpec(
            name="technical_duplicate",
            summary="One random half of the cells scored against the other (noise ceiling).",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            factory=_build,
            role="ceiling",
        )
    ]
