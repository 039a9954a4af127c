"""Decoder ``linear``: one linear map of the summed gene embeddings.

The simplest decoder that can still read gene knowledge, after the finding of Ahlmann-Eltze, Huber &
Anders 2025 (doi:10.1038/s41592-025-02772-6) that linear models are hard to beat. Loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import DecoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Decoder, DecoderContext


def build(_config: PluginConfig, context: DecoderContext) -> Decoder:
    """Build the decoder."""
    from dygenept_plugins.networks.linear_decoders import LinearDecoder

    return LinearDecoder(width=context.width, n_genes=context.n_genes)


@hookimpl
def dygenept_decoders() -> list[DecoderSpec]:
    """Return the decoder ``linear``."""
    return [
        DecoderSpec(
            name="linear",
            summary="One linear map of the summed gene embeddings.",
            source="this project",
            factory=build,
        )
    ]
