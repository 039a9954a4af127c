"""Paired bootstrap between two models, and Holm's correction over several comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.bootstrap import N_DRAWS, bootstrap_means, percentile_interval

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The mean difference of two models over the same perturbations.

    Attributes:
        difference: Mean of first minus second.
        ci_low: Lower end of its 95 % percentile interval.
        ci_high: Upper end.
        p_value: Two-sided, by the share of resampled differences on the other side of zero; never
            below 2 / (draws + 1).
        n_perturbations: Perturbations that both have.
    """

    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    n_perturbations: int


def paired_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, *, n_models: int = 2, seed: int = 0
) -> PairedDifference:
    """Resample perturbations, each with both models' values.

    Args:
        first: One value per perturbation, (n,), n at least 1.
        second: The other model's values of the same perturbations, (n,).
        n_models: Models that are compared at once; more of them take more draws, so that p can
            still be small after correction.
        seed: Seed of the draws.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    means = bootstrap_means(difference, n_draws=max(N_DRAWS, 80 * n_models), seed=seed)
    low, high = percentile_interval(means)
    # The observed sample counts as one draw of its own on the other side: p is never 0.
    smaller = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return PairedDifference(
        difference=float(difference.mean()),
        ci_low=low,
        ci_high=high,
        p_value=min(1.0, 2.0 * (1 + smaller) / (len(means) + 1)),
        n_perturbations=len(difference),
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p values for their number: step-down Bonferroni, monotone, at most 1.

    Source: Holm 1979.
    """
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = largest
    return tuple(corrected)
