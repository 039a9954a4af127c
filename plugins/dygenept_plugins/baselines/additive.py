"""Adds up the deltas of the single perturbations.

Source: Ahlmann-Eltze et al. 2025 (the additive model), with the mean delta for singles unseen.
Loads nothing.
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


class Additive(ClosedFormModel):
    """ŷ = c + sum over target genes of the delta of the single."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G).

        A single that is not in train has the delta of the mean of the train perturbations.
        """
        rows = [row for row, item in enumerate(view.conditions) if len(item.genes) == 1]
        singles = [view.conditions[row] for row in rows]
        genes = numbered_targets(singles)
        trained = gene_membership(singles, genes)  # (n_singles, n_genes)
        counts = np.asarray(trained.sum(axis=0)).ravel()
        asked = gene_membership(conditions, genes)  # (n, n_genes)
        n_known = np.asarray(asked.sum(axis=1)).ravel()
        n_targets = np.array([len(item.genes) for item in conditions], dtype=np.float64)
        n_unseen, typical = (n_targets - n_known)[:, None], view.mean - view.control

        def predict(columns: slice) -> DoubleArray:
            control = view.control[columns]
            deltas = view.means[rows, columns] - control
            by_gene = (trained.T @ deltas) / counts[:, None]  # (n_genes, n_columns)
            predicted: DoubleArray = control + asked @ by_gene + n_unseen * typical[columns]
            return predicted

        shape = len(conditions), len(view.control)
        return filled_by_columns(view.means, shape, predict, n_read=len(view.conditions))


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="additive",
            summary="Control plus the sum of the single perturbations' deltas.",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            factory=lambda config: Additive(),
        )
    ]
