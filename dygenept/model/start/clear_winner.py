"""Choosing between settings by paired errors: leave a reference only for a clear gain.

With few conditions the smallest mean error is settled by rounding or by one condition. So the
reference stays unless the gain exceeds some standard errors of the paired differences, after the
one-standard-error rule of Breiman et al. 1984, Classification and Regression Trees, section 3.4.3.
"""

from __future__ import annotations

import numpy as np

from dygenept.types import DoubleArray


def clear_winner(errors: DoubleArray, *, reference: int, n_spreads: float = 2.0) -> int:
    """Return the setting with the smallest mean error, or the reference where it may be chance.

    Args:
        errors: Error of each condition under each setting, (n, n_settings).
        reference: The setting to stay with.
        n_spreads: Standard errors that the gain must exceed; two where several settings compete
            for it, one of which will look better by chance.
    """
    best = int(errors.mean(axis=0).argmin())
    gains = errors[:, reference] - errors[:, best]
    spread = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    return best if gains.mean() > n_spreads * spread else reference
