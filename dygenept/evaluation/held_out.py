"""Which labels are held out for validation, and what is known of the held-out perturbations.

Splits draw their validation labels and name their subgroups here; a run adds the size of each
held-out effect, so that a leaderboard can show parts, and the truth of all folds, among which
ranks are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dygenept.data.pseudobulk import condition_positions, half_means
from dygenept.machine.tables import filled, finite_rows, row_parts, rows_of
from dygenept.types import (
    BoolArray,
    Candidates,
    Condition,
    DeTests,
    DoubleArray,
    Fold,
    Perturbation,
    PerturbationData,
    Predictions,
    Pseudobulk,
)

# Of fewer train labels, a model needs every one to learn from.
MIN_TO_HOLD_OUT = 3


def shuffled_parts(n_items: int, n_parts: int, *, seed: int) -> list[list[int]]:
    """Cut positions into parts as scikit-learn's shuffled ``KFold`` cuts its test parts.

    Its import takes longer than many a bench.

    Returns:
        Sorted positions of each part; sizes differ by at most one.
    """
    order = np.random.RandomState(seed).permutation(n_items)
    return [np.sort(part).tolist() for part in np.array_split(order, n_parts)]


def validation_positions(n_labels: int, *, fraction: float, seed: Sequence[int]) -> tuple[int, ...]:
    """Draw the validation labels from a fold's training labels.

    ``round(fraction * n_labels)`` are drawn without replacement, at least one where there are
    three or more labels and the fraction is not 0, and never so many that no label is left.

    Args:
        n_labels: Training labels in all; sort them first, so that the draw does not depend on
            the order of cells.
        fraction: Share to hold out, in [0, 1).
        seed: Seeds of the generator of this draw, such as (seed, fold).

    Returns:
        Positions among the labels, sorted.
    """
    if fraction == 0.0 or n_labels < MIN_TO_HOLD_OUT:
        return ()
    n_val = min(max(1, round(fraction * n_labels)), n_labels - 1)
    drawn = np.random.default_rng(list(seed)).choice(n_labels, size=n_val, replace=False)
    return tuple(sorted(int(position) for position in drawn))


def subgroups(
    known: Iterable[Perturbation], test: Iterable[Perturbation]
) -> Mapping[str, tuple[str, ...]]:
    """Sort test perturbations by how many of their genes a known perturbation has.

    A gene counts as seen if it occurs in any known perturbation, single or combined.

    ``known`` are the train and validation perturbations.

    Returns:
        Sorted labels by subgroup: ``combo_seen0``, ``combo_seen1``, ``combo_seen2`` … for
        combinations, ``unseen_single`` for a gene never seen, ``seen_single`` for a gene seen in
        combinations only, and ``seen_perturbation`` for one that is itself known (which only
        ``cross_cell_type`` allows). Empty subgroups are left out.
    """
    known = tuple(known)
    trained = {perturbation.label for perturbation in known}
    seen = {gene for perturbation in known for gene in perturbation.genes}
    groups: dict[str, list[str]] = {}
    for perturbation in sorted(test):
        n_seen = sum(gene in seen for gene in perturbation.genes)
        if perturbation.label in trained:
            name = "seen_perturbation"
        elif len(perturbation.genes) == 1:
            name = "seen_single" if n_seen else "unseen_single"
        else:
            name = f"combo_seen{n_seen}"
        groups.setdefault(name, []).append(perturbation.label)
    return {name: tuple(groups[name]) for name in sorted(groups)}


def effect_sizes(
    data: PerturbationData, pseudobulk: Pseudobulk, conditions: Sequence[Condition]
) -> Mapping[str, Mapping[str, float]]:
    """Return the root mean square over (measured) genes of each condition's true delta.

    Returns:
        Effect size by cell type and perturbation label, log1p scale.
    """
    rows = condition_positions(data, conditions)
    types = np.array([data.cell_types.index(condition.cell_type) for condition in conditions])
    sizes = np.empty(len(rows))
    for part in row_parts(len(rows), data.n_genes):
        change = pseudobulk.means[rows[part]] - pseudobulk.control_means[types[part]]
        sizes[part] = np.sqrt(np.nanmean(change**2, axis=1))
    effects: dict[str, dict[str, float]] = {}
    for condition, size in zip(conditions, sizes.tolist(), strict=True):
        effects.setdefault(condition.cell_type, {})[condition.label] = size
    return effects


def de_gene_counts(
    data: PerturbationData, tests: DeTests | None, conditions: Sequence[Condition]
) -> Mapping[str, Mapping[str, int]]:
    """Return how many genes each condition changes significantly; empty without tests.

    Returns:
        Number of genes by cell type and perturbation label.
    """
    counts: dict[str, dict[str, int]] = {}
    if tests is not None:
        found = rows_of(tests.is_significant, condition_positions(data, conditions)).sum(axis=1)
        for condition, count in zip(conditions, found.tolist(), strict=True):
            counts.setdefault(condition.cell_type, {})[condition.label] = count
    return counts


class HeldOutPool:
    """What is held out in any fold: the same candidates for ranks, whichever fold is scored.

    A prediction is compared with the truth of them all, so that a rank neither depends on the
    number of folds nor is among a handful.
    """

    def __init__(
        self, data: PerturbationData, pseudobulk: Pseudobulk, folds: Sequence[Fold], *, seed: int
    ) -> None:
        """Find the held-out conditions.

        Args:
            data: The data set.
            pseudobulk: Its means.
            folds: All folds of the split.
            seed: Seed of the halves against which a control with a truth of its own is ranked.
        """
        held_out = {
            condition
            for fold in folds
            for condition in data.conditions_of(fold.test, cell_type=fold.test_cell_type)
        }
        self.conditions: tuple[Condition, ...] = tuple(sorted(held_out))
        self._data, self._seed = data, seed
        rows = condition_positions(data, self.conditions)
        is_all = len(rows) == len(pseudobulk.means)
        # Sorted like the conditions of the data set: a view of all of them is no second copy.
        truth: DoubleArray = pseudobulk.means.view() if is_all else rows_of(pseudobulk.means, rows)
        truth.flags.writeable = False
        # One object for all models and folds, so that what metrics make of it is made once.
        self._candidates = Candidates(self.conditions, truth)
        self._rows = {condition: row for row, condition in enumerate(self.conditions)}
        # Halves of all of them, and which conditions have both.
        self._halves: tuple[DoubleArray, BoolArray] | None = None
        self._drawing = threading.Lock()

    def candidates(self, predictions: Predictions) -> Candidates:
        """Return the conditions among which predictions are ranked, and their truth.

        A control with a truth of its own is ranked among equals: where that is the mean of half of
        the cells, so is the truth of what other folds hold out. What has no truth is left out.
        """
        if predictions.truth is None:
            return self._candidates
        halves, has_half = self._second_halves()
        own = [self._rows[condition] for condition in predictions.conditions]
        truth = rows_of(halves, np.arange(len(self.conditions)))
        for row, of_row in zip(own, predictions.truth, strict=True):
            truth[row] = of_row
        has_truth = has_half.copy()
        has_truth[own] = finite_rows(predictions.truth)
        if has_truth.all():
            return Candidates(self.conditions, truth)
        kept = tuple(self.conditions[row] for row in np.flatnonzero(has_truth).tolist())
        return Candidates(kept, rows_of(truth, has_truth))

    def _second_halves(self) -> tuple[DoubleArray, BoolArray]:
        with self._drawing:
            if self._halves is None:
                halves = self._drawn()
                self._halves = halves, finite_rows(halves)
        return self._halves

    def _drawn(self) -> DoubleArray:
        drawn = half_means(self._data, self.conditions, np.random.default_rng(self._seed))
        # Of one cell there is no half, and a control leaves it out as well.
        first, second = drawn
        return filled(
            drawn,
            second.shape,
            lambda part: np.where(np.isnan(first[part]), np.nan, second[part]),
        )
