"""The range of each statistic over the three real screens at hand, and what lies outside of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from dygenept.errors import DataError

# Smallest and largest figure of the Norman subset, Papalexi and MCF10A, rounded outwards.
REAL_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "zero_fraction": (0.77, 0.95),
        "mean_variance_slope": (1.06, 1.49),
        "mean_variance_residual": (0.08, 0.20),
        "reliability": (0.01, 0.79),
        "reliability_high": (0.21, 0.98),
        "near_null_share": (0.45, 0.90),
        "de_share": (0.0, 0.009),
        "de_share_high": (0.007, 0.35),
        "first_component": (0.34, 0.69),
        "norm_spread": (0.28, 0.80),
    }
)


def outside_of_real_ranges(draws: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Find the statistics whose mean over draws of a simulated screen no real screen comes near.

    The mean of several draws may miss the range by two of its standard errors; one draw must lie
    within it.

    Args:
        draws: Statistics of each draw, by name.

    Returns:
        Mean and standard error of each statistic that misses its range; a single draw's standard
        error is 0.

    Raises:
        DataError: If there is no draw.
    """
    if not draws:
        raise DataError("no draw to compare with the real screens; give at least one")
    outside = {}
    for name, (low, high) in REAL_RANGES.items():
        figures = np.array([draw[name] for draw in draws])
        error = float(figures.std(ddof=1) / np.sqrt(len(figures))) if len(figures) > 1 else 0.0
        mean = float(figures.mean())
        if not low - 2 * error <= mean <= high + 2 * error:
            outside[name] = mean, error
    return outside
