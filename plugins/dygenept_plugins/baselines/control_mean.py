"""Predicts that nothing happens: the mean of the cell type's control cells.

Source: the usual null model. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl
from dygenept.types import Condition, DoubleArray


class ControlMean(ClosedFormModel):
    """ŷ = c."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the control mean, (G,)."""
        return view.control


def _build(config: PluginConfig) -> ControlMean:
    return ControlMean()


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="control_mean",
            summary="Mean of the control cells.",
            source="this project; the usual null model",
            factory=_build,
        )
    ]
