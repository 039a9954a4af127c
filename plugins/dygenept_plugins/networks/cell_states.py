"""Cell encoders without a transformer: a learned constant and a multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dygenept.plugin import ControlPool, ShapeError
from dygenept_plugins.networks.sparse_rows import SparseRows


class ConstantCellState(nn.Module):
    """One learned state for every cell: the prediction then depends only on the perturbation."""

    def __init__(self, *, width: int) -> None:
        """Draw the state, (D,)."""
        super().__init__()
        self.state = nn.Parameter(torch.randn(width))

    def prepare(self, pool: ControlPool) -> None:
        """Do nothing: no cell is read."""

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the state for each cell, (B,) to (B, D)."""
        return self.state.expand(len(indices), -1)


class MlpCellState(nn.Module):
    """Expression of a control cell to a cell state by a multilayer perceptron."""

    def __init__(
        self, *, n_genes: int, width: int, hidden_dims: Sequence[int] = (256,), dropout: float = 0.1
    ) -> None:
        """Build the layers.

        Args:
            n_genes: Genes G of the pool.
            width: Output width D.
            hidden_dims: Widths of the hidden layers.
            dropout: In training, after each hidden layer.
        """
        super().__init__()
        self.n_genes = n_genes
        layers: list[nn.Module] = []
        n_in = n_genes
        for n_out in hidden_dims:
            layers += [nn.Linear(n_in, n_out), nn.GELU(), nn.Dropout(dropout)]
            n_in = n_out
        self.layers = nn.Sequential(*layers, nn.Linear(n_in, width), nn.LayerNorm(width))
        self._rows: SparseRows | None = None

    def prepare(self, pool: ControlPool) -> None:
        """Keep the pool's expression, sparse, on the module's device.

        Raises:
            ShapeError: If the pool has another number of genes.
        """
        if pool.expression.shape[1] != self.n_genes:
            raise ShapeError(
                f"the control pool has {pool.expression.shape[1]} genes, the cell encoder was "
                f"built for {self.n_genes}"
            )
        device = next(self.parameters()).device
        self._rows = SparseRows.from_csr(pool.expression, device)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Encode control cells of the pool, (B,) int64 to (B, D).

        Raises:
            RuntimeError: If ``prepare`` was not called.
        """
        if self._rows is None:
            raise RuntimeError("call prepare(pool) before encoding cells")
        states: torch.Tensor = self.layers(self._rows.gather(indices))  # (B, G) to (B, D)
        return states
