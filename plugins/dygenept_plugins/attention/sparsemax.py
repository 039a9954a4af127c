"""Attention ``sparsemax``: sparse weights over facets.

Sparsemax projects the scores onto the simplex, so that facets which do not matter in this cell get
a weight of exactly 0. Martins & Astudillo 2016, arXiv:1602.02068, computed by the entmax package
(MIT). Loads no weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import AttentionSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Attention


class SparsemaxConfig(PluginConfig):
    """Options of ``sparsemax``.

    Attributes:
        num_heads: Heads H; must divide the model's width.
    """

    num_heads: int = Field(default=8, ge=1)


def build(config: SparsemaxConfig, width: int) -> Attention:
    """Build the attention.

    Raises:
        ConfigError: If ``num_heads`` does not divide the width.
    """
    from entmax import sparsemax

    from dygenept_plugins.networks.attention import FacetAttention

    return FacetAttention(
        width=width,
        num_heads=config.num_heads,
        normalise=partial(sparsemax, dim=-1),
    )


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the attention ``sparsemax``."""
    return [
        AttentionSpec(
            name="sparsemax",
            summary="Sparsemax over facets: exact zeros for facets that do not matter.",
            source="Martins & Astudillo 2016, arXiv:1602.02068",
            config=SparsemaxConfig,
            factory=build,
        )
    ]
