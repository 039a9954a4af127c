"""Attention ``gated``: one independent gate per facet and head.

A facet's weight is confidence × sigmoid(score), divided by the sum over the known facets: gates
saturate, so no single facet can outgrow the others as in softmax. Computed as a softmax of
log(sigmoid(score)) + log(confidence), which is the same. Loads no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import AttentionSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Attention


class GatedConfig(PluginConfig):
    """Options of ``gated``.

    Attributes:
        num_heads: Heads H; must divide the model's width.
    """

    num_heads: int = Field(default=8, ge=1)


def build(config: GatedConfig, width: int) -> Attention:
    """Build the attention.

    Raises:
        ConfigError: If ``num_heads`` does not divide the width.
    """
    from torch.nn import functional

    from dygenept_plugins.networks.attention import FacetAttention, softmax

    return FacetAttention(
        width=width,
        num_heads=config.num_heads,
        normalise=softmax,
        link=functional.logsigmoid,
    )


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the attention ``gated``."""
    return [
        AttentionSpec(
            name="gated",
            summary="Independent sigmoid gates per facet and head, normalised to sum 1.",
            source="this project",
            config=GatedConfig,
            factory=build,
        )
    ]
