"""Correlation of expression over the top-20 DE genes.

Pearson r of predicted and true mean expression; an undefined value counts as 0.
Source: GEARS (Roohani et al. 2024).
Loads nothing.
"""

from __future__ import annotations

from dygenept.evaluation.rows import gather_de, masked_pearson, row_scale
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def pearson_top20(inputs: MetricInputs) -> MetricValues:
    """Return r(predicted, truth) over the DE list, (n,).

    Example:
        Over the three DE genes, 2, 3, 4 and 2, 4, 3 correlate at 0.5, whatever control is.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 3.0, 4.0, 9.0]], truth=[[2.0, 4.0, 3.0, 1.0]], de_genes=[0, 1, 2]
        ... )
        >>> pearson_top20(inputs).values.round(12)
        array([0.5])
    """
    predicted = gather_de(inputs.predicted, inputs.de_indices)
    truth = gather_de(inputs.truth, inputs.de_indices)
    return masked_pearson(
        predicted,
        truth,
        inputs.de_indices >= 0,
        predicted_scale=row_scale(predicted),
        truth_scale=row_scale(truth),
    )


def _build(config: PluginConfig) -> Metric:
    return pearson_top20


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="pearson_top20",
            summary="Pearson correlation of expression over the top-20 DE genes.",
            source="Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6",
            factory=_build,
            higher_is_better=True,
            lower=-1.0,
            upper=1.0,
            neutral=0.0,
            undefined="either side is constant, or there are fewer than two DE genes",
            uses_de_genes=True,
        )
    ]
