"""Decoder ``bilinear``: a low-rank bilinear form of gene embeddings and cell state.

Effects add up over the perturbed genes and are scaled by the cell state in a small number of
directions. Loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import DecoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Decoder, DecoderContext


class BilinearConfig(PluginConfig):
    """Options of ``bilinear``.

    Attributes:
        rank: Rank of the form.
    """

    rank: int = Field(default=128, ge=1)


def build(config: BilinearConfig, context: DecoderContext) -> Decoder:
    """Build the decoder."""
    from dygenept_plugins.networks.linear_decoders import BilinearDecoder

    return BilinearDecoder(width=context.width, n_genes=context.n_genes, rank=config.rank)


@hookimpl
def dygenept_decoders() -> list[DecoderSpec]:
    """Return the decoder ``bilinear``."""
    return [
        DecoderSpec(
            name="bilinear",
            summary="Low-rank bilinear form of gene embeddings and cell state.",
            source="this project",
            config=BilinearConfig,
            factory=build,
        )
    ]
