"""Sign-flip test of paired differences: as if chance had said which of two models is which.

Exact up to 20 perturbations; beyond, signs are drawn and the data's own count as one draw.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.bootstrap import N_DRAWS, KeptDraws
from dygenept.types import DoubleArray

EXACT_UP_TO = 20
# Sums taken in another order may differ in the last digits; they are ties.
ROUNDING = 1e-12


def sign_flip_p_values(
    differences: DoubleArray, *, n_draws: int = N_DRAWS, seed: int = 0
) -> DoubleArray:
    """Return the two-sided p value of each column.

    The share of all choices of signs whose sum is as far from 0 as the data's. A difference of 0
    has no sign and adds nothing; all of them 0 give p = 1.

    Args:
        differences: One value per perturbation, (n, K).
        n_draws: Choices of signs where there are too many to list.
        seed: Seed of the draws.

    Returns:
        (K,).
    """
    n_values = len(differences)
    scale = np.abs(differences).max(axis=0, initial=0.0)
    differences = np.where(np.abs(differences) > ROUNDING * scale, differences, 0.0)
    sums = np.abs(differences.sum(axis=0))
    bounds = sums - ROUNDING * np.abs(differences).sum(axis=0)
    if n_values <= EXACT_UP_TO:
        columns = zip(differences.T, bounds, strict=True)
        return np.asarray([_exact(column, float(bound)) for column, bound in columns])
    flipped = np.abs(drawn_signs(n_values, n_draws, seed) @ differences)  # (n_draws, K)
    p_values: DoubleArray = (1 + (flipped >= bounds).sum(axis=0)) / (n_draws + 1)
    return p_values


def drawn_signs(n_values: int, n_draws: int, seed: int) -> DoubleArray:
    """Draw signs, (n_draws, n_values), the same for all that compare so many perturbations."""
    return _kept_signs(n_values, n_draws, seed)


def _signs(n_values: int, n_draws: int, seed: int) -> npt.NDArray[np.int8]:
    drawn = np.random.default_rng(seed).integers(2, size=(n_draws, n_values), dtype=np.int8)
    return 2 * drawn - np.int8(1)


_kept_signs = KeptDraws(_signs)


def _exact(differences: DoubleArray, bound: float) -> float:
    """Count all choices of signs: sums of one half of the differences against sums of the other."""
    if bound <= 0:
        return 1.0
    half = len(differences) // 2
    first, second = _all_sums(differences[:half]), np.sort(_all_sums(differences[half:]))
    # Every choice has a mirror image: those at or above the bound are half of all that count.
    n_above = len(second) - np.searchsorted(second, bound - first, side="left")
    return min(1.0, 2.0 * float(n_above.sum()) / (len(first) * len(second)))


def _all_sums(values: DoubleArray) -> DoubleArray:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate((sums + value, sums - value))
    return sums
