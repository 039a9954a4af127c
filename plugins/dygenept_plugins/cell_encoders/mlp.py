"""Cell encoder ``mlp``: a multilayer perceptron over a control cell's expression.

Reads log1p expression of all genes of the data set; trained from scratch, loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from dygenept.plugin import CellEncoderSpec, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.plugin import CellEncoder, CellEncoderContext


class MlpConfig(PluginConfig):
    """Options of ``mlp``.

    Attributes:
        hidden_dims: Widths of the hidden layers.
        dropout: In training, after each hidden layer.
    """

    hidden_dims: tuple[Annotated[int, Field(ge=1)], ...] = (256,)
    dropout: float = Field(default=0.1, ge=0, lt=1)


def build(config: MlpConfig, context: CellEncoderContext) -> CellEncoder:
    """Build the cell encoder."""
    from dygenept_plugins.networks.cell_states import MlpCellState

    return MlpCellState(
        n_genes=len(context.gene_symbols),
        width=context.width,
        hidden_dims=config.hidden_dims,
        dropout=config.dropout,
    )


@hookimpl
def dygenept_cell_encoders() -> list[CellEncoderSpec]:
    """Return the cell encoder ``mlp``."""
    return [
        CellEncoderSpec(
            name="mlp",
            summary="Multilayer perceptron over the control cell's expression.",
            source="this project",
            config=MlpConfig,
            factory=build,
        )
    ]
