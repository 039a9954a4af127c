"""Share of other held-out perturbations whose truth is farther than the right one's.

Euclidean distance from ŷ to every held-out y of the same cell type; 0.5 is chance. A tie counts
half. One held-out perturbation in a cell type has no rank: undefined, and left out of means.
Source: Systema (Viñas Torné et al. 2025).
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.evaluation.neighbours import euclidean, share_farther
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def centroid_accuracy(inputs: MetricInputs) -> MetricValues:
    """Return the share of the other held-out truths that are farther from ŷ, (n,).

    Example:
        One gene, truths 0, 1 and 3. From 0.9, one of two others is farther than the right one.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [1.0], [0.0]], [[0.0], [1.0], [3.0]])
        >>> centroid_accuracy(inputs).values
        array([0.5, 1. , 0. ])
    """
    farther, others, reasons = share_farther(
        inputs.conditions,
        lambda rows: euclidean(inputs.predicted[rows], inputs.truth[rows]),
    )
    return MetricValues(farther / np.maximum(others, 1.0), reasons)


def _build(config: PluginConfig) -> Metric:
    return centroid_accuracy


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="centroid_accuracy",
            summary="Share of other held-out perturbations farther from the prediction.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            factory=_build,
            higher_is_better=True,
            lower=0.0,
            upper=1.0,
            undefined="it is the only held-out perturbation of its cell type; left out of means",
        )
    ]
