"""Where each facet of a knowledge set is from: written, regenerated or imputed, and from whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dygenept.errors import ShapeError
from dygenept.knowledge.facets.imputation import Imputed
from dygenept.knowledge.graph.combined import CombinedGraph, Neighbour
from dygenept.types import FloatArray, IntArray

OriginName = Literal["unknown", "native", "regenerated", "imputed"]

UNKNOWN = -1
NATIVE = 0
# Rounds of imputation count from 1 and stay far below.
REGENERATED = 100

TENSORS = (
    "origin",
    "informed",
    "informed_starts",
    "neighbours",
    "neighbour_weights",
    "neighbour_sources",
)


@dataclass(frozen=True, slots=True)
class FacetOrigins:
    """Origin of every facet, and the neighbours behind those that are not native.

    Attributes:
        codes: ``UNKNOWN``, ``NATIVE``, the round r ≥ 1 of imputation, or ``REGENERATED``,
            (n_genes, K), int8.
        informed: Gene row and facet position of each facet that neighbours informed, (n, 2).
        starts: Neighbours of ``informed[i]`` are at ``starts[i]:starts[i + 1]``, (n + 1,).
        neighbours: Gene rows of the neighbours, strongest first.
        weights: Edge weight of each neighbour.
        source_codes: Position in ``sources`` of each neighbour's edge.
        sources: Knowledge-graph sources.
    """

    codes: npt.NDArray[np.int8]
    informed: IntArray
    starts: npt.NDArray[np.int64]
    neighbours: IntArray
    weights: FloatArray
    source_codes: npt.NDArray[np.uint8]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that the arrays agree."""
        n_neighbours = len(self.neighbours)
        if (
            self.informed.shape != (len(self.starts) - 1, 2)
            or len(self.weights) != n_neighbours
            or len(self.source_codes) != n_neighbours
            or self.starts[-1] != n_neighbours
        ):
            raise ShapeError("origins of facets: the arrays disagree on the number of neighbours")

    def of(self, row: int, facet: int, genes: Sequence[str]) -> tuple[Neighbour, ...]:
        """Return the neighbours that informed a facet, strongest first; ``genes`` name all rows."""
        found = np.flatnonzero((self.informed == (row, facet)).all(axis=1))
        if not len(found):
            return ()
        part = slice(*self.starts[found[0] : found[0] + 2])
        return tuple(
            Neighbour(genes[neighbor], float(weight), self.sources[source])
            for neighbor, weight, source in zip(
                self.neighbours[part], self.weights[part], self.source_codes[part], strict=True
            )
        )

    def tensors(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays as a knowledge file contains them."""
        arrays = (
            self.codes,
            self.informed,
            self.starts,
            self.neighbours,
            self.weights,
            self.source_codes,
        )
        return {
            name: np.ascontiguousarray(array) for name, array in zip(TENSORS, arrays, strict=True)
        }


def origin_name(code: int) -> OriginName:
    """Return what a code means; rounds of imputation are all ``imputed``."""
    if code in (UNKNOWN, NATIVE, REGENERATED):
        names: Mapping[int, OriginName] = {
            UNKNOWN: "unknown",
            NATIVE: "native",
            REGENERATED: "regenerated",
        }
        return names[code]
    return "imputed"


def written_origins(
    codes: npt.NDArray[np.int8],
    partners: Mapping[tuple[int, int], Sequence[Neighbour]],
    genes: Sequence[str],
    sources: tuple[str, ...],
) -> FacetOrigins:
    """Pack the origins of facets before imputation.

    Args:
        codes: See ``FacetOrigins``.
        partners: Partners by gene row and facet position of the regenerated ones.
        genes: Symbols of all rows, the partners' among them.
        sources: Knowledge-graph sources; those of partners are added.
    """
    rows = {gene: row for row, gene in enumerate(genes)}
    named = dict.fromkeys((*sources, *(n.source for items in partners.values() for n in items)))
    code_of = {source: code for code, source in enumerate(named)}
    pairs = list(partners)
    flat = [item for pair in pairs for item in partners[pair]]
    return FacetOrigins(
        codes=codes,
        informed=np.array(pairs, dtype=np.int32).reshape(len(pairs), 2),
        starts=np.cumsum([0, *(len(partners[pair]) for pair in pairs)]).astype(np.int64),
        neighbours=np.array([rows[item.gene] for item in flat], dtype=np.int32),
        weights=np.array([item.weight for item in flat], dtype=np.float32),
        source_codes=np.array([code_of[item.source] for item in flat], dtype=np.uint8),
        sources=tuple(named),
    )


def with_imputed(origins: FacetOrigins, imputed: Imputed, graph: CombinedGraph) -> FacetOrigins:
    """Add what was imputed from a graph over the same genes in the same order.

    The sources of the origins before begin with the graph's.
    """
    rounds, found = imputed.rounds, imputed.neighbours
    counts = np.diff(found.starts)
    owners = np.repeat(found.entries // found.n_facets, counts)
    n_genes = len(graph.genes)
    edges = np.repeat(np.arange(n_genes, dtype=np.int64), np.diff(graph.weights.indptr))
    keys = edges * n_genes + graph.weights.indices
    places = np.searchsorted(keys, owners * n_genes + found.rows)
    pairs = np.stack([found.entries // found.n_facets, found.entries % found.n_facets], axis=1)
    return FacetOrigins(
        codes=np.where(rounds > NATIVE, rounds, origins.codes).astype(np.int8),
        informed=np.concatenate([origins.informed, pairs]).astype(np.int32),
        starts=np.concatenate([origins.starts, origins.starts[-1] + found.starts[1:]]),
        neighbours=np.concatenate([origins.neighbours, found.rows]).astype(np.int32),
        weights=np.concatenate([origins.weights, graph.weights.data[places]]).astype(np.float32),
        source_codes=np.concatenate([origins.source_codes, graph.winner.data[places]]).astype(
            np.uint8
        ),
        sources=origins.sources,
    )


def of_rows(origins: FacetOrigins, is_kept: npt.NDArray[np.bool_]) -> FacetOrigins:
    """Return the origins of some rows; rows that are left out must know no facet."""
    new_rows = (np.cumsum(is_kept) - 1).astype(np.int32)
    informed = origins.informed.copy()
    informed[:, 0] = new_rows[informed[:, 0]]
    return replace(
        origins,
        codes=origins.codes[is_kept],
        informed=informed,
        neighbours=new_rows[origins.neighbours],
    )
