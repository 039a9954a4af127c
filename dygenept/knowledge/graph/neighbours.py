"""A gene's neighbours in a combined knowledge graph, strongest first, and why."""

from __future__ import annotations

import numpy as np

from dygenept.knowledge.graph.merged import CombinedGraph, Neighbour


class Neighbours:
    """Looks neighbours up in a graph.

    Args:
        graph: The combined graph; genes that it lacks have no neighbours.
    """

    def __init__(self, graph: CombinedGraph) -> None:
        self._graph = graph
        self._rows = {gene: row for row, gene in enumerate(graph.genes)}
        self._degrees = np.diff(graph.weights.indptr)

    def strongest(
        self, gene: str, *, n: int | None = None, min_weight: float = 0.0
    ) -> tuple[Neighbour, ...]:
        """Return the strongest neighbours of a gene.

        Of neighbours with equal weight those with fewer neighbours of their own come first (they
        say more about this gene than hubs do), then those that stand first in the graph.

        Args:
            gene: Symbol, as the graph spells it.
            n: Most neighbours returned; None returns all.
            min_weight: Weaker edges are left out.
        """
        row = self._rows.get(gene)
        if row is None:
            return ()
        weights, winner = self._graph.weights, self._graph.winner
        part = slice(weights.indptr[row], weights.indptr[row + 1])
        columns, values = weights.indices[part], weights.data[part]
        kept = np.flatnonzero(values >= min_weight)
        order = np.lexsort((columns[kept], self._degrees[columns[kept]], -values[kept]))
        chosen = kept[order[:n]]
        return tuple(
            Neighbour(
                gene=self._graph.genes[columns[position]],
                weight=float(values[position]),
                source=self._graph.sources[int(winner.data[part][position])],
            )
            for position in chosen
        )
