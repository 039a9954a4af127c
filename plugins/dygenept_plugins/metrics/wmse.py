"""Mean squared error weighted by how specific each gene is to the perturbation.

Weights: absolute t scores against all other perturbed cells, scaled to [0, 1] within the
perturbation, squared, and summing to 1. Equal scores weigh all genes alike. A perturbation with
one cell, or the only one of its cell type, has no score: undefined, and left out of means.
Source: Mejia et al. 2025 (Diversity by Design).
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues

NO_SCORES = "no DE scores against the rest"


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
    n_conditions = len(inputs.conditions)
    if inputs.de_tests is None:
        return MetricValues(
            np.full(n_conditions, np.nan), dict.fromkeys(range(n_conditions), NO_SCORES)
        )
    weights = de_weights(inputs.de_tests.scores_vs_rest)
    values = np.einsum("ng,ng->n", weights, (inputs.predicted - inputs.truth) ** 2)
    undefined = np.flatnonzero(np.isnan(values)).tolist()
    return MetricValues(values, dict.fromkeys(undefined, NO_SCORES))


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


def _build(config: PluginConfig) -> Metric:
    return wmse


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="wmse",
            summary="Mean squared error weighted by DE scores against the other perturbations.",
            source="Mejia et al. 2025 (Diversity by Design), arXiv:2506.22641",
            factory=_build,
            higher_is_better=False,
            lower=0.0,
            undefined="it has one cell or no other perturbation beside it; left out of means",
            uses_de_tests=True,
        )
    ]
