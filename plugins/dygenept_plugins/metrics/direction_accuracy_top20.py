"""Share of the top-20 DE genes whose direction of change is right.

A gene counts where the predicted and the true delta have the same sign; no predicted change
counts as wrong, and so does what float32 rounding makes of it.
Source: GEARS (Roohani et al. 2024).
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.evaluation.rows import change, gather_de, masked_mean
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec


def direction_accuracy_top20(inputs: MetricInputs) -> MetricValues:
    """Return the share of the DE list with Δ predicted · Δ truth > 0, (n,).

    Example:
        Of deltas 1, -1, 0, 1 the first and the last have the sign of the true 2, 1, 1, 3.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 0.0, 1.0, 2.0]], truth=[[3.0, 2.0, 2.0, 4.0]], control=1.0
        ... )
        >>> direction_accuracy_top20(inputs).values
        array([0.5])
    """
    control = gather_de(inputs.control, inputs.de_indices)
    predicted = change(gather_de(inputs.predicted, inputs.de_indices), control)
    truth = gather_de(inputs.truth, inputs.de_indices) - control
    # Signs, since the product of two tiny deltas may underflow to zero.
    is_right = (np.sign(predicted) * np.sign(truth) > 0).astype(np.float64)
    return masked_mean(is_right, inputs.de_indices >= 0)


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        metric_spec(
            direction_accuracy_top20,
            formula="share of T with (ŷ − c)(y − c) > 0",
            misleads=(
                "Where most DE genes go one way, a constant sign does well; size does not count."
            ),
            use="Where directions matter more than sizes.",
            summary="Share of the top-20 DE genes that change in the right direction.",
            source="Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6",
            higher_is_better=True,
            lower=0.0,
            upper=1.0,
            chance=0.5,
            undefined="the perturbation has no DE genes",
            uses_de_genes=True,
            by_row=True,
        )
    ]
