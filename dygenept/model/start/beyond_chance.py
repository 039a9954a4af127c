"""Choices between settings by errors of left-out perturbations, beyond what chance decides."""

from __future__ import annotations

import functools

import numpy as np

from dygenept.types import BoolArray, DoubleArray

# A mean gain that is smaller than this, relative to the mean error, is rounding.
ROUNDING = 1e-9
# Choices of signs under which gains are looked at.
N_FLIPS = 1_999


def best_beyond_chance(errors: DoubleArray, *, reference: int, n_spreads: float = 2.0) -> int:
    """Choose between settings by paired errors: leave the reference only for a clear gain.

    With few conditions the smallest mean error is decided by rounding or by one condition. So the
    reference stays unless the gain exceeds some standard errors of the paired differences, after
    the one-standard-error rule of Breiman et al. 1984, Classification and Regression Trees,
    section 3.4.3.

    Args:
        errors: Error of each condition under each setting, (n, n_settings).
        reference: The setting to stay with.
        n_spreads: Standard errors that the gain must exceed; two where several settings compete
            for it, one of which will look better by chance.

    Returns:
        The setting with the smallest mean error, or the reference where the gain may be chance.
    """
    best = int(errors.mean(axis=0).argmin())
    gains = errors[:, reference] - errors[:, best]  # (n,)
    spread = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    least = max(n_spreads * spread, ROUNDING * float(np.abs(errors[:, reference]).mean()))
    return best if gains.mean() > least else reference


def are_gains(gains: DoubleArray, *, level: float) -> BoolArray:
    """Tell which settings gain over a reference beyond chance, where all compete at once.

    Signs of perturbations are flipped, the same in all settings, as if chance had said which of
    two is the reference. A setting gains if its t is above the largest t of any setting in all but
    a share of ``level`` of such flips (Westfall & Young 1993, Resampling-Based Multiple Testing,
    single-step max T). So where no setting gains, one is called a gain in at most that share of
    choices, however many compete and however alike they are.

    Args:
        gains: Of each perturbation under each setting, (n, n_settings).
        level: One-sided.

    Returns:
        (n_settings,); False below two perturbations, and where a gain is always 0.
    """
    n = len(gains)
    if n < 2:
        return np.zeros(gains.shape[1], dtype=bool)
    squares = np.square(gains).mean(axis=0)  # (n_settings,)

    def t_of(means: DoubleArray) -> DoubleArray:
        spread = np.sqrt(np.maximum(squares - np.square(means), 0.0) / (n - 1))
        found: DoubleArray = np.divide(
            means, spread, out=np.where(means > 0, np.inf, -np.inf), where=spread > 0
        )
        return np.where(squares > 0, found, -np.inf)

    largest = t_of(_signs(n) @ gains / n).max(axis=1)  # (N_FLIPS,)
    own = t_of(gains.mean(axis=0))  # (n_settings,)
    # A choice that ties but for rounding counts, and the data's own signs are one of the choices.
    above = (largest[:, None] >= np.where(own > 0, own * (1 - ROUNDING), own)).sum(axis=0)
    beyond: BoolArray = (1 + above) / (1 + N_FLIPS) < level
    return beyond & (own > 0)


@functools.lru_cache(maxsize=4)
def _signs(n: int) -> DoubleArray:
    """Draw signs of so many perturbations, (N_FLIPS, n), always the same."""
    drawn: DoubleArray = np.random.default_rng(0).choice([-1.0, 1.0], size=(N_FLIPS, n))
    return drawn


def best_for_strong_and_weak(
    errors: DoubleArray, cosines: DoubleArray, *, level: float
) -> tuple[int, int]:
    """Choose a setting and its penalty by squared errors and cosines; chance takes the first one.

    Squared errors are those of a few strong perturbations. The cosine between predicted and true
    change counts every perturbation alike, as correlations do by which models are compared; errors
    relative to the size of a change would count the noise of weak ones most. A setting that helps
    the strong at the cost of the many weak is not chosen. A setting is judged under its best
    penalty, and held against the luck of all settings under all penalties, since the best of ten
    looks better by chance, too.

    Args:
        errors: Squared error of each perturbation, (n, n_settings, n_penalties).
        cosines: Cosine between its predicted and true change, of the same shape.
        level: Of the tests that both gains must pass (see ``are_gains``).

    Returns:
        The setting with the smallest mean squared error, and its penalty, among those whose both
        gains over the first setting are beyond chance; the first one where there is none.
    """
    means = errors.mean(axis=0)  # (n_settings, n_penalties)
    best = means.argmin(axis=1)  # (n_settings,)
    settings = np.arange(len(best))
    passed = np.ones(len(best), dtype=bool)
    for each in (errors, -cosines):
        reference = each[:, 0, best[0]]  # (n,)
        gains = reference[:, None, None] - each  # (n, n_settings, n_penalties)
        # A mean gain of rounding is none.
        gains[:, np.abs(gains.mean(axis=0)) <= ROUNDING * np.abs(reference).mean()] = 0.0
        beyond = are_gains(gains.reshape(len(gains), -1), level=level)
        passed &= beyond.reshape(means.shape)[settings, best]
    passed[0] = True
    chosen = int(np.where(passed, means[settings, best], np.inf).argmin())
    return chosen, int(best[chosen])


def best_on_path(errors: DoubleArray, *, n_spreads: float = 2.0) -> int:
    """Choose between settings that lead step by step away from the first one, the reference.

    A step on the way can gain beyond chance where the end of the way gains more, but with more
    chance in it: few strong perturbations decide about the end. So any gain beyond chance is enough
    to leave the reference, and then the smallest mean error decides how far. One perturbation
    alone is not: where the others gain nothing, its gain is one standard error, however large.

    Args:
        errors: Error of each condition under each setting, (n, n_settings).
        n_spreads: See ``best_beyond_chance``.

    Returns:
        The setting with the smallest mean error, or 0 where no setting gains beyond chance.
    """
    is_left = any(
        best_beyond_chance(errors[:, [0, setting]], reference=0, n_spreads=n_spreads)
        for setting in range(1, errors.shape[1])
    )
    return int(errors.mean(axis=0).argmin()) if is_left else 0
