"""Attention ``mean``: confidence-weighted mean of the known facets.

The ablation without attention: weights are confidences divided by their sum, in every head and
whatever the cell. Loads no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import AttentionSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Attention


class MeanConfig(PluginConfig):
    """Options of ``mean``.

    Attributes:
        num_heads: Heads H; must divide the model's width.
    """

    num_heads: int = Field(default=8, ge=1)


def build(config: MeanConfig, width: int) -> Attention:
    """Build the attention.

    Raises:
        ConfigError: If ``num_heads`` does not divide the width.
    """
    from dygenept_plugins.networks.attention import FacetAttention, softmax

    return FacetAttention(
        width=width,
        num_heads=config.num_heads,
        normalise=softmax,
        reads_cell=False,
    )


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the attention ``mean``."""
    return [
        AttentionSpec(
            name="mean",
            summary="Confidence-weighted mean of the known facets, whatever the cell.",
            source="this project",
            config=MeanConfig,
            factory=build,
        )
    ]
