"""Which labels are held out for validation, and what sorts the held-out perturbations.

Splits draw their validation labels and name their subgroups here; a run adds the size of each
held-out effect, so that a leaderboard can show parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dygenept.data.pseudobulk import condition_positions
from dygenept.types import Condition, Perturbation, PerturbationData, Pseudobulk

# Of fewer train labels, a model needs every one to learn from.
MIN_TO_HOLD_OUT = 3


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
    means = pseudobulk.means[condition_positions(data, conditions)]  # (n, G)
    types = [data.cell_types.index(condition.cell_type) for condition in conditions]
    sizes = np.sqrt(np.nanmean((means - pseudobulk.control_means[types]) ** 2, axis=1))  # (n,)
    effects: dict[str, dict[str, float]] = {}
    for condition, size in zip(conditions, sizes.tolist(), strict=True):
        effects.setdefault(condition.cell_type, {})[condition.label] = size
    return effects
