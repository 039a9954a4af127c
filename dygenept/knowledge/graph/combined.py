"""The edges of several sources between the same genes: a gene's neighbours, and cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.knowledge.genes.matching import nearest_genes, rows_of

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One neighbour of a gene.

    Attributes:
        gene: Its symbol.
        weight: Weight of the edge, in (0, 1].
        source: The source whose evidence is the strongest.
    """

    gene: str
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class CombinedGraph:
    """The edges of several sources between the same genes.

    Attributes:
        genes: Gene symbols, (n,), each once.
        weights: Edge weights in (0, 1], the maximum over the sources; symmetric CSR without
            diagonal, float32, sorted indices, (n, n).
        sources: Names of the sources, in the order they were named.
        winner: Position in ``sources`` of the one that gave the weight, the first of equals; CSR
            with the index arrays of ``weights``, so its zeros are entries too.
    """

    genes: tuple[str, ...]
    weights: sparse.csr_matrix
    sources: tuple[str, ...]
    winner: sparse.csr_matrix

    @property
    def n_edges(self) -> int:
        """Number of edges, each pair of genes counted once."""
        return int(self.weights.nnz) // 2

    def neighbours(self, gene: str, n: int | None = None) -> tuple[Neighbour, ...]:
        """Return the strongest neighbours of a gene, of equal ones the earlier gene first.

        Args:
            gene: A symbol of ``genes``, or another name of one.
            n: How many at most; None for all.

        Raises:
            DataError: If the graph has no such gene; names the nearest.
        """
        row = int(rows_of([gene], self.genes)[0])
        if row < 0:
            raise DataError(
                f"the knowledge graph has no gene {gene!r}; {nearest_genes(gene, self.genes)}"
            )
        part = slice(*self.weights.indptr[row : row + 2])
        columns, weights = self.weights.indices[part], self.weights.data[part]
        # The last key of lexsort counts first: weight, then the place in the graph.
        order = np.lexsort((columns, -weights))[:n]
        return tuple(
            Neighbour(
                self.genes[columns[position]],
                round(float(weights[position]), 6),
                self.sources[self.winner.data[part][position]],
            )
            for position in order
        )

    def aligned(self, genes: Sequence[str]) -> sparse.csr_matrix:
        """Return the weights between some genes, in their order, (n_asked, n_asked).

        A gene is found by its own spelling first, then by its current symbol. One that the graph
        does not have gets an empty row and column.
        """
        rows = rows_of(genes, self.genes)
        # The usual case of a graph opened for just these genes needs no copy.
        if np.array_equal(rows, np.arange(len(self.genes))):
            return self.weights
        return select_rows(self.weights, rows)


class Neighbours:
    """Looks neighbours up in a graph; genes that it lacks have none."""

    def __init__(self, graph: CombinedGraph) -> None:
        self._graph = graph
        self._rows = {gene: row for row, gene in enumerate(graph.genes)}
        self._degrees = np.diff(graph.weights.indptr)  # (n_genes,)

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


def select_rows(weights: sparse.csr_matrix, rows: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    """Return the weights between some rows, in their order; -1 gives an empty row and column."""
    from scipy import sparse

    is_here = rows >= 0
    # A product with a matrix of single ones picks rows and leaves the absent ones empty.
    pick = sparse.csr_matrix(
        (np.ones(int(is_here.sum()), np.float32), (np.flatnonzero(is_here), rows[is_here])),
        shape=(len(rows), weights.shape[0]),
    )
    selected = sparse.csr_matrix(pick @ weights @ pick.T)  # (n_asked, n_asked)
    selected.sort_indices()
    return selected
