"""Cell encoders without a transformer, trained from scratch; they load nothing.

``mlp`` is a multilayer perceptron over a control cell's log1p expression of all genes of the data
set.
``none`` is one learned state for every cell, the ablation without cell context: attention then
weighs a gene's facets alike in all cells.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dygenept.plugin import CellEncoder, CellEncoderContext, CellEncoderSpec, PluginConfig, hookimpl


class MlpConfig(PluginConfig):
    """Options of ``mlp``.

    Attributes:
        hidden_dims: Widths of the hidden layers.
        dropout: In training, after each hidden layer.
    """

    hidden_dims: tuple[Annotated[int, Field(ge=1)], ...] = (256,)
    dropout: float = Field(default=0.1, ge=0, lt=1)


def build_mlp(config: MlpConfig, context: CellEncoderContext) -> CellEncoder:
    """Build ``mlp``."""
    from dygenept_plugins.networks.cell_states import MlpCellState

    return MlpCellState(
        n_genes=len(context.gene_symbols),
        width=context.width,
        hidden_dims=config.hidden_dims,
        dropout=config.dropout,
    )


def build_none(_config: PluginConfig, context: CellEncoderContext) -> CellEncoder:
    """Build ``none``."""
    from dygenept_plugins.networks.cell_states import ConstantCellState

    return ConstantCellState(width=context.width)


@hookimpl
def dygenept_cell_encoders() -> list[CellEncoderSpec]:
    """Return both cell encoders."""
    return [
        CellEncoderSpec(
            name="mlp",
            summary="Multilayer perceptron over the control cell's expression.",
            source="this project",
            config=MlpConfig,
            factory=build_mlp,
        ),
        CellEncoderSpec(
            name="none",
            summary="No cell context: one learned state for every cell.",
            source="this project",
            factory=build_none,
        ),
    ]
