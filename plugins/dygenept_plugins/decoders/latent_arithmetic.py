"""Decoder ``latent_arithmetic``: shifts of the perturbed genes add up in a latent space.

The shift of each gene is a network of its dynamic embedding; a combination adds a symmetric
pairwise interaction; a gated difference is added to the control cell. After the latent-space
arithmetic of Lotfollahi et al. 2019 (scGen), doi:10.1038/s41592-019-0494-8. Loads nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dygenept.plugin import Decoder, DecoderContext, DecoderSpec, PluginConfig, hookimpl


class LatentArithmeticConfig(PluginConfig):
    """Options of ``latent_arithmetic``.

    Attributes:
        hidden_dims: Widths of the output network's hidden layers.
        dropout: In training, in the shift network and before the output map.
        interaction_rank: Rank of the pairwise interaction; 0 leaves combinations additive in the
            latent space.
        interaction: ``pairs``, a product of low rank that starts at zero, or ``mlp``, a network of
            the shifts of each pair, averaged over both orders, that starts at random; ``mlp`` also
            counts the shift that all genes share once per gene.
    """

    hidden_dims: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (
        512,
        256,
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)
    interaction_rank: int = Field(default=64, ge=0)
    interaction: Literal["pairs", "mlp"] = "pairs"


def build(config: LatentArithmeticConfig, context: DecoderContext) -> Decoder:
    """Build the decoder."""
    from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic

    return LatentArithmetic(
        width=context.width,
        n_genes=context.n_genes,
        hidden_dims=config.hidden_dims,
        dropout=config.dropout,
        interaction_rank=config.interaction_rank,
        interaction=config.interaction,
    )


@hookimpl
def dygenept_decoders() -> list[DecoderSpec]:
    """Return the decoder ``latent_arithmetic``."""
    return [
        DecoderSpec(
            name="latent_arithmetic",
            summary="Latent shifts add up, with pairwise interaction and a gated output.",
            source="Lotfollahi et al. 2019, doi:10.1038/s41592-019-0494-8; this project",
            config=LatentArithmeticConfig,
            factory=build,
        )
    ]
