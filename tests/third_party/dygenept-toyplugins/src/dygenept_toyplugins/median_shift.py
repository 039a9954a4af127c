"""Baseline that predicts the median change of the known perturbations. Source: this project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl
from dygenept.types import Predictions

if TYPE_CHECKING:
    from dygenept.types import Condition, Task


class MedianShift:
    """Control plus the gene-wise median change."""

    def fit(self, task: Task) -> None:
        """Take the median over train and validation perturbations of all cell types."""
        control = np.stack([task.control_mean(condition.cell_type) for condition in task.known])
        self.shift = np.median(task.means - control, axis=0)  # (G,)
        self.control = {name: task.control_mean(name) for name in task.cell_types}

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict the same change for every perturbation."""
        rows = [self.control[condition.cell_type] + self.shift for condition in conditions]
        return Predictions(
            tuple(conditions), np.asarray(rows, dtype=np.float64).reshape(-1, len(self.shift))
        )


def build(config: PluginConfig) -> MedianShift:
    """Build the baseline."""
    return MedianShift()


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline ``median_shift``."""
    return [
        BaselineSpec(
            name="median_shift",
            summary="Control plus the median change of the known perturbations.",
            source="this project",
            factory=build,
        )
    ]
