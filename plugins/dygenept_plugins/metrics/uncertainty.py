"""Whether a model knows how wrong it is: metrics of the spread that a model may return.

The spread s is the standard deviation of the error of each predicted mean (see ``PredictsSpread``),
and the error of a gene is taken as Gaussian.
``coverage_90_error``: absolute difference between 0.9 and the share of genes with
|y - ŷ| ≤ 1.645 s. 0 is best; too wide a spread, which covers all genes, has 0.1.
``crps``: mean over genes of the continuous ranked probability score of a Gaussian in closed form,
s · (z (2 Φ(z) - 1) + 2 φ(z) - 1 / √π) with z = (y - ŷ) / s; |y - ŷ| where s is 0. Gneiting and
Raftery 2007, equation 21; log1p units. It asks for the right mean and the right spread together.
``spread_spearman``: Spearman correlation over genes of |y - ŷ| and s, ties sharing their mean rank.
Undefined for a model that returns no spread, and left out of means. Loads scipy.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.evaluation.rows import masked_pearson, none_defined, row_scale
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NOMINAL = 0.9
NO_SPREAD = "the model returns no spread"


def coverage_90_error(inputs: MetricInputs) -> MetricValues:
    """Return how far the share of genes inside their 90 % intervals is from 0.9, (n,).

    Example:
        Two genes, spread 1. One error of 1 is inside ±1.645, one of 2 is not: |0.5 - 0.9| = 0.4.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0]], [[0.0, 0.0]])
        >>> coverage_90_error(replace(inputs, spread=np.ones((1, 2)))).values.round(3)
        array([0.4])
    """
    if inputs.spread is None:
        return none_defined(inputs, NO_SPREAD)
    from scipy.special import ndtri

    width = float(ndtri((1 + NOMINAL) / 2))
    inside = np.abs(inputs.truth - inputs.predicted) <= width * inputs.spread
    return MetricValues(np.abs(inside.mean(axis=1) - NOMINAL))


def crps(inputs: MetricInputs) -> MetricValues:
    """Return the mean Gaussian CRPS over genes, (n,).

    Example:
        One gene, spread 1, no error: 2 φ(0) - 1 / √π = 0.798 - 0.564 = 0.234.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0]], [[1.0]])
        >>> crps(replace(inputs, spread=np.ones((1, 1)))).values.round(3)
        array([0.234])
    """
    if inputs.spread is None:
        return none_defined(inputs, NO_SPREAD)
    from scipy.special import ndtr

    error = np.abs(inputs.truth - inputs.predicted)
    spread = inputs.spread
    z = np.divide(error, spread, out=np.zeros_like(error), where=spread > 0)
    density = np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)
    closed = spread * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return MetricValues(np.where(spread > 0, closed, error).mean(axis=1))


def spread_spearman(inputs: MetricInputs) -> MetricValues:
    """Return the rank correlation over genes of error and spread, (n,).

    Example:
        Errors 1, 2, 3 under spreads 1, 3, 2: ranks 1, 2, 3 and 1, 3, 2, of which the correlation
        is 1 - 6 · 2 / (3 · 8) = 0.5.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0]])
        >>> spread = np.array([[1.0, 3.0, 2.0]])
        >>> spread_spearman(replace(inputs, spread=spread)).values.round(3)
        array([0.5])
    """
    if inputs.spread is None:
        return none_defined(inputs, NO_SPREAD)
    from scipy.stats import rankdata

    errors = rankdata(np.abs(inputs.truth - inputs.predicted), axis=1).astype(np.float64)
    spreads = rankdata(inputs.spread, axis=1).astype(np.float64)
    found = masked_pearson(
        spreads,
        errors,
        np.ones(errors.shape, dtype=np.bool_),
        predicted_scale=_none(errors),
        truth_scale=_none(errors),
    )
    reasons = {row: reason.replace("prediction", "spread") for row, reason in found.reasons.items()}
    return MetricValues(found.values, reasons)


def _none(values: DoubleArray) -> DoubleArray:
    # Ranks are exact: nothing of them is rounding.
    return 0.0 * row_scale(values)


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the three metrics."""
    spec = partial(metric_spec, uses_spread=True, by_row=True, boards="named")
    without = "the model returns no spread; left out of means"
    return [
        spec(
            coverage_90_error,
            formula="|0.9 − share of genes with |y − ŷ| ≤ 1.645 s|",
            misleads=(
                "A spread that is too wide for some genes and too narrow for others may cover 90 %."
            ),
            use="To see whether a model's intervals hold, beside crps.",
            summary="How far the coverage of the 90 % intervals of genes is from 0.9.",
            source="Gneiting et al. 2007, doi:10.1111/j.1467-9868.2007.00587.x",
            higher_is_better=False,
            lower=0.0,
            upper=0.9,
            undefined=without,
        ),
        spec(
            crps,
            formula="mean over genes of s(z(2Φ(z) − 1) + 2φ(z) − 1/√π), z = (y − ŷ) / s",
            misleads="Mostly the error of the mean: a good mean with a poor spread may win.",
            use="For models that give a spread; lower only if both mean and spread are good.",
            summary="Continuous ranked probability score of a Gaussian with the model's spread.",
            source="Gneiting & Raftery 2007, doi:10.1198/016214506000001437, equation 21",
            higher_is_better=False,
            lower=0.0,
            undefined=without,
        ),
        spec(
            spread_spearman,
            formula="Spearman correlation over genes of |y − ŷ| and s",
            misleads=(
                "Highly expressed genes have both larger errors and larger spreads, so a constant "
                "guess by level does well."
            ),
            use="To see whether a model knows where it is wrong.",
            summary="Rank correlation over genes of the error and the model's spread.",
            source="Spearman 1904, doi:10.2307/1412159",
            higher_is_better=True,
            lower=-1.0,
            upper=1.0,
            chance=0.0,
            undefined=f"{without}; errors or spreads of all genes are alike",
        ),
    ]
