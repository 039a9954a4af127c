"""Cell encoder ``none``: one learned state for every cell.

The ablation without cell context: attention then weighs a gene's facets alike in all cells. Loads
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import CellEncoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import CellEncoder, CellEncoderContext


def build(_config: PluginConfig, context: CellEncoderContext) -> CellEncoder:
    """Build the cell encoder."""
    from dygenept_plugins.networks.cell_states import ConstantCellState

    return ConstantCellState(width=context.width)


@hookimpl
def dygenept_cell_encoders() -> list[CellEncoderSpec]:
    """Return the cell encoder ``none``."""
    return [
        CellEncoderSpec(
            name="none",
            summary="No cell context: one learned state for every cell.",
            source="this project",
            factory=build,
        )
    ]
