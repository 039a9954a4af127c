"""Intervals and comparisons from resamples of genes and of held-out perturbations at once.

The mean over genes of an area per gene varies with the genes and with the perturbations that every
gene shares; over genes alone an interval is too narrow. The spread over the two-way resamples is
its standard error; intervals and p values are those of the normal distribution.
"""

from __future__ import annotations

import numpy as np

from dygenept.types import DoubleArray

TWO_SIDED_95 = 1.959963984540054
# Resamples with fewer defined ones have no spread to go by.
MIN_DRAWS = 20


def standard_error(draws: DoubleArray) -> float:
    """Return the spread over resamples, (B,); NaN where too few are defined."""
    defined = draws[~np.isnan(draws)]
    return float(defined.std(ddof=1)) if len(defined) >= MIN_DRAWS else float("nan")


def interval(mean: float, draws: DoubleArray) -> tuple[float, float]:
    """Return the 95 % interval of a mean."""
    half = TWO_SIDED_95 * standard_error(draws)
    return mean - half, mean + half


def two_sided_p(difference: float, draws: DoubleArray) -> float:
    """Return the p value of a paired difference, from the differences in each resample, (B,)."""
    from scipy.special import ndtr

    error = standard_error(draws)
    if np.isnan(error):
        return 1.0
    if error == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    return float(2.0 * ndtr(-abs(difference) / error))
