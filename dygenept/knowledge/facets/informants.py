"""Which neighbours inform a facet: the strongest that know it, found without a single vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.knowledge.graph.sources import ImputationOptions
from dygenept.types import DoubleArray, FloatArray, IntArray

if TYPE_CHECKING:
    from scipy import sparse

MIN_CONFIDENCE = 0.05
CAP_DECAY = 0.7
FULL_SUPPORT = 5
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class FacetNeighbours:
    """Where imputed facets came from: one list of neighbours an imputed (gene, facet).

    Attributes:
        entries: Gene row times K plus facet of each imputed one, ascending, (n_imputed,).
        starts: Entry i's neighbours are ``starts[i]:starts[i + 1]``, (n_imputed + 1,).
        rows: Gene rows of the neighbours, strongest first.
        weights: Share of each in the mean (edge weight × confidence, normalised), summing to 1.
        n_facets: K.
    """

    entries: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    rows: IntArray
    weights: FloatArray
    n_facets: int

    def of(self, gene_row: int, facet: int) -> tuple[IntArray, FloatArray]:
        """Return the neighbours of one facet and their shares; none where it was not imputed."""
        wanted = gene_row * self.n_facets + facet
        place = int(np.searchsorted(self.entries, wanted))
        if place == len(self.entries) or self.entries[place] != wanted:
            return self.rows[:0], self.weights[:0]
        part = slice(*self.starts[place : place + 2])
        return self.rows[part], self.weights[part]


@dataclass(frozen=True, slots=True)
class StrongestFirst:
    """CSR of a graph, each row's edges from the strongest to the weakest."""

    starts: npt.NDArray[np.int64]
    columns: IntArray
    weights: DoubleArray


@dataclass(frozen=True, slots=True)
class Informants:
    """Genes whose facet is imputed, and from whom.

    Attributes:
        genes: Rows of the genes, ascending, (n,); places in the tensor once they are joined.
        counts: Neighbours of each, (n,).
        rows: Rows of the neighbours, gene after gene, strongest first.
        shares: Shares of the neighbours, summing to 1 for each gene.
        confidence: Confidence of the imputed facets, (n,).
    """

    genes: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    rows: IntArray
    shares: DoubleArray
    confidence: DoubleArray


def strongest_first(weights: sparse.csr_matrix) -> StrongestFirst:
    """Sort the edges of each gene by weight; of equal ones the earlier gene comes first."""
    n_rows = weights.shape[0]
    rows = np.repeat(np.arange(n_rows), np.diff(weights.indptr))
    is_edge = (weights.data > 0) & (rows != weights.indices)
    rows, columns, data = rows[is_edge], weights.indices[is_edge], weights.data[is_edge]
    order = np.lexsort((columns, -data, rows))
    counts = np.bincount(rows, minlength=n_rows)
    return StrongestFirst(
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        columns=columns[order].astype(np.int32),
        weights=data[order].astype(np.float64),
    )


def choose(
    edges: StrongestFirst,
    confidence: FloatArray,
    rounds: npt.NDArray[np.int8],
    number: int,
    options: ImputationOptions,
) -> Informants:
    """Pick the strongest informed neighbours of every gene that does not know a facet.

    Args:
        edges: The graph.
        confidence: Confidence of the facet, (n_genes,).
        rounds: Rounds of the facet, (n_genes,).
        number: This round.
        options: Cap and neighbours.
    """
    genes = np.flatnonzero(rounds == UNKNOWN)
    owners, places = _edges_of(edges, genes)
    is_informed = confidence[edges.columns[places]] > 0
    owners, places = owners[is_informed], places[is_informed]
    counts = np.bincount(owners, minlength=len(genes))
    # Edges lie strongest first, so an edge's rank is its distance from its gene's first one.
    rank = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_enough = counts >= (2 if number == 1 else 1)
    is_kept = (rank < options.max_neighbors) & is_enough[owners]
    # Genes without neighbours enough go; the others are renumbered.
    owners, places = (np.cumsum(is_enough) - 1)[owners[is_kept]], places[is_kept]
    genes, n_genes = genes[is_enough], int(is_enough.sum())
    rows, weights = edges.columns[places], edges.weights[places]
    trust = weights * confidence[rows].astype(np.float64)
    n_used = np.bincount(owners, minlength=n_genes)
    total_trust = np.bincount(owners, trust, n_genes)
    mean = total_trust / np.bincount(owners, weights, n_genes)
    cap = options.confidence_cap * CAP_DECAY**number
    return Informants(
        genes=genes,
        counts=n_used,
        rows=rows,
        shares=trust / total_trust[owners],
        confidence=np.clip(np.minimum(1.0, n_used / FULL_SUPPORT) * mean, MIN_CONFIDENCE, cap),
    )


def _edges_of(
    edges: StrongestFirst, genes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the edges of some genes: position in ``genes``, and place among all edges."""
    counts = edges.starts[genes + 1] - edges.starts[genes]
    owners = np.repeat(np.arange(len(genes)), counts)
    firsts = np.repeat(edges.starts[genes] - (np.cumsum(counts) - counts), counts)
    return owners, firsts + np.arange(len(owners))


def joined(found: Sequence[Informants], n_facets: int) -> FacetNeighbours:
    """Put the facets' and rounds' lists into one, by gene and facet."""
    entries = np.concatenate([[], *(one.genes for one in found)]).astype(np.int64)
    counts = np.concatenate([[], *(one.counts for one in found)]).astype(np.int64)
    rows = np.concatenate([[], *(one.rows for one in found)]).astype(np.int32)
    shares = np.concatenate([[], *(one.shares for one in found)]).astype(np.float32)
    order = np.argsort(entries, kind="stable")
    firsts = (np.cumsum(counts) - counts)[order]
    counts = counts[order]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    places = np.repeat(firsts - starts[:-1], counts) + np.arange(len(rows))
    return FacetNeighbours(entries[order], starts, rows[places], shares[places], n_facets)
