"""How well a prediction finds its own perturbation among all held-out ones of the cell type.

The candidates are the perturbations of the cell type that any fold holds out, whichever fold is
scored, so a value does not depend on the number of folds.

``centroid_accuracy``: share of the other candidates whose truth is farther from ŷ than the right
one's, by Euclidean distance; 0.5 is chance. A tie counts half. Systema (Viñas Torné et al. 2025).
``perturbation_discrimination``: 1 - rank / N, by L1 distance of deltas, rank from 0 among the N
candidates; the target genes of the perturbation are left out of its distances. Best 1, worst
1 / N, chance (N + 1) / 2N, and a tie shares the middle rank (cell-eval leaves ties to the order of
an unstable sort). cell-eval, ``discrimination_score_l1``; the PDS of the Virtual Cell Challenge.
One candidate in a cell type has no rank: undefined, and left out of means. Loads scipy (L1
distances).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.evaluation.neighbours import Rivals, euclidean, manhattan, places
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues
from dygenept.types.gene_sets import target_columns


def centroid_accuracy(inputs: MetricInputs) -> MetricValues:
    """Return the share of the other held-out truths that are farther from ŷ, (n,).

    Example:
        One gene, truths 0, 1 and 3. From 0.9, one of two others is farther than the right one.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [1.0], [0.0]], [[0.0], [1.0], [3.0]])
        >>> centroid_accuracy(inputs).values
        array([0.5, 1. , 0. ])
    """
    found = places(inputs, lambda among: euclidean(inputs.predicted[among.rows], among.truth))
    return MetricValues(found.farther / np.maximum(found.others, 1.0), found.reasons)


def perturbation_discrimination(inputs: MetricInputs) -> MetricValues:
    """Return 1 - rank / N of the right perturbation, (n,).

    Example:
        One gene, true deltas 0, 1 and 3. From 0.9, the right one is the second of three.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [1.0], [0.0]], [[0.0], [1.0], [3.0]])
        >>> perturbation_discrimination(inputs).values.round(3)
        array([0.667, 1.   , 0.333])
    """
    columns = target_columns(inputs.conditions, inputs.gene_symbols)

    def distances(among: Rivals) -> DoubleArray:
        # Both sides of a distance have the same control, which cancels.
        found = manhattan(inputs.predicted[among.rows], among.truth)
        for place, row in enumerate(among.rows.tolist()):
            if columns[row]:
                genes = list(columns[row])
                difference = among.truth[:, genes] - inputs.predicted[row, genes]
                found[place] -= np.abs(difference).sum(axis=1)
        return found

    found = places(inputs, distances)
    n_candidates = found.others + 1.0
    return MetricValues(
        1.0 - (found.others - found.farther) / n_candidates,
        found.reasons,
        chance=(n_candidates + 1.0) / (2.0 * n_candidates),
    )


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return both metrics."""
    spec = partial(
        MetricSpec,
        higher_is_better=True,
        lower=0.0,
        upper=1.0,
        undefined="it is the only held-out perturbation of its cell type; left out of means",
    )
    return [
        spec(
            name="centroid_accuracy",
            summary="Share of other held-out perturbations farther from the prediction.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            factory=lambda config: centroid_accuracy,
            chance=0.5,
        ),
        spec(
            name="perturbation_discrimination",
            summary="Rank of the right perturbation among the held-out ones (PDS, L1).",
            source="cell-eval (Arc Institute), discrimination_score_l1; Wu et al. 2024",
            factory=lambda config: perturbation_discrimination,
        ),
    ]
