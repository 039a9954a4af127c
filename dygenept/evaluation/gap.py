"""How much of the way from the best trivial prediction to the noise ceiling a model goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import ALPHA
from dygenept.evaluation.mean_intervals import mean_intervals
from dygenept.types import DoubleArray

NOT_ABOVE = "the ceiling does not exceed the reference beyond noise"


@dataclass(frozen=True, slots=True)
class GapClosed:
    """Shares of one gap, each with its 95 % interval.

    Attributes:
        shares: 0 at the reference, 1 at the ceiling, (K,); nan where there is no gap.
        low: Lower ends, (K,).
        high: Upper ends, (K,).
        reason: Why there is no gap; None where there is.
    """

    shares: DoubleArray
    low: DoubleArray
    high: DoubleArray
    reason: str | None = None


def gap_closed(
    scores: DoubleArray, reference: DoubleArray, ceiling: DoubleArray, clusters: Clusters
) -> GapClosed:
    """Relate each model's lead over the reference to the ceiling's, paired by perturbation.

    The interval is that of the ratio, by its linear approximation around the gap, which is only
    taken where the gap is well above 0.

    Args:
        scores: Values of which more is better, (n, K).
        reference: The reference's, (n,).
        ceiling: The ceiling's, (n,).
        clusters: Perturbation and cell type of each of the n values.
    """
    gap = (ceiling - reference)[:, None]  # (n, 1)
    found = mean_intervals(gap, clusters)
    if not (found.means[0] > 0 and found.p_values[0] < ALPHA):
        missing = np.full(scores.shape[1], np.nan)
        return GapClosed(missing, missing, missing, found.reason or NOT_ABOVE)
    mean = found.means[0]
    leads = scores - reference[:, None]  # (n, K)
    shares = leads.mean(axis=0) / mean  # (K,)
    ratios = mean_intervals(shares + (leads - shares * gap) / mean, clusters)
    return GapClosed(shares, ratios.low, ratios.high, ratios.reason)
