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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError, ShapeError
from dygenept.knowledge.facets.informants import (
    UNKNOWN,
    FacetNeighbours,
    Informants,
    choose,
    joined,
    strongest_first,
)
from dygenept.knowledge.graph.sources import ImputationOptions
from dygenept.machine.tables import slices
from dygenept.types import DoubleArray, FloatArray, GeneKnowledge

if TYPE_CHECKING:
    from scipy import sparse

VERSION = 1
NATIVE = 0
# A mean this much shorter than a native vector is rounding left over from neighbours that cancel.
CANCELLED = 1e-6
# Rows computed at once: small enough to stay in a processor's cache.
CHUNK = 512


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
    edges = strongest_first(weights)
    rounds = np.where(knowledge.confidence > 0, NATIVE, UNKNOWN).astype(np.int8)
    values = np.array(knowledge.values, dtype=np.float32, order="C")
    confidence = np.array(knowledge.confidence, dtype=np.float32)
    found: list[Informants] = []
    # Facets know nothing of each other: each one goes through all its rounds alone.
    for facet, norm in enumerate(_native_norms(knowledge)):
        for number in range(1, options.num_rounds + 1 if norm > 0 else 1):
            sources = choose(edges, confidence[:, facet], rounds[:, facet], number, options)
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
        neighbours=joined(found, rounds.shape[1]),
    )


def _native_norms(knowledge: GeneKnowledge) -> list[float]:
    """Return the mean Euclidean norm of each facet's native vectors; 0 where there is none."""
    is_native = knowledge.confidence > 0
    totals = np.zeros(is_native.shape[1], dtype=np.float64)
    for part in slices(len(is_native), CHUNK):
        totals += np.where(is_native[part], _norms(knowledge.values[part]), 0.0).sum(axis=0)
    return list(totals / np.maximum(is_native.sum(axis=0), 1))


def _fill(values: FloatArray, sources: Informants, facet: int, norm: float) -> Informants:
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
    for part in slices(len(sources.genes), CHUNK):
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
    return Informants(
        sources.genes[is_filled], sources.counts[is_filled], *kept, sources.confidence[is_filled]
    )


def _norms(vectors: FloatArray) -> DoubleArray:
    """Return Euclidean norms along the last axis, float64."""
    squares = np.einsum("...d,...d->...", vectors, vectors)
    norms: DoubleArray = np.sqrt(squares.astype(np.float64))
    return norms


def _digest(
    knowledge: GeneKnowledge, weights: sparse.csr_matrix, options: ImputationOptions
) -> str:
    digest = hashlib.sha256(
        json.dumps([VERSION, knowledge.sha256, options.model_dump(mode="json")]).encode()
    )
    for array in (weights.indptr, weights.indices, weights.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
