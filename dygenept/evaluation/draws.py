"""Scores of several draws of the same conditions, and of more cells than there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from dygenept.plugin.specs import MetricSpec
from dygenept.types import Score

NO_CORRELATION = "no correlation, which alone can be corrected for the number of cells"


def averaged(draws: Sequence[Sequence[Score]]) -> list[Score]:
    """Average the scores of several draws of the same conditions.

    A value is the mean over the draws in which it is defined; undefined in all, it keeps the
    first draw's reason.

    Args:
        draws: What ``score`` returned for each draw, at least one.
    """
    if len(draws) == 1:
        return list(draws[0])
    means: list[Score] = []
    for scores in zip(*draws, strict=True):
        defined = [item.value for item in scores if item.value is not None]
        means.append(
            replace(scores[0], value=fmean(defined), reason=None) if defined else scores[0]
        )
    return means


def lengthened(
    scores: Sequence[Score], metrics: Sequence[MetricSpec], factor: float
) -> list[Score]:
    """Say what scores would be with more cells, by the Spearman-Brown formula.

    A correlation r of two halves becomes f r / (1 + (f - 1) r); one of 0 or less stays, since it
    shows no signal that more cells could bring out. Metrics that are not correlations are
    undefined.

    Args:
        scores: Scores of one model.
        metrics: Their metrics.
        factor: How many times more cells, f.
    """
    corrected = {spec.name for spec in metrics if spec.is_correlation}
    found = []
    for item in scores:
        r = item.value
        if item.metric not in corrected:
            found.append(replace(item, value=None, reason=NO_CORRELATION))
        elif r is not None and r > 0:
            found.append(replace(item, value=factor * r / (1.0 + (factor - 1.0) * r)))
        else:
            found.append(item)
    return found
