"""Correlation of the delta over all genes.

Pearson r of predicted and true change from the real control; an undefined value counts as 0.
Source: GEARS (Roohani et al. 2024).
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.evaluation.rows import masked_pearson, row_scale
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def pearson_delta(inputs: MetricInputs) -> MetricValues:
    """Return r(Δ predicted, Δ truth) over all G genes, (n,).

    Example:
        Deltas of 1, 2, 3 and 1, 3, 2 correlate at 0.5; control itself has no delta to correlate.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 3.0, 4.0], [1.0, 1.0, 1.0]],
        ...     truth=[[2.0, 4.0, 3.0], [2.0, 4.0, 3.0]],
        ...     control=1.0,
        ... )
        >>> result = pearson_delta(inputs)
        >>> result.values.round(12)
        array([0.5, nan])
        >>> result.reasons
        {1: 'constant prediction'}
    """
    return masked_pearson(
        inputs.predicted - inputs.control,
        inputs.truth - inputs.control,
        np.ones(inputs.truth.shape, dtype=np.bool_),
        predicted_scale=row_scale(inputs.predicted, inputs.control),
        truth_scale=row_scale(inputs.truth, inputs.control),
    )


def _build(config: PluginConfig) -> Metric:
    return pearson_delta


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="pearson_delta",
            summary="Pearson correlation of the delta over all genes.",
            source="Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6",
            factory=_build,
            higher_is_better=True,
            lower=-1.0,
            upper=1.0,
            neutral=0.0,
            undefined="either side is constant, or there are fewer than two genes",
        )
    ]
