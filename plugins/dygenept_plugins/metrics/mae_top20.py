"""Mean absolute error of the delta over the top-20 DE genes.

The control cancels, so this is the mean of abs(predicted - truth) over the list.
Source: LangPert (Märtens et al. 2025).
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.evaluation.rows import gather_de, masked_mean
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import MetricInputs, MetricValues


def mae_top20(inputs: MetricInputs) -> MetricValues:
    """Return the mean over the DE list of abs(Δ predicted - Δ truth), (n,).

    Example:
        The third gene is not a DE gene: (0 + 2) / 2.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0, 9.0]], [[1.0, 4.0, 0.0]], de_genes=[0, 1])
        >>> mae_top20(inputs).values
        array([1.])
    """
    error = gather_de(inputs.predicted - inputs.truth, inputs.de_indices)
    return masked_mean(np.abs(error), inputs.de_indices >= 0)


def _build(config: PluginConfig) -> Metric:
    return mae_top20


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="mae_top20",
            summary="Mean absolute error of the delta over the top-20 DE genes.",
            source="Märtens et al. 2025 (LangPert)",
            factory=_build,
            higher_is_better=False,
            lower=0.0,
            undefined="the perturbation has no DE genes",
            uses_de_genes=True,
        )
    ]
