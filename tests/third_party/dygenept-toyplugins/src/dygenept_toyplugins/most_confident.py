"""Attention that looks at a gene's most confident facets alone. Source: this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import AttentionSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import Attention


def build(config: PluginConfig, width: int) -> Attention:
    """Build the attention."""
    from dygenept_toyplugins.networks import MostConfident

    return MostConfident(width)


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the attention ``most_confident``."""
    return [
        AttentionSpec(
            name="most_confident",
            summary="Equal weights on the facets of highest confidence.",
            source="this project",
            factory=build,
        )
    ]
