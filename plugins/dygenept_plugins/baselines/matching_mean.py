"""Averages the train perturbations that share a target gene.

Source: Systema (Viñas Torné et al. 2025). Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl
from dygenept.types import Condition, DoubleArray
from dygenept.types.gene_sets import gene_membership, numbered_targets


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
        by_gene = (trained.T @ view.means) / counts[:, None]  # (n_genes, G)
        asked = gene_membership(conditions, genes)  # (n, n_genes)
        n_matched = np.asarray(asked.sum(axis=1)).ravel()
        totals = asked @ by_gene  # (n, G)
        matched: DoubleArray = np.where(
            (n_matched > 0)[:, None], totals / np.maximum(n_matched, 1.0)[:, None], view.mean
        )
        return matched


def _build(config: PluginConfig) -> MatchingMean:
    return MatchingMean()


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="matching_mean",
            summary="Mean of the train perturbations that share a target gene.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            factory=_build,
        )
    ]
