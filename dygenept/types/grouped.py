"""Areas under curves, correlations and means of many groups of pairs at once.

Every function takes counts, (B, m): how often each pair counts in each of B resamples. With counts
of one, each gives what scikit-learn or scipy gives for a group by itself; with others, what they
give for pairs repeated so often.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.types.effects import GroupedPairs
from dygenept.types.perturbations import BoolArray, DoubleArray, IntArray


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Pairs by group and then by score, upwards.

    Attributes:
        order: Positions of the pairs in this order, (m,).
        groups: Group of each, (m,).
        ties: Run of equal scores that each belongs to, (m,).
        first: First pair of each run, (n_ties,).
        starts: First pair of each group that has one, (n_present,).
        present: Which groups have one, (n_present,).
    """

    order: npt.NDArray[np.intp]
    groups: IntArray
    ties: npt.NDArray[np.intp]
    first: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]
    present: IntArray


def auroc(pairs: GroupedPairs, *, labels: BoolArray, scores: DoubleArray) -> DoubleArray:
    """Return the area under the receiver operating characteristic of each group, (B, n_groups).

    A tie counts half (Mann-Whitney U); NaN where a group lacks one of the two labels.
    """
    lie = _sorted(pairs.groups, scores)
    counts = pairs.counts[:, lie.order]
    positive = counts * labels[lie.order]
    negative = counts - positive
    below, within = _below(negative, lie)
    won = _group_sums(positive * (below + 0.5 * within), lie, pairs.n_groups)
    n_positive = _group_sums(positive, lie, pairs.n_groups)
    return _ratio(won, n_positive * _group_sums(negative, lie, pairs.n_groups))


def average_precision(
    pairs: GroupedPairs, *, labels: BoolArray, scores: DoubleArray
) -> DoubleArray:
    """Return the average precision of each group, (B, n_groups).

    The sum over distinct scores of the gain in recall times the precision there, as scikit-learn
    defines it; NaN where a group lacks one of the two labels.
    """
    lie = _sorted(pairs.groups, -scores)
    counts = pairs.counts[:, lie.order]
    positive = counts * labels[lie.order]
    above_positive, tied_positive = _below(positive, lie)
    above, tied = _below(counts, lie)
    total, n_positive = above + tied, above_positive + tied_positive
    precision = np.divide(n_positive, total, out=np.zeros_like(total), where=total > 0)
    gained = _group_sums(positive * precision, lie, pairs.n_groups)
    all_positive = _group_sums(positive, lie, pairs.n_groups)
    found = _ratio(gained, all_positive)
    has_both = _group_sums(counts, lie, pairs.n_groups) > all_positive
    return np.where(has_both, found, np.nan)


def prevalence(pairs: GroupedPairs, *, labels: BoolArray) -> DoubleArray:
    """Return the share of positive labels of each group, (B, n_groups); NaN for an empty one."""
    return mean(pairs, labels.astype(np.float64))


def mean(pairs: GroupedPairs, values: DoubleArray) -> DoubleArray:
    """Return the mean over each group's pairs, (B, n_groups); NaN for an empty one."""
    return _ratio(_sums(pairs.counts * values, pairs), _sums(pairs.counts, pairs))


def pearson(pairs: GroupedPairs, first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """Return the correlation within each group, (B, n_groups); NaN where one side is constant.

    ``first`` and ``second`` are (m,) or (B, m).
    """
    counts, groups = pairs.counts, pairs.groups
    x = first - mean(pairs, np.broadcast_to(first, counts.shape))[:, groups]
    y = second - mean(pairs, np.broadcast_to(second, counts.shape))[:, groups]
    n_each = _sums(counts, pairs)
    size_x, size_y = _sums(counts * x**2, pairs), _sums(counts * y**2, pairs)
    scale = np.sqrt(size_x * size_y)
    # What is constant up to rounding has no direction.
    largest = np.maximum(n_each * np.finfo(np.float64).eps ** 2, 1e-300)
    is_flat = (size_x <= largest * _peak(pairs, first)) | (size_y <= largest * _peak(pairs, second))
    found = _ratio(_sums(counts * x * y, pairs), np.where(is_flat, 0.0, scale))
    return np.clip(found, -1.0, 1.0)


def spearman(pairs: GroupedPairs, first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """Return the rank correlation within each group, (B, n_groups); ties take their mean rank."""
    return pearson(pairs, _ranks(pairs, first), _ranks(pairs, second))


def top_overlap(pairs: GroupedPairs, *, labels: BoolArray, scores: DoubleArray) -> DoubleArray:
    """Return the Jaccard index of the positive pairs and as many with the highest scores.

    Where the last place is tied, the tied pairs share it; NaN where a group has no positive pair.

    Returns:
        (B, n_groups).
    """
    lie = _sorted(pairs.groups, -scores)
    counts = pairs.counts[:, lie.order]
    positive = counts * labels[lie.order]
    n_positive = _group_sums(positive, lie, pairs.n_groups)
    above, tied = _below(counts, lie)
    room = np.clip(n_positive[:, lie.groups] - above, 0.0, tied)
    share = np.divide(room, tied, out=np.zeros_like(room), where=tied > 0)
    hits = _group_sums(positive * share, lie, pairs.n_groups)
    return _ratio(hits, 2.0 * n_positive - hits)


def _sorted(groups: IntArray, scores: DoubleArray) -> _Sorted:
    order = np.lexsort((scores, groups))
    by_group, by_score = groups[order], scores[order]
    is_new_group = (
        np.append(True, by_group[1:] != by_group[:-1]) if len(order) else np.zeros(0, bool)
    )
    is_new = is_new_group.copy()
    is_new[1:] |= by_score[1:] != by_score[:-1]
    starts = np.flatnonzero(is_new_group)
    return _Sorted(
        order=order,
        groups=by_group,
        ties=np.cumsum(is_new) - 1,
        first=np.flatnonzero(is_new),
        starts=starts,
        present=by_group[starts],
    )


def _below(counts: DoubleArray, lie: _Sorted) -> tuple[DoubleArray, DoubleArray]:
    """Return how many of a pair's group come before its run of ties, and are in it, (B, m)."""
    runs = np.add.reduceat(counts, lie.first, axis=1)  # (B, n_ties)
    before = np.cumsum(runs, axis=1) - runs
    # Less what comes before the group.
    at_start = before[:, lie.ties[lie.starts]]  # (B, n_present)
    place = np.searchsorted(lie.starts, np.arange(len(lie.order)), side="right") - 1
    return before[:, lie.ties] - at_start[:, place], runs[:, lie.ties]


def _ranks(pairs: GroupedPairs, values: DoubleArray) -> DoubleArray:
    lie = _sorted(pairs.groups, values)
    below, within = _below(pairs.counts[:, lie.order], lie)
    ranks = np.empty_like(pairs.counts)
    ranks[:, lie.order] = below + (within + 1.0) / 2.0
    return ranks


def _group_sums(values: DoubleArray, lie: _Sorted, n_groups: int) -> DoubleArray:
    sums = np.zeros((len(values), n_groups))
    sums[:, lie.present] = np.add.reduceat(values, lie.starts, axis=1)
    return sums


def _sums(values: DoubleArray, pairs: GroupedPairs) -> DoubleArray:
    starts = np.flatnonzero(np.append(True, np.diff(pairs.groups) != 0))
    sums = np.zeros((len(values), pairs.n_groups))
    sums[:, pairs.groups[starts]] = np.add.reduceat(values, starts, axis=1)
    return sums


def _peak(pairs: GroupedPairs, values: DoubleArray) -> DoubleArray:
    squares = np.broadcast_to(values, pairs.counts.shape) ** 2
    starts = np.flatnonzero(np.append(True, np.diff(pairs.groups) != 0))
    peaks = np.zeros((len(squares), pairs.n_groups))
    peaks[:, pairs.groups[starts]] = np.maximum.reduceat(squares, starts, axis=1)
    return peaks


def _ratio(above: DoubleArray, below: DoubleArray) -> DoubleArray:
    found: DoubleArray = np.full(above.shape, np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found
