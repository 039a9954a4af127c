"""Metric: cosine between the predicted and the true change. Source: this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dygenept.plugin import MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricValues

if TYPE_CHECKING:
    from dygenept.plugin import Metric
    from dygenept.types import MetricInputs


def cosine_delta(inputs: MetricInputs) -> MetricValues:
    """Score each condition over all genes; a change of length 0 has no direction."""
    predicted = inputs.predicted - inputs.control
    truth = inputs.truth - inputs.control
    length = np.linalg.norm(predicted, axis=1) * np.linalg.norm(truth, axis=1)
    is_defined = length > 0
    values = np.full(len(length), np.nan)
    product = (predicted * truth).sum(axis=1)
    values[is_defined] = np.clip(product[is_defined] / length[is_defined], -1.0, 1.0)
    return MetricValues(
        values, {int(row): "no change to compare" for row in np.flatnonzero(~is_defined)}
    )


def build(config: PluginConfig) -> Metric:
    """Build the metric."""
    return cosine_delta


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric ``cosine_delta``."""
    return [
        MetricSpec(
            name="cosine_delta",
            summary="Cosine between predicted and true change, all genes.",
            source="this project",
            factory=build,
            higher_is_better=True,
            lower=-1.0,
            upper=1.0,
            neutral=0.0,
            undefined="predicted or true change is zero everywhere",
        )
    ]
