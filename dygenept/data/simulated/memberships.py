"""What targets share that no text says: neighbourhoods in a graph, and programs known to nobody.

A neighbourhood is the genes that one gene is linked with in the shipped STRING table; which genes
are in one can be read from the graph. A hidden program has targets drawn at random; nothing tells
which, except the effects themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.types import IntArray
from dygenept.types.effects import GraphName

GRAPH: GraphName = "string"
# About as many targets share a neighbourhood or a hidden program as share a program of GO.
TARGETS_PER_GROUP = 5
# What is linked with half of the genes tells none from another.
MAX_NEIGHBOURS = 1_000


@dataclass(frozen=True, slots=True)
class Memberships:
    """Which group each target is in.

    Attributes:
        neighbourhood: Neighbourhood of each target, -1 where it is in none, (n_targets,).
        centres: The gene whose neighbours a neighbourhood is, (n_neighbourhoods,).
        hidden: Hidden program of each target, (n_targets,).
        n_hidden: Number of hidden programs.
    """

    neighbourhood: IntArray
    centres: tuple[str, ...]
    hidden: IntArray
    n_hidden: int


def draw_memberships(targets: Sequence[str], *, rng: np.random.Generator) -> Memberships:
    """Find the targets' neighbourhoods, and draw their hidden programs.

    Neighbourhoods are chosen without a draw: each is that of the gene with the most linked targets
    that are in none yet, until one more would have a single target; ties go to the gene that is
    linked with the fewest genes, then to the first in alphabetical order.
    """
    n_groups = max(2, round(len(targets) / TARGETS_PER_GROUP))
    neighbourhood, centres = _neighbourhoods(targets, n_most=n_groups)
    # Equal sizes, in random order.
    hidden = rng.permutation(np.arange(len(targets)) % n_groups).astype(np.int32)
    return Memberships(
        neighbourhood=neighbourhood, centres=centres, hidden=hidden, n_hidden=n_groups
    )


def _neighbourhoods(targets: Sequence[str], *, n_most: int) -> tuple[IntArray, tuple[str, ...]]:
    from dygenept.knowledge.genes.tables import load_gene_tables
    from dygenept.knowledge.graph.links import links_of

    symbols = load_gene_tables().symbols
    n_neighbours = np.asarray((links_of(GRAPH, symbols) != 0).sum(axis=1)).ravel()
    is_linked = (links_of(GRAPH, targets) != 0).toarray()[:, : len(symbols)]  # (n_targets, all)
    is_linked[:, n_neighbours > MAX_NEIGHBOURS] = False
    found = np.full(len(targets), -1, dtype=np.int32)
    centres: list[str] = []
    while len(centres) < n_most:
        n_new = is_linked[found < 0].sum(axis=0)
        best = min(
            np.flatnonzero(n_new == n_new.max()),
            key=lambda gene: (n_neighbours[gene], symbols[gene]),
        )
        if n_new[best] < 2:
            break
        found[(found < 0) & is_linked[:, best]] = len(centres)
        centres.append(symbols[best])
    return found, tuple(centres)
