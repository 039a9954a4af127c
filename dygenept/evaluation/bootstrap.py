"""Resamples of perturbations."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from dygenept.types import DoubleArray

N_DRAWS = 2000
LEVEL = 0.95
# Arrays of up to a million values are kept as they are used (8 MB), larger ones in a byte a value.
SMALL = 1_000_000
LARGE = 8_000_000


def resample_counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    """Count how often each value is in each resample, (n_draws, n_values).

    The counts depend on nothing else, so two models scored on the same perturbations in the same
    order are resampled alike.
    """
    kept = _few_counts if n_values * n_draws <= SMALL else _latest_counts
    return kept(n_values, n_draws, seed)


# A leaderboard asks for the same resamples for every model and metric: counting them once leaves
# one matrix product for each. Undefined values make the numbers of values differ a little.
@functools.lru_cache(maxsize=16)
def _few_counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    counts = _count(n_values, n_draws, seed).astype(np.float64)
    counts.setflags(write=False)
    return counts


@functools.lru_cache(maxsize=1)
def _latest_counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    kept = _many_counts if n_values * n_draws <= LARGE else _huge_counts
    counts = kept(n_values, n_draws, seed).astype(np.float64)
    counts.setflags(write=False)
    return counts


@functools.lru_cache(maxsize=16)
def _many_counts(n_values: int, n_draws: int, seed: int) -> npt.NDArray[np.unsignedinteger]:
    return _narrow(_count(n_values, n_draws, seed))


@functools.lru_cache(maxsize=1)
def _huge_counts(n_values: int, n_draws: int, seed: int) -> npt.NDArray[np.unsignedinteger]:
    return _narrow(_count(n_values, n_draws, seed))


def _count(n_values: int, n_draws: int, seed: int) -> npt.NDArray[np.intp]:
    drawn = np.random.default_rng(seed).integers(n_values, size=(n_draws, n_values))
    # Offsets give every draw bins of its own, so that one bincount serves all draws.
    drawn += n_values * np.arange(n_draws)[:, None]  # (n_draws, n_values)
    return np.bincount(drawn.ravel(), minlength=n_draws * n_values).reshape(n_draws, n_values)


def _narrow(counts: npt.NDArray[np.intp]) -> npt.NDArray[np.unsignedinteger]:
    return counts.astype(np.uint8 if counts.max() < 1 << 8 else np.uint32)
