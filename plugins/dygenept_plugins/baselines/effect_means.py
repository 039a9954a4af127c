"""What a table of effects lets one predict without knowing anything of the perturbation.

``gene_mean`` predicts each gene's own mean over its measured train pairs, shrunk to the mean of all
genes as if two more pairs had it: .85 to .98 of AUROC pooled over pairs, .5 per gene. ``majority``
predicts the label that most train pairs have (the mean of values). They load nothing.
Source: Wu et al. 2025 (PerturbQA); arXiv:2606.08816.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import Condition, DoubleArray

SOURCE = "Wu et al. 2025 (PerturbQA), arXiv:2502.21290"


class GeneMean(ClosedFormModel):
    """ŷ = the gene's mean over measured train pairs."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the means, (G,)."""
        effects = self.task.effects
        if effects is None:
            return view.mean
        own: DoubleArray = effects.gene_means[self.task.cell_types.index(conditions[0].cell_type)]
        return own


class Majority(ClosedFormModel):
    """ŷ = the commonest label of measured train pairs, the same for every pair."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return it for every gene, (G,)."""
        effects = self.task.effects
        known = view.means.ravel() if effects is None else self.task.means[effects.is_observed]
        if effects is None or effects.kind == "values":
            return np.full(view.means.shape[1], known.mean())
        labels, counts = np.unique(np.rint(known), return_counts=True)
        return np.full(view.means.shape[1], labels[counts.argmax()])


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the means."""
    return [
        BaselineSpec(
            name="gene_mean",
            summary="Each gene's mean over its measured train pairs.",
            source=SOURCE,
            factory=lambda config: GeneMean(),
            learns_from=("effects",),
        ),
        BaselineSpec(
            name="majority",
            summary="The label that most train pairs have.",
            source=SOURCE,
            factory=lambda config: Majority(),
            learns_from=("effects",),
        ),
    ]
