"""Gene encoder that projects frozen facet embeddings linearly. Source: this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import GeneEncoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import GeneEncoder, GeneEncoderContext


def build(config: PluginConfig, context: GeneEncoderContext) -> GeneEncoder:
    """Build the gene encoder."""
    from dygenept_toyplugins.networks import Projected

    return Projected(context)


@hookimpl
def dygenept_gene_encoders() -> list[GeneEncoderSpec]:
    """Return the gene encoder ``projected``."""
    return [
        GeneEncoderSpec(
            name="projected",
            summary="A linear map of frozen facet embeddings.",
            source="this project",
            factory=build,
        )
    ]
