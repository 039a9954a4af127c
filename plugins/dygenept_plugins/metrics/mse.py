"""Mean squared error over all genes.

Mean over genes of (predicted - truth)², on pseudobulk log1p expression; the control cancels.
Source: GEARS (Roohani et al. 2024).
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def mse(inputs: MetricInputs) -> MetricValues:
    """Return the mean over G of (predicted - truth)², (n,).

    Example:
        Errors of 0 and 2 have the mean square (0 + 4) / 2.

        >>> from dygenept.testing import small_metric_inputs
        >>> mse(small_metric_inputs(predicted=[[1.0, 2.0]], truth=[[1.0, 4.0]])).values
        array([2.])
    """
    error = inputs.predicted - inputs.truth
    return MetricValues(np.einsum("ng,ng->n", error, error) / error.shape[1])


def _build(config: PluginConfig) -> Metric:
    return mse


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="mse",
            summary="Mean squared error over all genes.",
            source="Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6",
            factory=_build,
            higher_is_better=False,
            lower=0.0,
        )
    ]
