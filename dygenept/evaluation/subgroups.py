"""Subgroups of held-out perturbations by how much of them training has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dygenept.types import Perturbation


def subgroups(
    known: Iterable[Perturbation], test: Iterable[Perturbation]
) -> Mapping[str, tuple[str, ...]]:
    """Sort test perturbations by how many of their genes a known perturbation has.

    A gene counts as seen if it occurs in any known perturbation, single or combined.

    Args:
        known: Train and validation perturbations.
        test: Held-out perturbations.

    Returns:
        Sorted labels by subgroup: ``combo_seen0``, ``combo_seen1``, ``combo_seen2`` … for
        combinations, ``unseen_single`` for a gene never seen, ``seen_single`` for a gene seen in
        combinations alone, and ``seen_perturbation`` for one that is itself known (which only
        ``cross_cell_type`` allows). Subgroups without a label are left out.
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
