"""Correlation of the change from the mean perturbation, over all genes.

Pearson r of ŷ - m and y - m, m the mean of the train perturbations: what all perturbations share
earns nothing. An undefined value counts as 0.
Source: Systema (Viñas Torné et al. 2025), calibrated reference.
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.evaluation.rows import masked_pearson, row_scale
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def pearson_delta_perturbed_ref(inputs: MetricInputs) -> MetricValues:
    """Return r(predicted - m, truth - m) over all G genes, (n,).

    Example:
        Changes from m of 1, 2, 3 and 1, 3, 2 correlate at 0.5; m itself has none.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[5.0, 6.0, 7.0], [4.0, 4.0, 4.0]],
        ...     truth=[[5.0, 7.0, 6.0], [5.0, 7.0, 6.0]],
        ...     perturbed_mean=4.0,
        ... )
        >>> pearson_delta_perturbed_ref(inputs).values.round(12)
        array([0.5, nan])
    """
    return masked_pearson(
        inputs.predicted - inputs.perturbed_mean,
        inputs.truth - inputs.perturbed_mean,
        np.ones(inputs.truth.shape, dtype=np.bool_),
        predicted_scale=row_scale(inputs.predicted, inputs.perturbed_mean),
        truth_scale=row_scale(inputs.truth, inputs.perturbed_mean),
    )


def _build(config: PluginConfig) -> Metric:
    return pearson_delta_perturbed_ref


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="pearson_delta_perturbed_ref",
            summary="Pearson correlation of the change from the mean train perturbation.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            factory=_build,
            higher_is_better=True,
            lower=-1.0,
            upper=1.0,
            neutral=0.0,
            undefined="either side is constant (such as perturbed_mean itself)",
        )
    ]
