"""Attention ``entmax15``: weights between softmax and sparsemax.

1.5-entmax gives exact zeros as sparsemax does, with smoother transitions. Peters, Niculae & Martins
2019, arXiv:1905.05702, computed by the entmax package (MIT). Loads no weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import AttentionSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Attention


class Entmax15Config(PluginConfig):
    """Options of ``entmax15``.

    Attributes:
        num_heads: Heads H; must divide the model's width.
    """

    num_heads: int = Field(default=8, ge=1)


def build(config: Entmax15Config, width: int) -> Attention:
    """Build the attention.

    Raises:
        ConfigError: If ``num_heads`` does not divide the width.
    """
    from entmax import entmax15

    from dygenept_plugins.networks.attention import FacetAttention

    return FacetAttention(
        width=width,
        num_heads=config.num_heads,
        normalise=partial(entmax15, dim=-1),
    )


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the attention ``entmax15``."""
    return [
        AttentionSpec(
            name="entmax15",
            summary="1.5-entmax over facets: exact zeros, smoother than sparsemax.",
            source="Peters, Niculae & Martins 2019, arXiv:1905.05702",
            config=Entmax15Config,
            factory=build,
        )
    ]
