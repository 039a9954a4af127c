"""Which models may be the best: those that no other is shown to be better than.

Multiple comparisons with the best (Hsu), by a sign-flip test of the largest t. Comparing all with
the one that happens to lead would find differences that are due to the choice of the leader; here
every model is tested against all others at once, so that the truly best one is left out in at most
5 % of boards. Flips of a perturbation's sign are common to all models: copies of one model count as
one, and a model that is clearly worse than the tested one takes no part in its test (as in Hansen's
of 2005, with a stricter bound), so that poor entries do not shield others.
"""

from __future__ import annotations

import itertools

import numpy as np

from dygenept.evaluation.bootstrap import N_DRAWS
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.mean_intervals import MIN_PERTURBATIONS, ROUNDING, TIES, mean_intervals
from dygenept.evaluation.sign_flip import drawn_signs
from dygenept.types import DoubleArray, IntArray

# Up to here all choices of signs are listed: 4,096.
LISTED_UP_TO = 12
# Standard errors by which a model is clearly worse than another.
CLEARLY = 3.0


def best_p_values(
    scores: DoubleArray, clusters: Clusters, *, n_draws: int = N_DRAWS, seed: int = 0
) -> DoubleArray:
    """Return each model's p value of being as good as any other.

    Args:
        scores: Values of which more is better, (n, M).
        clusters: Perturbation and cell type of each of the n values.
        n_draws: Resamples, and choices of signs where there are too many to list.
        seed: Seed of the draws.

    Returns:
        (M,); models below a level are out of the confidence set of that level. The leader has 1,
        and so has everybody where there are too few perturbations.
    """
    from scipy.special import stdtrit  # slow to import

    n_models = scores.shape[1]
    n_perturbations = clusters.n_perturbations
    p_values = np.ones(n_models)
    if n_perturbations < MIN_PERTURBATIONS or n_models < 2:
        return p_values
    # Only differences between models count. Beside the leader's, small numbers have exact ones,
    # however far off another model is.
    leader = int(np.argmax(scores.mean(axis=0)))
    units = clusters.by_perturbation(scores - scores[:, [leader]])  # (P, M)
    squares = _squared_differences(units)  # (M, M)
    lead = units.mean(axis=0)[None, :] - units.mean(axis=0)[:, None]  # of j over i, (M, M)
    student = _t_of(lead, squares, n_perturbations)
    rivals: IntArray = np.argmax(student, axis=1).astype(np.int32)
    is_behind = student.max(axis=1) > 0
    # What a pair's interval says of skew and of cell types, as a t value.
    pairs = mean_intervals(scores[:, rivals] - scores, clusters, n_draws=n_draws, seed=seed)
    observed = stdtrit(n_perturbations - 1, 1.0 - pairs.p_values / 2)  # (M,)
    is_listed = n_perturbations <= LISTED_UP_TO
    signs = (
        _all_signs(n_perturbations) if is_listed else drawn_signs(n_perturbations, n_draws, seed)
    )
    flipped = signs @ units / n_perturbations  # (draws, M)
    clearly_worse = student < -CLEARLY
    for model in np.flatnonzero(is_behind):
        others = np.flatnonzero(~clearly_worse[model])
        moved = flipped[:, others] - flipped[:, [model]]
        largest = _t_of(moved, squares[model, others], n_perturbations).max(axis=1)
        n_as_far = (largest >= observed[model] - TIES).sum()
        own = 0 if is_listed else 1
        p_values[model] = (own + n_as_far) / (own + len(signs))
    return p_values


def _squared_differences(units: DoubleArray) -> DoubleArray:
    """Return the sum over perturbations of the squared difference of each pair, (M, M)."""
    products = units.T @ units
    own = np.diag(products)
    squares = own[:, None] + own[None, :] - 2.0 * products
    found: DoubleArray = np.where(squares > ROUNDING * (own[:, None] + own[None, :]), squares, 0.0)
    return found


def _t_of(means: DoubleArray, squares: DoubleArray, n_values: int) -> DoubleArray:
    """Return means in units of their standard error, given the sums of squares."""
    variance = (squares - n_values * means**2) / (n_values - 1)
    floor = np.where(squares > 0, ROUNDING * squares / n_values, 1.0)
    error = np.sqrt(np.maximum(variance, floor) / n_values)
    found: DoubleArray = np.where(squares > 0, means, 0.0) / error
    return found


def _all_signs(n_values: int) -> DoubleArray:
    return np.asarray(list(itertools.product((1.0, -1.0), repeat=n_values)))
