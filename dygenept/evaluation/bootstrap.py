"""Percentile bootstrap over perturbations."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from dygenept.types import DoubleArray

N_DRAWS = 2000
LEVEL = 0.95


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
    means = bootstrap_means(values, n_draws=n_draws, seed=seed)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)


# A leaderboard asks for the same resamples for every model and metric: counting them once leaves
# one matrix product for each.
@functools.lru_cache(maxsize=1)
def _counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    """Count how often each value is in each resample, (n_draws, n_values)."""
    drawn = np.random.default_rng(seed).integers(n_values, size=(n_draws, n_values))
    # Offsets give every draw bins of its own, so that one bincount serves all draws.
    drawn += n_values * np.arange(n_draws)[:, None]  # (n_draws, n_values)
    counts = np.bincount(drawn.ravel(), minlength=n_draws * n_values).astype(np.float64)
    counts.setflags(write=False)
    return counts.reshape(n_draws, n_values)
