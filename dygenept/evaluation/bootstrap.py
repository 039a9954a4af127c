"""Resamples of perturbations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.kept_draws import KeptDraws
from dygenept.types import DoubleArray

N_DRAWS = 2000
LEVEL = 0.95


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


_kept_counts = KeptDraws(_count)
