"""Gene encoder ``facets``: frozen facet embeddings behind a trainable adapter.

Linear → GELU → LayerNorm to the model's width; a facet of confidence 0 is unknown, and a gene
without a known facet has one learned null embedding. Loads nothing itself: the vectors come from
the facet set of the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dygenept.plugin import GeneEncoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import GeneEncoder, GeneEncoderContext


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


@hookimpl
def dygenept_gene_encoders() -> list[GeneEncoderSpec]:
    """Return the gene encoder ``facets``."""
    return [
        GeneEncoderSpec(
            name="facets",
            summary="Frozen facet embeddings, adapted; unknown facets are masked.",
            source="this project",
            config=FacetsConfig,
            factory=build,
        )
    ]
