"""Paired comparison of two models, Holm's correction over several, and the share of a gap closed.

The gap is the way from the best trivial prediction to the noise ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dygenept.evaluation.bootstrap import N_DRAWS
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.mean_intervals import ROUNDING, MeanIntervals, mean_intervals
from dygenept.evaluation.sign_flip import sign_flip_p_values
from dygenept.types import DoubleArray

ALPHA = 0.05
NOT_ABOVE = "the ceiling does not exceed the reference beyond noise"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean difference of two models over the same held-out conditions.

    Attributes:
        difference: Mean of first minus second.
        ci_low: Lower end of its 95 % interval; None for fewer than three perturbations.
        ci_high: Upper end.
        p_value: Two-sided; see ``paired_intervals``.
        n_perturbations: Held-out conditions that both have.
    """

    difference: float
    ci_low: float | None
    ci_high: float | None
    p_value: float
    n_perturbations: int


def paired_intervals(
    first: DoubleArray, second: DoubleArray, clusters: Clusters, *, n_models: int = 2, seed: int = 0
) -> MeanIntervals:
    """Compare columns with one column, perturbation by perturbation.

    Args:
        first: Values of K models, (n, K).
        second: Values of what they are compared with, (n,).
        clusters: Perturbation and cell type of each of the n values.
        n_models: Models that are compared at once; more of them take more draws, so that p can
            still be small after correction.
        seed: Seed of the draws.

    Returns:
        First minus second. p is the larger one of the interval's and of the sign-flip test's, and
        so never smaller than the number of perturbations allows.
    """
    differences = first - second[:, None]
    scale = np.maximum(np.abs(first), np.abs(second)[:, None])
    differences = np.where(np.abs(differences) > ROUNDING * scale, differences, 0.0)
    n_draws = max(N_DRAWS, 80 * n_models)
    found = mean_intervals(differences, clusters, n_draws=n_draws, seed=seed)
    units = clusters.by_perturbation(differences)
    flipped = sign_flip_p_values(units, n_draws=n_draws, seed=seed)
    return replace(found, p_values=np.maximum(found.p_values, flipped))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p values for their number: step-down Bonferroni, monotone, at most 1.

    Source: Holm 1979.
    """
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return tuple(corrected)


@dataclass(frozen=True, slots=True)
class GapClosed:
    """Shares of one gap, each with its 95 % interval.

    Attributes:
        shares: 0 at the reference, 1 at the ceiling, (K,); nan where there is no gap.
        low: Lower ends, (K,).
        high: Upper ends, (K,).
        reason: Why there is no gap; None where there is.
    """

    shares: DoubleArray
    low: DoubleArray
    high: DoubleArray
    reason: str | None = None


def gap_closed(
    scores: DoubleArray, reference: DoubleArray, ceiling: DoubleArray, clusters: Clusters
) -> GapClosed:
    """Relate each model's lead over the reference to the ceiling's, paired by perturbation.

    The interval is that of the ratio, by its linear approximation around the gap, which is only
    taken where the gap is well above 0.

    Args:
        scores: Values of which more is better, (n, K).
        reference: The reference's, (n,).
        ceiling: The ceiling's, (n,).
        clusters: Perturbation and cell type of each of the n values.
    """
    gap = (ceiling - reference)[:, None]  # (n, 1)
    found = mean_intervals(gap, clusters)
    if not (found.means[0] > 0 and found.p_values[0] < ALPHA):
        missing = np.full(scores.shape[1], np.nan)
        return GapClosed(missing, missing, missing, found.reason or NOT_ABOVE)
    mean = found.means[0]
    leads = scores - reference[:, None]  # (n, K)
    shares = leads.mean(axis=0) / mean  # (K,)
    ratios = mean_intervals(shares + (leads - shares * gap) / mean, clusters)
    return GapClosed(shares, ratios.low, ratios.high, ratios.reason)
