"""Gene encoder ``facets+graph``: the model's facets kept apart, and a facet for each graph.

As ``facets``, with the facets of ``dygenept.knowledge.facets.graph_facets`` beside those of the
model's facet set: a gene's place in STRING, BioGRID and Reactome, with a confidence of a fifth per
link. Loads the shipped tables, or newer ones from the data folder: STRING CC BY 4.0; BioGRID MIT;
Reactome CC0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.knowledge.facets.graph_facets import (
    GraphFacetOptions,
    graph_facets,
    with_further_facets,
)
from dygenept.knowledge.graph.graph_vectors import LinkTables, VectorOptions
from dygenept.plugin import GeneEncoderSpec, hookimpl
from dygenept.types.effects import GraphName
from dygenept_plugins.gene_encoders.facets import FacetsConfig, build

if TYPE_CHECKING:
    from dygenept.types import GeneKnowledge, Runtime


class FacetsGraphConfig(FacetsConfig):
    """Options of ``facets+graph``: those of ``facets``, and which graphs are read.

    Attributes:
        graphs: Tables of links, each a facet: ``string``, ``biogrid``, ``reactome``, ``go``.
        steps: Steps of diffusion along links; 1 stays with the links themselves.
        apart: One facet per graph; else one facet of all graphs side by side.
    """

    graphs: tuple[GraphName, ...] = Field(("string", "biogrid", "reactome"), min_length=1)
    steps: int = Field(default=1, ge=1, le=10)
    apart: bool = True


def widened(config: FacetsGraphConfig, knowledge: GeneKnowledge, runtime: Runtime) -> GeneKnowledge:
    """Add a facet per graph, of the width that the facets have."""
    width = knowledge.values.shape[2]
    options = GraphFacetOptions(config.graphs, VectorOptions(width, config.steps), config.apart)
    tables = LinkTables(config.graphs, runtime.data_dir, runtime.cache_dir)
    further = graph_facets(knowledge.genes, tables, options, name="graph")
    return with_further_facets(knowledge, further)


@hookimpl
def dygenept_gene_encoders() -> list[GeneEncoderSpec]:
    """Return the gene encoder ``facets+graph``."""
    return [
        GeneEncoderSpec(
            name="facets+graph",
            summary="As facets, with STRING, BioGRID and Reactome as further facets.",
            source="this project",
            config=FacetsGraphConfig,
            factory=build,
            widen=widened,
            check_options={"graphs": ("reactome",)},
        )
    ]
