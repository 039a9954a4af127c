"""Intervals of means that hold at small n, for skewed values and for clustered ones.

An interval reaches, on each side, as far as the farther of two: Student's t, which a bootstrap of
few values falls short of, and the bootstrap-t, which follows the skew of errors (no more than twice
as far as Student's t, since a single outlier sends it to no end).

Where values come from several cell types, the uncertainty of the choice of cell types is added on
both sides (Zou and Donner's way to put the limits of two parts together). Two or three cell types
may be alike by chance, and then nothing would be added; so an interval is never narrower than that
of which each cell type is one observation, with Student's t for their number (Donald and Lang
2007). That is reserve enough: there the bootstrap-t may fall short of Student's t by a little, or
intervals would cover more than they say where cell types are alike.
``docs/inference.md`` says how often such an interval covers the truth.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from dygenept.evaluation.bootstrap import LEVEL, N_DRAWS, resample_counts
from dygenept.evaluation.clusters import Clusters
from dygenept.types import DoubleArray

MIN_PERTURBATIONS = 3
# Fewer perturbations have too few different resamples for a bootstrap.
MIN_TO_RESAMPLE = 5
TOO_FEW = f"fewer than {MIN_PERTURBATIONS} perturbations"
# How many times as far as Student's t the bootstrap-t may reach.
MAX_REACH = 2.0
# And how many times at the least, where there are several cell types.
MIN_REACH_IN_TYPES = 0.85
# A spread below the rounding of the values is none.
ROUNDING = 1e-12
# Ends of intervals that differ from 0 by less, in units of the mean, touch it.
TIES = 1e-9


@dataclass(frozen=True, slots=True)
class MeanIntervals:
    """Means of K columns, each with its 95 % interval.

    Attributes:
        means: (K,).
        low: Lower ends, (K,); nan where there is no interval.
        high: Upper ends, (K,).
        p_values: Two-sided, of a mean of 0: one less the level of the widest interval that leaves
            0 out, never below 2 / (draws + 1), (K,); 1 where there is no interval.
        reason: Why there is no interval; None where there is.
    """

    means: DoubleArray
    low: DoubleArray
    high: DoubleArray
    p_values: DoubleArray
    reason: str | None = None


def mean_intervals(
    values: DoubleArray, clusters: Clusters, *, n_draws: int = N_DRAWS, seed: int = 0
) -> MeanIntervals:
    """Return the mean of each column with its interval.

    The resamples depend only on the number of perturbations, the draws and the seed.

    Args:
        values: (n, K), n at least 1.
        clusters: Perturbation and cell type of each of the n values.
        n_draws: Resamples of perturbations.
        seed: Seed of the draws.
    """
    means = values.mean(axis=0)  # (K,)
    n_perturbations = clusters.n_perturbations
    if n_perturbations < MIN_PERTURBATIONS:
        missing = np.full(len(means), np.nan)
        return MeanIntervals(means, missing, missing, np.ones(len(means)), TOO_FEW)
    levels = _levels(n_draws)
    student = _student(n_perturbations - 1, n_draws)  # (L, 1)
    # In units of the largest value of each column: squares of tiny values would vanish.
    largest = np.abs(values).max(axis=0)
    scale = np.where(largest > 0, largest, 1.0)  # (K,)
    units = clusters.by_perturbation(values / scale)
    spread = units.std(axis=0, ddof=1)
    spread = np.where(spread > ROUNDING, spread, 0.0)
    error = scale * spread / np.sqrt(n_perturbations)  # (K,)
    below, above = student, student
    if n_perturbations >= MIN_TO_RESAMPLE:
        standard = (units - units.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        drawn = _resampled_t(standard, n_draws=n_draws, seed=seed)  # sorted, (n_draws, K)
        n_levels = len(levels)
        least = student if clusters.n_cell_types == 1 else MIN_REACH_IN_TYPES * student
        below = np.clip(drawn[::-1][:n_levels], least, MAX_REACH * student)
        above = np.clip(-drawn[:n_levels], least, MAX_REACH * student)
    if clusters.n_cell_types > 1:
        of_types = _student(clusters.n_cell_types - 1, n_draws)
        apart = clusters.cell_type_spread(values / scale)
        types = of_types * (scale * apart.beyond_chance)  # (L, K)
        alone = of_types * (scale * apart.whole)
        below = np.maximum(np.hypot(below * error, types), alone)
        above = np.maximum(np.hypot(above * error, types), alone)
    else:
        below, above = below * error, above * error
    # Interval k leaves out 2 * levels[k]; the widest one that leaves out 0 gives p.
    reach = np.where(means > 0, below, above)
    misses = (reach >= (1.0 - TIES) * np.abs(means)).sum(axis=0)  # intervals that contain 0, (K,)
    p_values = 2.0 * np.append(levels, 0.5)[misses]
    tail = int((1.0 - LEVEL) / 2.0 * (n_draws + 1)) - 1
    return MeanIntervals(means, means - below[tail], means + above[tail], p_values)


def _levels(n_draws: int) -> DoubleArray:
    """Return what intervals leave out at one end, from the widest on, (L,)."""
    levels: DoubleArray = np.arange(1, n_draws // 2 + 1) / (n_draws + 1)
    return levels


# The same for every metric and most models of a leaderboard.
@functools.lru_cache(maxsize=16)
def _student(df: int, n_draws: int) -> DoubleArray:
    """Return the quantiles of Student's t at these levels, (L, 1)."""
    from scipy.special import stdtrit  # slow to import

    quantiles: DoubleArray = stdtrit(df, 1.0 - _levels(n_draws))[:, None]
    quantiles.setflags(write=False)
    return quantiles


def _resampled_t(standard: DoubleArray, *, n_draws: int, seed: int) -> DoubleArray:
    """Return the studentised means of resamples, sorted, (n_draws, K).

    Args:
        standard: Values less their mean, in units of their standard deviation, (P, K).
        n_draws: Resamples.
        seed: Seed of the draws.
    """
    n_values = len(standard)
    counts = resample_counts(n_values, n_draws, seed)
    means = counts @ standard / n_values  # (n_draws, K)
    variance = counts @ standard**2 / n_values - means**2
    # A resample of one value over and over has no spread; it lies as far out as can be.
    error = np.sqrt(np.maximum(variance, ROUNDING) / (n_values - 1))
    drawn: DoubleArray = means / error
    drawn.sort(axis=0)
    return drawn
