"""Graphs as further facets: one vector per gene and graph beside what texts say of the gene."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dygenept.knowledge.genes.matching import select_genes
from dygenept.knowledge.graph.graph_vectors import LinkTables, VectorOptions, graph_vectors
from dygenept.types import FloatArray, GeneKnowledge
from dygenept.types.effects import GraphName

FACET_NAMES: dict[GraphName, str] = {
    "go": "GO terms",
    "string": "STRING partners",
    "biogrid": "BioGRID partners",
    "reactome": "Reactome pathways",
}
JOINED_NAME = "Graph neighbourhood"


@dataclass(frozen=True, slots=True)
class GraphFacetOptions:
    """Which graphs become facets, and how.

    Attributes:
        graphs: Names of the tables of links.
        vectors: Width and steps of diffusion.
        apart: One facet per graph; else one facet of all graphs side by side.
    """

    graphs: tuple[GraphName, ...]
    vectors: VectorOptions
    apart: bool = True


def graph_facets(
    genes: Sequence[str], tables: LinkTables, options: GraphFacetOptions
) -> GeneKnowledge:
    """Return facets of genes from graphs, with a confidence that grows with the number of links.

    Args:
        genes: Gene symbols; repeated ones count once.
        tables: Where links are read; its own choice of graphs is not.
        options: Which graphs, and how.

    Raises:
        DataError: If a table of the user's is damaged.
    """
    asked = tuple(dict.fromkeys(genes))
    groups = tuple((graph,) for graph in options.graphs) if options.apart else (options.graphs,)
    found = [
        graph_vectors(replace(tables, graphs=group), asked, options.vectors) for group in groups
    ]
    names = tuple(FACET_NAMES[group[0]] if len(group) == 1 else JOINED_NAME for group in groups)
    whole = replace(tables, graphs=options.graphs)
    digest = hashlib.sha256(repr((options, whole.sha256, asked)).encode())
    return GeneKnowledge(
        name="graph",
        sha256=digest.hexdigest(),
        genes=asked,
        facet_names=names,
        values=np.stack([vectors for vectors, _ in found], axis=1),
        confidence=np.stack([confidence for _, confidence in found], axis=1),
    )


def with_further_facets(knowledge: GeneKnowledge, further: GeneKnowledge) -> GeneKnowledge:
    """Add facets to those of the same genes; the narrower vectors are filled up with zeros.

    A facet that both have by name keeps a number behind the second.
    """
    more = select_genes(further, knowledge.genes)
    width = max(knowledge.values.shape[2], more.values.shape[2])
    names = list(knowledge.facet_names)
    for facet in more.facet_names:
        names.append(facet if facet not in names else f"{facet} ({names.count(facet) + 1})")
    return replace(
        knowledge,
        sha256=hashlib.sha256(f"{knowledge.sha256}+{more.sha256}".encode()).hexdigest(),
        facet_names=tuple(names),
        values=np.concatenate([_widened(knowledge.values, width), _widened(more.values, width)], 1),
        confidence=np.concatenate([knowledge.confidence, more.confidence], axis=1),
    )


def _widened(values: FloatArray, width: int) -> FloatArray:
    """Fill vectors up with zeros, (n, K, D) to (n, K, width): inner products stay."""
    return np.pad(values, ((0, 0), (0, 0), (0, width - values.shape[2])))
