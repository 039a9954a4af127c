"""Attention ``softmax``: dense weights over facets.

Scaled dot-product attention of Vaswani et al. 2017, arXiv:1706.03762; every known facet keeps some
weight, in proportion to its confidence. Loads no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import AttentionSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Attention


class SoftmaxConfig(PluginConfig):
    """Options of ``softmax``.

    Attributes:
        num_heads: Heads H; must divide the model's width.
    """

    num_heads: int = Field(default=8, ge=1)


def build(config: SoftmaxConfig, width: int) -> Attention:
    """Build the attention.

    Raises:
        ConfigError: If ``num_heads`` does not divide the width.
    """
    from dygenept_plugins.networks.attention import FacetAttention, softmax

    return FacetAttention(
        width=width,
        num_heads=config.num_heads,
        normalise=softmax,
    )


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the attention ``softmax``."""
    return [
        AttentionSpec(
            name="softmax",
            summary="Softmax over facets: every known facet keeps some weight.",
            source="Vaswani et al. 2017, arXiv:1706.03762",
            config=SoftmaxConfig,
            factory=build,
        )
    ]
