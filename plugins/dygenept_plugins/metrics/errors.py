"""Mean errors of the predicted pseudobulk, log1p expression; the control cancels.

``mse``: mean of (predicted - truth)² over all genes. GEARS (Roohani et al. 2024).
``mae``: mean of abs(predicted - truth) over all genes. cell-eval; the Virtual Cell Challenge.
``mse_top20``: as ``mse``, over the top-20 DE genes. GEARS.
``mae_top20``: mean of abs(predicted - truth) over the top-20 DE genes. LangPert (Märtens et al.
2025).
They load nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.evaluation.rows import gather_de, masked_mean
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

GEARS = "Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6"


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


def mae(inputs: MetricInputs) -> MetricValues:
    """Return the mean over G of abs(predicted - truth), (n,).

    Example:
        Errors of 0 and 2 have the mean size (0 + 2) / 2.

        >>> from dygenept.testing import small_metric_inputs
        >>> mae(small_metric_inputs(predicted=[[1.0, 2.0]], truth=[[1.0, 4.0]])).values
        array([1.])
    """
    return MetricValues(np.abs(inputs.predicted - inputs.truth).mean(axis=1))


def mse_top20(inputs: MetricInputs) -> MetricValues:
    """Return the mean over the DE list of (predicted - truth)², (n,).

    Example:
        The third gene is not a DE gene: (0 + 4) / 2.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0, 9.0]], [[1.0, 4.0, 0.0]], de_genes=[0, 1])
        >>> mse_top20(inputs).values
        array([2.])
    """
    error = _top20_error(inputs)
    return masked_mean(error**2, inputs.de_indices >= 0)


def mae_top20(inputs: MetricInputs) -> MetricValues:
    """Return the mean over the DE list of abs(Δ predicted - Δ truth), (n,).

    Example:
        The third gene is not a DE gene: (0 + 2) / 2.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0, 9.0]], [[1.0, 4.0, 0.0]], de_genes=[0, 1])
        >>> mae_top20(inputs).values
        array([1.])
    """
    error = _top20_error(inputs)
    return masked_mean(np.abs(error), inputs.de_indices >= 0)


def _top20_error(inputs: MetricInputs) -> DoubleArray:
    truth = gather_de(inputs.truth, inputs.de_indices)
    return gather_de(inputs.predicted, inputs.de_indices) - truth


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the errors."""
    spec = partial(metric_spec, higher_is_better=False, lower=0.0, by_row=True)
    top20 = partial(spec, undefined="the perturbation has no DE genes", uses_de_genes=True)
    return [
        spec(
            mse,
            formula="mean over genes of (ŷ − y)²",
            misleads=(
                "Most genes do not change, so control_mean is already good; a few highly expressed "
                "genes decide."
            ),
            use=(
                "To check that a model's scale is right; beside a correlation, which is blind to "
                "scale."
            ),
            summary="Mean squared error over all genes.",
            source=GEARS,
        ),
        spec(
            mae,
            formula="mean over genes of |ŷ − y|",
            misleads="As mse: unchanged genes dominate, though outliers count less.",
            use=(
                "For the score of the Virtual Cell Challenge, with des and "
                "perturbation_discrimination."
            ),
            summary="Mean absolute error over all genes.",
            source="cell-eval (Arc Institute), mae; Virtual Cell Challenge 2025",
            boards="named",
        ),
        top20(
            mae_top20,
            formula="mean over T of |ŷ − y|",
            misleads=(
                "T is chosen on the held-out cells by effect size, so larger predicted changes "
                "tend to win."
            ),
            use="To compare with LangPert's tables.",
            summary="Mean absolute error of the delta over the top-20 DE genes.",
            source="Märtens et al. 2025 (LangPert)",
        ),
        top20(
            mse_top20,
            formula="mean over T of (ŷ − y)²",
            misleads=(
                "One strongly changed gene may decide; strong perturbations weigh most in the mean."
            ),
            use="To compare with GEARS' and scGenePT's tables.",
            summary="Mean squared error over the top-20 DE genes.",
            source=GEARS,
        ),
    ]
