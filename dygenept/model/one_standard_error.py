"""Choosing between settings by paired errors: leave a reference only for a clear gain.

With few conditions the smallest mean error is settled by rounding or by one condition. The
one-standard-error rule (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3)
keeps the reference unless the gain exceeds the standard error of the paired differences.
"""

from __future__ import annotations

import numpy as np

from dygenept.types import DoubleArray


def clear_winner(errors: DoubleArray, *, reference: int) -> int:
    """Return the setting with the smallest mean error, or the reference where it may be chance.

    Args:
        errors: Error of each condition under each setting, (n, n_settings).
        reference: The setting to stay with.
    """
    best = int(errors.mean(axis=0).argmin())
    gains = errors[:, reference] - errors[:, best]
    spread = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    return best if gains.mean() > spread else reference
