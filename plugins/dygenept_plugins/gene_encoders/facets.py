"""Gene encoders ``facets``, ``facets+graph``: frozen facet embeddings behind a trainable adapter.

Linear → GELU → LayerNorm to the model's width; a facet of confidence 0 is unknown, and a gene
without a known facet has one learned null embedding, but where genes' own codes are all that is
read, its own code. ``facets`` loads nothing itself: the vectors come from the facet set of the
model.
``facets+graph`` keeps the model's facets apart and adds a facet for each graph: the facets of
``dygenept.knowledge.facets.graph_facets`` beside those of the model's facet set: a gene's place in
STRING, BioGRID and Reactome, with a confidence of a fifth per link. Loads the shipped tables, or
newer ones from the data folder: STRING CC BY 4.0; BioGRID MIT; Reactome CC0.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dygenept.knowledge.facets.graph_facets import (
    GraphFacetOptions,
    graph_facets,
    with_further_facets,
)
from dygenept.knowledge.graph.graph_vectors import LinkTables, VectorOptions
from dygenept.plugin import GeneEncoder, GeneEncoderContext, GeneEncoderSpec, PluginConfig, hookimpl
from dygenept.types import GeneKnowledge, Runtime
from dygenept.types.effects import GraphName


class FacetsConfig(PluginConfig):
    """Options of ``facets``.

    Attributes:
        standardise: Centre each facet's vectors over the genes and scale them to one norm: text
            vectors share a large common part that carries no information.
        facet_types: Add a learned vector per facet, so that attention knows which facet it reads.
        facet_signs: Flip the signs of text dimensions, differently per facet, so that similar
            texts in different facets do not look alike.
        identity_share: Share of each text vector's squared norm that a random code of the gene's
            symbol takes, so that genes with similar texts can still have effects of their own;
            ``auto`` lets a warm start choose it by leave-one-out error on train perturbations.
        dropout: Share of text dimensions dropped in training.
    """

    standardise: bool = True
    facet_types: bool = True
    facet_signs: bool = True
    identity_share: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = 0.0
    dropout: float = Field(default=0.0, ge=0, lt=1)


def build(config: FacetsConfig, context: GeneEncoderContext) -> GeneEncoder:
    """Build the gene encoder."""
    from dygenept_plugins.networks.facets import FacetEncoder

    return FacetEncoder(
        context,
        standardise=config.standardise,
        facet_types=config.facet_types,
        facet_signs=config.facet_signs,
        identity_share=None if config.identity_share == "auto" else config.identity_share,
        dropout=config.dropout,
    )


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
    further = graph_facets(knowledge.genes, tables, options)
    return with_further_facets(knowledge, further)


@hookimpl
def dygenept_gene_encoders() -> list[GeneEncoderSpec]:
    """Return both gene encoders."""
    return [
        GeneEncoderSpec(
            name="facets",
            summary="Frozen facet embeddings, adapted; unknown facets are masked.",
            source="this project",
            config=FacetsConfig,
            factory=build,
        ),
        GeneEncoderSpec(
            name="facets+graph",
            summary="As facets, with STRING, BioGRID and Reactome as further facets.",
            source="this project",
            config=FacetsGraphConfig,
            factory=build,
            widen=widened,
            check_options={"graphs": ("reactome",)},
        ),
    ]
