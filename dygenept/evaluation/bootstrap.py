"""Percentile bootstrap over perturbations."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from dygenept.types import DoubleArray

N_DRAWS = 2000
LEVEL = 0.95
# Counts of up to 8 MB are kept for several numbers of values.
SMALL = 1_000_000


def bootstrap_means(values: npt.ArrayLike, *, n_draws: int = N_DRAWS, seed: int = 0) -> DoubleArray:
    """Return the means of resamples.

    Resamples depend only on the number of values and the seed, so two models scored on the
    same perturbations in the same order are resampled alike, and their difference is paired.

    Args:
        values: One value per perturbation, (n,) or (n_models, n), n at least 1.
        n_draws: Resamples.
        seed: Seed of the draws.

    Returns:
        (n_draws,), or (n_models, n_draws).
    """
    array = np.asarray(values, dtype=np.float64)
    n_values = array.shape[-1]
    counts = _counts(n_values, n_draws, seed)
    sums = [counts @ row for row in array.reshape(-1, n_values)]
    means: DoubleArray = np.stack(sums).reshape(*array.shape[:-1], n_draws) / n_values
    return means


def bootstrap_interval(
    values: npt.ArrayLike, *, n_draws: int = N_DRAWS, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Return the percentile interval of the mean.

    Args:
        values: One value per perturbation, (n,), n at least 1.
        n_draws: Resamples.
        seed: Seed of the draws.
        level: Share of resampled means inside the interval.

    Returns:
        Lower and upper end.
    """
    return percentile_interval(bootstrap_means(values, n_draws=n_draws, seed=seed), level=level)


def percentile_interval(draws: DoubleArray, *, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends between which this share of some draws lies.

    The same numbers as ``np.quantile`` gives, in a tenth of the time: a leaderboard needs
    thousands of intervals.

    Args:
        draws: Finite values, (n_draws,), n_draws at least 1.
        level: Share inside the interval.
    """
    tail = (1.0 - level) / 2.0
    places = [share * (len(draws) - 1) for share in (tail, 1.0 - tail)]
    below = [int(place) for place in places]
    above = [min(number + 1, len(draws) - 1) for number in below]
    ordered = np.partition(draws, (*below, *above))
    low, high = (
        _between(float(ordered[left]), float(ordered[right]), place - left)
        for left, right, place in zip(below, above, places, strict=True)
    )
    return low, high


def _between(left: float, right: float, share: float) -> float:
    # From the nearer side, as numpy does.
    step = right - left
    return left + step * share if share < 0.5 else right - step * (1.0 - share)


def _counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    """Count how often each value is in each resample, (n_draws, n_values)."""
    kept = _few_counts if n_values * n_draws <= SMALL else _many_counts
    return kept(n_values, n_draws, seed)


# A leaderboard asks for the same resamples for every model and metric: counting them once leaves
# one matrix product for each. Undefined values make the numbers of values differ a little.
@functools.lru_cache(maxsize=16)
def _few_counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    return _count(n_values, n_draws, seed)


@functools.lru_cache(maxsize=1)
def _many_counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    return _count(n_values, n_draws, seed)


def _count(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    drawn = np.random.default_rng(seed).integers(n_values, size=(n_draws, n_values))
    # Offsets give every draw bins of its own, so that one bincount serves all draws.
    drawn += n_values * np.arange(n_draws)[:, None]  # (n_draws, n_values)
    counts = np.bincount(drawn.ravel(), minlength=n_draws * n_values).astype(np.float64)
    counts.setflags(write=False)
    return counts.reshape(n_draws, n_values)
