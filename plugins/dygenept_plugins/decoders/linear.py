"""Decoders without hidden layers; effects add up over the perturbed genes.

``linear`` is one linear map of the summed gene embeddings: the simplest decoder that can still read
gene knowledge, after the finding of Ahlmann-Eltze, Huber & Anders 2025
(doi:10.1038/s41592-025-02772-6) that linear models are hard to beat.
``bilinear`` is a low-rank bilinear form of gene embeddings and cell state, which scales effects in
a small number of directions.
They load nothing.
"""

from __future__ import annotations

from pydantic import Field

from dygenept.plugin import Decoder, DecoderContext, DecoderSpec, PluginConfig, hookimpl


class BilinearConfig(PluginConfig):
    """Options of ``bilinear``.

    Attributes:
        rank: Rank of the form.
    """

    rank: int = Field(default=128, ge=1)


def build_linear(_config: PluginConfig, context: DecoderContext) -> Decoder:
    """Build ``linear``."""
    from dygenept_plugins.networks.linear_decoders import LinearDecoder

    return LinearDecoder(width=context.width, n_genes=context.n_genes)


def build_bilinear(config: BilinearConfig, context: DecoderContext) -> Decoder:
    """Build ``bilinear``."""
    from dygenept_plugins.networks.linear_decoders import BilinearDecoder

    return BilinearDecoder(width=context.width, n_genes=context.n_genes, rank=config.rank)


@hookimpl
def dygenept_decoders() -> list[DecoderSpec]:
    """Return both decoders."""
    return [
        DecoderSpec(
            name="linear",
            summary="One linear map of the summed gene embeddings.",
            source="this project",
            factory=build_linear,
        ),
        DecoderSpec(
            name="bilinear",
            summary="Low-rank bilinear form of gene embeddings and cell state.",
            source="this project",
            config=BilinearConfig,
            factory=build_bilinear,
        ),
    ]
