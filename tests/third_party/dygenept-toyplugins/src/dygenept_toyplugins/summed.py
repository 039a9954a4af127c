"""Decoder that sums one linear shift per gene. Source: this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import DecoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Decoder, DecoderContext


def build(config: PluginConfig, context: DecoderContext) -> Decoder:
    """Build the decoder."""
    from dygenept_toyplugins.networks import Summed

    return Summed(context.width, context.n_genes)


@hookimpl
def dygenept_decoders() -> list[DecoderSpec]:
    """Return the decoder ``summed``."""
    return [
        DecoderSpec(
            name="summed",
            summary="Control plus the sum of one linear shift per gene.",
            source="this project",
            factory=build,
        )
    ]
