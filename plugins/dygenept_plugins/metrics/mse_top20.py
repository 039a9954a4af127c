"""Mean squared error over the top-20 DE genes.

Mean over the list of (predicted - truth)², on pseudobulk log1p expression.
Source: GEARS (Roohani et al. 2024).
Loads nothing.
"""

from __future__ import annotations

from dygenept.evaluation.rows import gather_de, masked_mean
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def mse_top20(inputs: MetricInputs) -> MetricValues:
    """Return the mean over the DE list of (predicted - truth)², (n,).

    Example:
        The third gene is not a DE gene: (0 + 4) / 2.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0, 9.0]], [[1.0, 4.0, 0.0]], de_genes=[0, 1])
        >>> mse_top20(inputs).values
        array([2.])
    """
    error = gather_de(inputs.predicted - inputs.truth, inputs.de_indices)
    return masked_mean(error**2, inputs.de_indices >= 0)


def _build(config: PluginConfig) -> Metric:
    return mse_top20


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="mse_top20",
            summary="Mean squared error over the top-20 DE genes.",
            source="Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6",
            factory=_build,
            higher_is_better=False,
            lower=0.0,
            undefined="the perturbation has no DE genes",
            uses_de_genes=True,
        )
    ]
