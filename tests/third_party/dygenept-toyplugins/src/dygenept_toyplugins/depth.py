"""Cell encoder that sees how much a cell expresses, and nothing else. Source: this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import CellEncoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import CellEncoder, CellEncoderContext


def build(config: PluginConfig, context: CellEncoderContext) -> CellEncoder:
    """Build the cell encoder."""
    from dygenept_toyplugins.networks import Depth

    return Depth(context.width)


@hookimpl
def dygenept_cell_encoders() -> list[CellEncoderSpec]:
    """Return the cell encoder ``depth``."""
    return [
        CellEncoderSpec(
            name="depth",
            summary="Cell state from the number of genes and the total expression.",
            source="this project",
            factory=build,
        )
    ]
