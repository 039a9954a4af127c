"""Correlation of the delta over the top-20 DE genes.

Pearson r of predicted and true change from the real control; an undefined value counts as 0.
Source: GEARS (Roohani et al. 2024); LangPert (Märtens et al. 2025).
Loads nothing.
"""

from __future__ import annotations

from dygenept.evaluation.rows import gather_de, masked_pearson, row_scale
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def pearson_delta_top20(inputs: MetricInputs) -> MetricValues:
    """Return r(Δ predicted, Δ truth) over the DE list, (n,).

    Example:
        Over the three DE genes, deltas of 1, 2, 3 and 1, 3, 2 correlate at 0.5.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 3.0, 4.0, 9.0]],
        ...     truth=[[2.0, 4.0, 3.0, 1.0]],
        ...     control=1.0,
        ...     de_genes=[0, 1, 2],
        ... )
        >>> pearson_delta_top20(inputs).values.round(12)
        array([0.5])
    """
    predicted = gather_de(inputs.predicted, inputs.de_indices)
    truth = gather_de(inputs.truth, inputs.de_indices)
    control = gather_de(inputs.control, inputs.de_indices)
    return masked_pearson(
        predicted - control,
        truth - control,
        inputs.de_indices >= 0,
        predicted_scale=row_scale(predicted, control),
        truth_scale=row_scale(truth, control),
    )


def _build(config: PluginConfig) -> Metric:
    return pearson_delta_top20


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="pearson_delta_top20",
            summary="Pearson correlation of the delta over the top-20 DE genes.",
            source="Roohani et al. 2024 (GEARS); Märtens et al. 2025 (LangPert)",
            factory=_build,
            higher_is_better=True,
            lower=-1.0,
            upper=1.0,
            neutral=0.0,
            undefined="either side is constant, or there are fewer than two DE genes",
            uses_de_genes=True,
        )
    ]
