"""Predicts the same for every perturbation: the mean of the train perturbations.

Each perturbation counts once, whatever its number of cells; control is not among them.
Source: LangPert (Märtens et al. 2025); Systema (Viñas Torné et al. 2025). Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl
from dygenept.types import Condition, DoubleArray


class PerturbedMean(ClosedFormModel):
    """ŷ = unweighted mean of y over the train perturbations of the cell type."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the mean, (G,)."""
        return view.mean


def _build(config: PluginConfig) -> PerturbedMean:
    return PerturbedMean()


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="perturbed_mean",
            summary="Unweighted mean of the train perturbations.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            factory=_build,
        )
    ]
