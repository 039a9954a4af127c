"""Aggregates over folds and over all held-out perturbations, and ranks of models."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

# Sums taken in another order may differ in the last digits; ranks must not.
RANK_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One metric of one model.

    Attributes:
        mean: Mean over folds of the fold's mean; None where nothing is defined.
        std: Standard deviation over folds (ddof 1); None for one fold.
        stderr: ``std`` divided by the square root of the number of folds; None for one fold.
        pooled: Mean over all held-out conditions of all folds.
        ci_low: Lower end of the 95 % interval of ``pooled``; None for fewer than three
            perturbations.
        ci_high: Upper end.
        n_folds: Folds given.
        n_perturbations: Held-out conditions given, undefined ones too.
        n_undefined: Undefined ones; each counts as the neutral value, or is left out where the
            metric declares none.
    """

    mean: float | None
    std: float | None
    stderr: float | None
    pooled: float | None
    ci_low: float | None
    ci_high: float | None
    n_folds: int
    n_perturbations: int
    n_undefined: int


def aggregate(
    folds: Sequence[Sequence[float | None]],
    *,
    neutral: float | None,
    interval: tuple[float | None, float | None] = (None, None),
) -> Aggregate:
    """Aggregate the values of one metric.

    Args:
        folds: Each fold's values, one per held-out condition, None where undefined.
        neutral: What an undefined value counts as; None leaves it out.
        interval: Ends of the interval of the mean over all conditions.
    """
    filled = [_filled(values, neutral) for values in folds]
    # A fold in which nothing is defined has no mean, and must not count as one of zero.
    fold_means = [fmean(values) for values in filled if values]
    pooled = [value for values in filled for value in values]
    std = stdev(fold_means) if len(fold_means) > 1 else None
    center = fmean(pooled) if pooled else None
    ci_low, ci_high = interval
    if center is not None and ci_low is not None and ci_high is not None:
        # Means taken in another way may differ in the last digit.
        ci_low, ci_high = min(ci_low, center), max(ci_high, center)
    return Aggregate(
        mean=fmean(fold_means) if fold_means else None,
        std=std,
        stderr=None if std is None else std / len(fold_means) ** 0.5,
        pooled=center,
        ci_low=ci_low,
        ci_high=ci_high,
        n_folds=len(folds),
        n_perturbations=sum(len(values) for values in folds),
        n_undefined=sum(value is None for values in folds for value in values),
    )


def competition_ranks(values: Sequence[float | None], *, higher_is_better: bool) -> tuple[int, ...]:
    """Rank models from 1; equal values share the better rank, whatever their order.

    Values equal to twelve significant digits are ties. A model without a value comes after
    all that have one.
    """
    sign = -1.0 if higher_is_better else 1.0
    keys = [
        (1, 0.0) if value is None else (0, sign * float(f"{value:.{RANK_DIGITS}g}"))
        for value in values
    ]
    ordered = sorted(keys)
    return tuple(1 + bisect_left(ordered, key) for key in keys)


def _filled(values: Sequence[float | None], neutral: float | None) -> list[float]:
    return [
        filling for value in values if (filling := neutral if value is None else value) is not None
    ]
