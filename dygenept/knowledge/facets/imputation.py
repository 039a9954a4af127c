"""Fills unknown facets from the neighbours of a gene in a knowledge graph.

For an unknown facet of a gene, in each round:

* informed neighbours are those whose facet is known on entry or was imputed in an earlier round;
  the strongest ``max_neighbors`` of them count (largest edge weight, of equal ones the earlier
  gene); the first round needs two, later ones need one;
* the value is their vectors' mean, weighted by edge weight × confidence, rescaled to the mean
  Euclidean norm of the facet's native vectors (known on entry);
* the confidence is ``min(1, n / 5)`` times the neighbours' mean confidence weighted by edge weight,
  not below 0.05 and then not above ``confidence_cap · 0.7 ** round``; rounds count from 1.

A facet whose neighbours cancel out to zero, or that no gene knows natively, stays unknown. Native
facets never change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from dygenept.errors import DataError, ShapeError
from dygenept.types import DoubleArray, FloatArray, GeneKnowledge, IntArray

if TYPE_CHECKING:
    from scipy import sparse

VERSION = 1
MIN_CONFIDENCE = 0.05
CAP_DECAY = 0.7
FULL_SUPPORT = 5
NATIVE, UNKNOWN = 0, -1
# A mean this much shorter than a native vector is rounding left over from neighbours that cancel.
CANCELLED = 1e-6
# Rows computed at once: small enough to stay in a processor's cache.
CHUNK = 512


class ImputationOptions(BaseModel):
    """Options of imputation; the registry's and the command line's ``imputation`` section.

    Attributes:
        num_rounds: Rounds; a value imputed in one is used from the next on.
        confidence_cap: Largest confidence of an imputed value before the decay of 0.7 a round.
        max_neighbors: Strongest informed neighbours that count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_rounds: int = Field(default=3, ge=0, le=100)
    confidence_cap: float = Field(default=0.8, gt=0, le=1)
    max_neighbors: int = Field(default=20, ge=1)


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
class Imputed:
    """Knowledge with unknown facets filled.

    Attributes:
        knowledge: Values and confidence, native ones as they were.
        rounds: 0 native, r imputed in round r, -1 still unknown; int8, (n_genes, K).
        neighbours: From which neighbours, with which shares.
    """

    knowledge: GeneKnowledge
    rounds: npt.NDArray[np.int8]
    neighbours: FacetNeighbours


def impute(
    knowledge: GeneKnowledge, weights: sparse.csr_matrix, *, options: ImputationOptions
) -> Imputed:
    """Fill unknown facets from neighbours, by sparse products.

    Args:
        knowledge: Facets; those with a confidence above 0 are native.
        weights: Edge weights in (0, 1] between the genes of ``knowledge``, in their order,
            symmetric without diagonal, (n_genes, n_genes): ``CombinedGraph.aligned``.
        options: Rounds, cap and neighbours.

    Returns:
        The filled knowledge, and where each value came from. Memory above the input stays below
        1.5 times the tensor's size: one copy, and what the graph and a chunk of rows take.

    Raises:
        ShapeError: If the graph is not of the knowledge's genes.
        DataError: If a weight is negative or not finite.
    """
    size = (len(knowledge.genes), len(knowledge.genes))
    if weights.shape != size:
        raise ShapeError(
            f"edge weights are {weights.shape}, expected {size} for the genes of "
            f"{knowledge.name!r}; align the graph with them first"
        )
    if not bool((np.isfinite(weights.data) & (weights.data >= 0)).all()):
        raise DataError("edge weights must be finite and not negative")
    edges = _strongest_first(weights)
    rounds = np.where(knowledge.confidence > 0, NATIVE, UNKNOWN).astype(np.int8)
    values = np.array(knowledge.values, dtype=np.float32, order="C")
    confidence = np.array(knowledge.confidence, dtype=np.float32)
    found: list[_Sources] = []
    # Facets know nothing of each other: each one goes through all its rounds alone.
    for facet, norm in enumerate(_native_norms(knowledge)):
        for number in range(1, options.num_rounds + 1 if norm > 0 else 1):
            sources = _choose(edges, confidence[:, facet], rounds[:, facet], number, options)
            sources = _fill(values, sources, facet, norm)
            rounds[sources.genes, facet] = number
            confidence[sources.genes, facet] = sources.confidence
            found.append(replace(sources, genes=sources.genes * rounds.shape[1] + facet))
    return Imputed(
        knowledge=replace(
            knowledge,
            sha256=_digest(knowledge, weights, options),
            values=values,
            confidence=confidence,
        ),
        rounds=rounds,
        neighbours=_joined(found, rounds.shape[1]),
    )


@dataclass(frozen=True, slots=True)
class _Edges:
    """CSR of a graph, each row's edges from the strongest to the weakest."""

    starts: npt.NDArray[np.int64]
    columns: IntArray
    weights: DoubleArray


@dataclass(frozen=True, slots=True)
class _Sources:
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


def _strongest_first(weights: sparse.csr_matrix) -> _Edges:
    n_rows = weights.shape[0]
    rows = np.repeat(np.arange(n_rows), np.diff(weights.indptr))
    is_edge = (weights.data > 0) & (rows != weights.indices)
    rows, columns, data = rows[is_edge], weights.indices[is_edge], weights.data[is_edge]
    order = np.lexsort((columns, -data, rows))
    counts = np.bincount(rows, minlength=n_rows)
    return _Edges(
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        columns=columns[order].astype(np.int32),
        weights=data[order].astype(np.float64),
    )


def _native_norms(knowledge: GeneKnowledge) -> list[float]:
    """Return the mean Euclidean norm of each facet's native vectors; 0 where there is none."""
    is_native = knowledge.confidence > 0
    totals = np.zeros(is_native.shape[1], dtype=np.float64)
    for start in range(0, len(is_native), CHUNK):
        part = slice(start, start + CHUNK)
        totals += np.where(is_native[part], _norms(knowledge.values[part]), 0.0).sum(axis=0)
    return list(totals / np.maximum(is_native.sum(axis=0), 1))


def _choose(
    edges: _Edges,
    confidence: FloatArray,
    rounds: npt.NDArray[np.int8],
    number: int,
    options: ImputationOptions,
) -> _Sources:
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
    # Genes without neighbours enough go; the others are numbered anew.
    owners, places = (np.cumsum(is_enough) - 1)[owners[is_kept]], places[is_kept]
    genes, n_genes = genes[is_enough], int(is_enough.sum())
    rows, weights = edges.columns[places], edges.weights[places]
    trust = weights * confidence[rows].astype(np.float64)
    n_used = np.bincount(owners, minlength=n_genes)
    total_trust = np.bincount(owners, trust, n_genes)
    mean = total_trust / np.bincount(owners, weights, n_genes)
    cap = options.confidence_cap * CAP_DECAY**number
    return _Sources(
        genes=genes,
        counts=n_used,
        rows=rows,
        shares=trust / total_trust[owners],
        confidence=np.clip(np.minimum(1.0, n_used / FULL_SUPPORT) * mean, MIN_CONFIDENCE, cap),
    )


def _edges_of(
    edges: _Edges, genes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the edges of some genes: position in ``genes``, and place among all edges."""
    counts = edges.starts[genes + 1] - edges.starts[genes]
    owners = np.repeat(np.arange(len(genes)), counts)
    firsts = np.repeat(edges.starts[genes] - (np.cumsum(counts) - counts), counts)
    return owners, firsts + np.arange(len(owners))


def _fill(values: FloatArray, sources: _Sources, facet: int, norm: float) -> _Sources:
    """Write the weighted means into the tensor; those that cancel out are left out.

    Args:
        values: The tensor, (n_genes, K, D); changed in place.
        sources: What to impute.
        facet: The facet.
        norm: Norm that an imputed vector gets.

    Returns:
        What was imputed.
    """
    from scipy import sparse

    n_genes, n_facets, width = values.shape
    flat = values.reshape(n_genes * n_facets, width)
    starts = np.concatenate([[0], np.cumsum(sources.counts)])
    # Columns point into the tensor itself, so that no facet is copied out of it.
    product = sparse.csr_matrix(
        (
            sources.shares.astype(np.float32),
            sources.rows.astype(np.int64) * n_facets + facet,
            starts,
        ),
        shape=(len(sources.genes), len(flat)),
    )
    is_filled = np.zeros(len(sources.genes), dtype=np.bool_)
    for start in range(0, len(sources.genes), CHUNK):
        part = slice(start, start + CHUNK)
        means = product[part] @ flat  # (chunk, D)
        lengths = _norms(means)
        is_whole = lengths > CANCELLED * norm
        means *= (norm / np.where(is_whole, lengths, 1.0)).astype(np.float32)[:, None]
        places = sources.genes[part] * n_facets + facet
        if is_whole.all():
            flat[places] = means
        else:
            flat[places[is_whole]] = means[is_whole]
        is_filled[part] = is_whole
    if is_filled.all():
        return sources
    is_kept = np.repeat(is_filled, sources.counts)
    kept = sources.rows[is_kept], sources.shares[is_kept]
    return _Sources(
        sources.genes[is_filled], sources.counts[is_filled], *kept, sources.confidence[is_filled]
    )


def _norms(vectors: FloatArray) -> DoubleArray:
    """Return Euclidean norms along the last axis, float64."""
    squares = np.einsum("...d,...d->...", vectors, vectors)
    norms: DoubleArray = np.sqrt(squares.astype(np.float64))
    return norms


def _joined(found: Sequence[_Sources], n_facets: int) -> FacetNeighbours:
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


def _digest(
    knowledge: GeneKnowledge, weights: sparse.csr_matrix, options: ImputationOptions
) -> str:
    digest = hashlib.sha256(
        json.dumps([VERSION, knowledge.sha256, options.model_dump(mode="json")]).encode()
    )
    for array in (weights.indptr, weights.indices, weights.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
