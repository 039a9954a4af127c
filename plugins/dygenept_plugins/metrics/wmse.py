"""Errors weighted by how specific each gene is to the perturbation.

``wmse``: weighted mean squared error.
``weighted_r2_delta``: weighted R² of the change from control, 1 - Σ w(Δ̂ - Δ)² / Σ w(Δ - Δ̄)², Δ̄
the weighted mean of Δ. ``weighted_r2_delta_perturbed_ref``: the same of the change from m, the mean
of the train perturbations, of which m itself has at most 0. 1 is perfect, 0 is the weighted mean
change in all genes, and there is no lower bound: a few wild values decide a mean.
Weights: absolute t scores against all other perturbed cells, scaled to [0, 1] within the
perturbation, squared, and summing to 1. Equal scores weigh all genes alike. A perturbation with
one cell, or the only one of its cell type, has no score: undefined, and left out of means.
Source: Mejia et al. 2025 (Diversity by Design).
They load nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.evaluation.rows import ROUNDING, none_defined, row_scale
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DeTests, DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NO_SCORES = "no DE scores against the rest"
CONSTANT = "constant truth"
MEJIA = "Mejia et al. 2025 (Diversity by Design), arXiv:2506.22641"


def wmse(inputs: MetricInputs) -> MetricValues:
    """Return the weighted mean over G of (predicted - truth)², (n,).

    Example:
        Scores 0, 2, 4 scale to 0, 0.5, 1; their squares weigh 0, 0.2, 0.8: 0.2 · 1 + 0.8 · 4.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> from dygenept.types import DeTests
        >>> plain = small_metric_inputs([[1.0, 1.0, 2.0]], [[0.0, 0.0, 0.0]])
        >>> tests = DeTests(np.zeros((1, 3), dtype=bool), np.array([[0.0, -2.0, 4.0]]))
        >>> wmse(replace(plain, de_tests=tests)).values.round(12)
        array([3.4])
    """
    if inputs.de_tests is None:
        return none_defined(inputs, NO_SCORES)
    values = _weighted_error(inputs, inputs.de_tests)
    undefined = np.flatnonzero(np.isnan(values)).tolist()
    return MetricValues(values, dict.fromkeys(undefined, NO_SCORES))


def weighted_r2_delta(inputs: MetricInputs) -> MetricValues:
    """Return the weighted R² of the change from control, (n,).

    Example:
        Weights 0, 0.2 and 0.8 of the true changes 0, 0, 5, whose weighted mean is 4: the spread is
        0.2 · 16 + 0.8 · 1 = 4, the error 0.8 · 1.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> from dygenept.types import DeTests
        >>> plain = small_metric_inputs([[9.0, 1.0, 5.0]], [[1.0, 1.0, 6.0]], control=1.0)
        >>> tests = DeTests(np.zeros((1, 3), dtype=bool), np.array([[0.0, -2.0, 4.0]]))
        >>> weighted_r2_delta(replace(plain, de_tests=tests)).values.round(12)
        array([0.8])
    """
    return _weighted_r2(inputs, inputs.control, "control")


def weighted_r2_delta_perturbed_ref(inputs: MetricInputs) -> MetricValues:
    """Return the weighted R² of the change from m, (n,).

    Example:
        As for the change from control, with m in its place.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> from dygenept.types import DeTests
        >>> plain = small_metric_inputs([[9.0, 1.0, 5.0]], [[1.0, 1.0, 6.0]], perturbed_mean=1.0)
        >>> tests = DeTests(np.zeros((1, 3), dtype=bool), np.array([[0.0, -2.0, 4.0]]))
        >>> weighted_r2_delta_perturbed_ref(replace(plain, de_tests=tests)).values.round(12)
        array([0.8])
    """
    return _weighted_r2(inputs, inputs.perturbed_mean, "perturbed_mean")


def _weighted_r2(inputs: MetricInputs, reference: DoubleArray, name: str) -> MetricValues:
    n_conditions = len(inputs.conditions)
    if inputs.de_tests is None:
        return none_defined(inputs, NO_SCORES)
    weights = _weights(inputs, inputs.de_tests)

    def of_truth() -> tuple[DoubleArray, DoubleArray]:
        delta = inputs.truth - reference
        mean = np.einsum("ng,ng->n", weights, delta)  # Weights sum to 1.
        spread = np.einsum("ng,ng->n", weights, (delta - mean[:, None]) ** 2)
        return spread, (ROUNDING * row_scale(inputs.truth, reference)) ** 2

    spread, rounding = inputs.once_of_truth(f"wmse.spread from {name}", of_truth)
    error = _weighted_error(inputs, inputs.de_tests)
    values = np.full(n_conditions, np.nan)
    np.divide(error, spread, out=values, where=spread > rounding)
    reasons = dict.fromkeys(np.flatnonzero(np.isnan(values)).tolist(), CONSTANT)
    reasons |= dict.fromkeys(np.flatnonzero(np.isnan(spread)).tolist(), NO_SCORES)
    return MetricValues(1.0 - values, reasons)


def _weights(inputs: MetricInputs, tests: DeTests) -> DoubleArray:
    return inputs.once_of_tests("wmse.weights", lambda: de_weights(tests.scores_vs_rest))


def _weighted_error(inputs: MetricInputs, tests: DeTests) -> DoubleArray:
    def compute() -> DoubleArray:
        error = inputs.predicted - inputs.truth
        error *= error
        found: DoubleArray = np.einsum("ng,ng->n", _weights(inputs, tests), error)
        return found

    return inputs.once("wmse.weighted_error", compute)


def de_weights(scores: DoubleArray) -> DoubleArray:
    """Turn DE scores into weights that sum to 1.

    Args:
        scores: t scores, (n, G); infinite ones weigh as the largest finite one of their row.

    Returns:
        (n, G); NaN where a row has NaN scores.
    """
    strength = np.abs(scores)
    is_infinite = np.isinf(strength)
    if is_infinite.any():
        finite = np.where(is_infinite, 0.0, strength).max(axis=1, keepdims=True)
        strength = np.where(is_infinite, np.maximum(finite, 1.0), strength)
    low = strength.min(axis=1, keepdims=True)
    span = strength.max(axis=1, keepdims=True) - low
    scaled = np.where(span > 0, (strength - low) / np.where(span > 0, span, 1.0), 1.0)
    scaled = np.where(np.isnan(strength), np.nan, scaled) ** 2
    weights: DoubleArray = scaled / scaled.sum(axis=1, keepdims=True)
    return weights


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metrics."""
    undefined = "it has one cell or no other perturbation beside it; left out of means"
    r2 = partial(
        metric_spec,
        source=MEJIA,
        higher_is_better=True,
        upper=1.0,
        undefined=f"the change is the same in all genes, or {undefined}",
        uses_de_tests=True,
        by_row=True,
        boards="named",
    )
    return [
        metric_spec(
            wmse,
            formula=(
                "mean over genes of w(ŷ − y)², w squared min-max-scaled |t| against all other "
                "perturbed cells"
            ),
            misleads="Weights come from the held-out cells; with few cells they are noise.",
            use="As an error that the mean of all perturbations cannot win.",
            summary="Mean squared error weighted by DE scores against the other perturbations.",
            source=MEJIA,
            higher_is_better=False,
            lower=0.0,
            undefined=undefined,
            uses_de_tests=True,
            by_row=True,
        ),
        r2(
            weighted_r2_delta,
            formula="1 − Σ w(ŷ − y)² / Σ w(Δ − Δ̄)², weights as for wmse, Δ = y − c",
            misleads="No lower bound: one bad perturbation may decide the mean.",
            use="Beside wmse, for a scale with 1 at the top.",
            summary="Weighted R² of the delta, genes weighted as for wmse.",
        ),
        r2(
            weighted_r2_delta_perturbed_ref,
            formula="the same with Δ = y − m",
            misleads="As the other; harsher, since what all perturbations share is taken away.",
            use="As a strict test of what a model knows of a single perturbation.",
            summary="Weighted R² of the change from the mean train perturbation.",
        ),
    ]
