"""Means that say nothing of what a perturbation does by itself; the bars that a model must clear.

``control_mean`` predicts that nothing happens: the mean of the cell type's control cells, the usual
null model.
``perturbed_mean`` predicts the same for every perturbation: the mean of the train perturbations,
each of which counts once, whatever its number of cells. LangPert (Märtens et al. 2025); Systema
(Viñas Torné et al. 2025).
``matching_mean`` averages the train perturbations that share a target gene. Systema.
They load nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.machine.tables import filled_by_columns
from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import Condition, DoubleArray
from dygenept.types.gene_sets import gene_membership, numbered_targets

SYSTEMA = "Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8"


class ControlMean(ClosedFormModel):
    """ŷ = c."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the control mean, (G,)."""
        return view.control


class PerturbedMean(ClosedFormModel):
    """ŷ = unweighted mean of y over the train perturbations of the cell type."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the mean, (G,)."""
        return view.mean


class MatchingMean(ClosedFormModel):
    """ŷ = mean over target genes of the mean of the train perturbations with that gene."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G).

        A target gene that no train perturbation has is left out; where all are, the prediction
        is the mean of the train perturbations.
        """
        genes = numbered_targets(view.conditions)
        trained = gene_membership(view.conditions, genes)  # (n_train, n_genes)
        # Every gene here occurs in a train perturbation, so no count is zero.
        counts = np.asarray(trained.sum(axis=0)).ravel()
        asked = gene_membership(conditions, genes)  # (n, n_genes)
        n_matched = np.asarray(asked.sum(axis=1)).ravel()
        is_matched, mean = (n_matched > 0)[:, None], view.mean

        def predict(columns: slice) -> DoubleArray:
            by_gene = (trained.T @ view.means[:, columns]) / counts[:, None]
            totals = asked @ by_gene  # (n, n_columns)
            matched: DoubleArray = np.where(
                is_matched, totals / np.maximum(n_matched, 1.0)[:, None], mean[columns]
            )
            return matched

        shape = len(conditions), len(view.control)
        return filled_by_columns(view.means, shape, predict, n_read=len(view.conditions))


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the means."""
    return [
        BaselineSpec(
            name="control_mean",
            summary="Mean of the control cells.",
            source="this project; the usual null model",
            factory=lambda config: ControlMean(),
        ),
        BaselineSpec(
            name="perturbed_mean",
            summary="Unweighted mean of the train perturbations.",
            source=SYSTEMA,
            factory=lambda config: PerturbedMean(),
        ),
        BaselineSpec(
            name="matching_mean",
            summary="Mean of the train perturbations that share a target gene.",
            source=SYSTEMA,
            factory=lambda config: MatchingMean(),
        ),
    ]
