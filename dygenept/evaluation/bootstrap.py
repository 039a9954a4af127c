"""Percentile bootstrap over perturbations."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from dygenept.types import DoubleArray, IntArray

N_DRAWS = 2000
LEVEL = 0.95


def bootstrap_means(values: npt.ArrayLike, *, n_draws: int = N_DRAWS, seed: int = 0) -> DoubleArray:
    """Return the means of resamples.

    Resamples depend on the number of values and the seed alone, so two models scored on the
    same perturbations in the same order are resampled alike, and their difference is paired.

    Args:
        values: One value a perturbation, (n,) or (n_models, n), n at least 1.
        n_draws: Resamples.
        seed: Seed of the draws.

    Returns:
        (n_draws,), or (n_models, n_draws).
    """
    array = np.asarray(values, dtype=np.float64)
    draws = _draws(array.shape[-1], n_draws, seed)
    means: DoubleArray = np.stack(
        [row[draws].mean(axis=1) for row in array.reshape(-1, array.shape[-1])]
    ).reshape(*array.shape[:-1], n_draws)
    return means


def bootstrap_interval(
    values: npt.ArrayLike, *, n_draws: int = N_DRAWS, seed: int = 0, level: float = LEVEL
) -> tuple[float, float]:
    """Return the percentile interval of the mean.

    Args:
        values: One value a perturbation, (n,), n at least 1.
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


@functools.lru_cache(maxsize=4)
def _draws(n_values: int, n_draws: int, seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    draws = rng.integers(n_values, size=(n_draws, n_values), dtype=np.int32)
    draws.setflags(write=False)
    return draws
