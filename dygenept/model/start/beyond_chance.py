"""Choices between settings by errors of left-out perturbations, beyond what chance decides."""

from __future__ import annotations

import numpy as np

from dygenept.types import DoubleArray

# A mean gain that is smaller than this, relative to the mean error, is rounding.
ROUNDING = 1e-9


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


def best_for_strong_and_weak(
    errors: DoubleArray, cosines: DoubleArray, *, reference: int, n_spreads: float = 2.0
) -> int:
    """Choose between settings as ``best_beyond_chance`` does, by squared errors and by cosines.

    Squared errors are those of a few strong perturbations. The cosine between predicted and true
    change counts every perturbation alike, as correlations do by which models are compared; errors
    relative to the size of a change would count the noise of weak ones most. A setting that helps
    the strong at the cost of the many weak is not chosen.

    Args:
        errors: Squared error of each perturbation under each setting, (n, n_settings).
        cosines: Cosine between its predicted and true change, (n, n_settings).
        reference: The setting to stay with.
        n_spreads: Standard errors that both gains must exceed.

    Returns:
        The setting with the smallest mean squared error among those whose both gains over the
        reference are beyond chance; the reference where there is none.
    """
    best = reference
    for setting in range(errors.shape[1]):
        pair = [reference, setting]
        gains = all(
            best_beyond_chance(each[:, pair], reference=0, n_spreads=n_spreads)
            for each in (errors, -cosines)
        )
        if gains and errors[:, setting].mean() < errors[:, best].mean():
            best = setting
    return best


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
