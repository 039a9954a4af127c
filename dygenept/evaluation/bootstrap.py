"""Resamples of perturbations, and random draws that a whole leaderboard asks for alike, made once.

Undefined values make the numbers of values differ a little, so several sizes are kept.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dygenept.types import DoubleArray

N_DRAWS = 2000
LEVEL = 0.95
# Arrays of up to a million values are kept as they are used (8 MB), larger ones in a byte a value.
SMALL = 1_000_000
LARGE = 8_000_000

# Whole numbers that depend on the number of values, the number of draws and the seed alone.
Draw = Callable[[int, int, int], npt.NDArray[np.integer]]


def resample_counts(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    """Count how often each value is in each resample, (n_draws, n_values).

    The counts depend on nothing else, so two models scored on the same perturbations in the same
    order are resampled alike.
    """
    return _kept_counts(n_values, n_draws, seed)


def _count(n_values: int, n_draws: int, seed: int) -> npt.NDArray[np.unsignedinteger]:
    drawn = np.random.default_rng(seed).integers(n_values, size=(n_draws, n_values))
    # Offsets give every draw bins of its own, so that one bincount serves all draws.
    drawn += n_values * np.arange(n_draws)[:, None]  # (n_draws, n_values)
    counts = np.bincount(drawn.ravel(), minlength=n_draws * n_values).reshape(n_draws, n_values)
    return _narrow(counts)


def _narrow(counts: npt.NDArray[np.intp]) -> npt.NDArray[np.unsignedinteger]:
    return counts.astype(np.uint8 if counts.max() < 1 << 8 else np.uint32)


class KeptDraws:
    """A function that draws whole numbers, with its latest results.

    Up to ``SMALL`` values, 16 results are kept as float64; beyond, the latest one, and 16 (one
    above ``LARGE``) in the narrow type that the function returns.

    Args:
        draw: Returns (n_draws, n_values) for (n_values, n_draws, seed).
    """

    def __init__(self, draw: Draw) -> None:
        def as_float(drawn: npt.NDArray[np.integer]) -> DoubleArray:
            values = drawn.astype(np.float64)
            values.setflags(write=False)
            return values

        many, huge = (functools.lru_cache(maxsize=size)(draw) for size in (16, 1))

        def narrow(n_values: int, n_draws: int, seed: int) -> DoubleArray:
            kept = many if n_values * n_draws <= LARGE else huge
            return as_float(kept(n_values, n_draws, seed))

        self._few = functools.lru_cache(maxsize=16)(lambda *key: as_float(draw(*key)))
        self._latest = functools.lru_cache(maxsize=1)(narrow)
        self._narrow = (many, huge)
        self._lock = threading.Lock()

    def __call__(self, n_values: int, n_draws: int, seed: int) -> DoubleArray:
        """Return the draws, (n_draws, n_values), read-only."""
        kept = self._few if n_values * n_draws <= SMALL else self._latest
        with self._lock:  # Several metrics ask at once; the draws are made once.
            return kept(n_values, n_draws, seed)

    def cache_clear(self) -> None:
        """Forget all results."""
        for kept in (self._few, self._latest, *self._narrow):
            kept.cache_clear()


_kept_counts = KeptDraws(_count)
