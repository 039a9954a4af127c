"""Correlations and errors of measured values, and agreement of signs, per held-out perturbation.

``pearson_perturbation``, ``spearman_perturbation`` and ``mse_observed`` compare values,
``direction_match`` and ``significant_jaccard`` signs, and ``brier_perturbation`` the probabilities
of labels with what was measured: of two models with one order the better calibrated has the less.
Source: scipy's ``pearsonr`` and ``spearmanr`` over measured genes; the significant set and the
direction as in PIE (Arc Institute 2026, doi:10.64898/2026.10.02.756297). Loads nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from dygenept.plugin import EffectMetricSpec, MetricGuide, hookimpl
from dygenept.types import DoubleArray, GroupedPairs, grouped

CONSTANT = "fewer than two genes were measured, or truth or prediction is the same for all"
PIE = "Arc Institute 2026 (PIE), doi:10.64898/2026.10.02.756297"


def pearson(pairs: GroupedPairs) -> DoubleArray:
    """Return the correlation of predicted and measured values, (B, n_groups)."""
    return grouped.pearson(pairs, pairs.predicted, pairs.truth)


def spearman(pairs: GroupedPairs) -> DoubleArray:
    """Return the rank correlation of predicted and measured values, (B, n_groups)."""
    return grouped.spearman(pairs, pairs.predicted, pairs.truth)


def squared_error(pairs: GroupedPairs) -> DoubleArray:
    """Return the mean squared error over measured genes, (B, n_groups)."""
    return grouped.mean(pairs, (pairs.predicted - pairs.truth) ** 2)


def brier(pairs: GroupedPairs) -> DoubleArray:
    """Return the mean squared error of the probability of label 1, (B, n_groups), in [0, 1].

    A prediction below 0 counts as 0, and one above 1 as 1.
    """
    return squared_error(replace(pairs, predicted=np.clip(pairs.predicted, 0.0, 1.0)))


def same_direction(pairs: GroupedPairs) -> DoubleArray:
    """Return the share of significant genes whose sign is predicted; no sign is wrong."""
    significant = pairs.truth != 0.0
    right = (np.sign(pairs.predicted) == np.sign(pairs.truth)).astype(np.float64)
    return grouped.mean(replace(pairs, counts=pairs.counts * significant), right)


def significant_jaccard(pairs: GroupedPairs) -> DoubleArray:
    """Return the Jaccard index of the significant genes and as many of the largest predictions."""
    return grouped.top_overlap(pairs, labels=pairs.truth != 0.0, scores=np.abs(pairs.predicted))


@hookimpl
def dygenept_effect_metrics() -> list[EffectMetricSpec]:
    """Return them."""
    spec = partial(EffectMetricSpec, unit="perturbation")
    correlation = partial(spec, higher_is_better=True, lower=-1.0, upper=1.0, undefined=CONSTANT)
    of_significant = partial(
        spec,
        source=PIE,
        values=("signs",),
        higher_is_better=True,
        lower=0.0,
        upper=1.0,
        undefined="no gene is significant",
    )
    return [
        correlation(
            name="pearson_perturbation",
            guide=MetricGuide(
                formula="r of predicted and measured values over a perturbation's measured genes",
                misleads="A gene's mean over perturbations explains much of it.",
                use="For tables of effect sizes.",
            ),
            summary="Correlation of predicted and measured values per perturbation.",
            source="Pearson 1895",
            factory=lambda config: pearson,
            values=("values",),
        ),
        correlation(
            name="spearman_perturbation",
            guide=MetricGuide(
                formula="Spearman correlation over a perturbation's measured genes",
                misleads="As the Pearson form; blind to size.",
                use="For effect sizes whose scale is arbitrary, and for signs.",
            ),
            summary="Rank correlation of predicted and measured values per perturbation.",
            source="Spearman 1904",
            factory=lambda config: spearman,
            values=("values", "signs"),
        ),
        spec(
            name="mse_observed",
            guide=MetricGuide(
                formula="mean over measured pairs of (predicted − measured)²",
                misleads="Depends on the scale of the table; noisy genes dominate.",
                use="For tables of effect sizes on one scale.",
            ),
            summary="Mean squared error over the genes that were measured.",
            source="this project",
            factory=lambda config: squared_error,
            values=("values",),
            higher_is_better=False,
            lower=0.0,
        ),
        spec(
            name="brier_perturbation",
            guide=MetricGuide(
                formula=(
                    "mean over a perturbation's measured pairs of (probability of label 1 − "
                    "label)²; predictions are cut off at 0 and 1"
                ),
                misleads="Rare labels make it small for every model; compare with gene_mean.",
                use="For the calibration of probabilities, which areas under curves do not see.",
                chance="p(1 − p) for a rate p that is known",
            ),
            summary="Squared error of predicted probabilities of labels (Brier score).",
            source="Brier 1950, Monthly Weather Review 78:1",
            factory=lambda config: brier,
            values=("labels",),
            higher_is_better=False,
            lower=0.0,
            upper=1.0,
            by_default=False,
        ),
        of_significant(
            name="direction_match",
            guide=MetricGuide(
                formula="share of a perturbation's significant genes whose sign is predicted",
                misleads="A gene's usual direction explains much of it.",
                use="For tables of signs, as PIE does.",
            ),
            summary="Share of significant genes whose direction is predicted.",
            factory=lambda config: same_direction,
        ),
        of_significant(
            name="significant_jaccard",
            guide=MetricGuide(
                formula=(
                    "Jaccard index of the significant genes and as many of the largest predictions"
                ),
                misleads="Genes that always change are found by any model.",
                use="For tables of signs, as PIE does.",
            ),
            summary="Overlap of the significant genes with as many of the largest predictions.",
            factory=lambda config: significant_jaccard,
        ),
    ]
