"""The DyGenePT network for one output gene at a time: what a table of effects needs.

A table measures few of the pairs of a perturbation and a gene, so the network is run on these pairs
alone: the same four parts, with a query made of the cells' state and of what is known of the output
gene, and a decoder of one output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from dygenept.model.conditions import PADDING
from dygenept.model.control_pool import ControlCells
from dygenept.model.network import DyGenePT
from dygenept.plugin.interfaces import ControlPool, FacetBatch

# Pairs that are predicted at a time.
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs of a condition and an output gene.

    Attributes:
        gene_indices: Perturbed genes, (B, P) int64, as ``DyGenePT.forward`` takes them.
        cell_types: Cell type of each condition, (B,) int64.
        outputs: Columns of the output genes, (B,) int64.
    """

    gene_indices: torch.Tensor
    cell_types: torch.Tensor
    outputs: torch.Tensor


class NoCells(nn.Module):
    """Stands for a cell encoder where there are no control cells: one learned state."""

    def __init__(self, width: int) -> None:
        """Start from zeros, so that the query is what is known of the output gene."""
        super().__init__()
        self.state = nn.Parameter(torch.zeros(width))

    def prepare(self, pool: ControlPool) -> None:
        """Do nothing: there is no cell."""

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the state for each cell, (B,) to (B, D)."""
        return self.state.expand(len(indices), -1)


class PairNetwork(nn.Module):
    """What gradient steps add to the closed-form start, pair by pair; 0 before the first."""

    control: torch.Tensor
    output_genes: torch.Tensor
    tells_of_outputs: torch.Tensor

    def __init__(
        self,
        network: DyGenePT,
        *,
        output_genes: torch.Tensor,
        tells_of_outputs: torch.Tensor,
        control: torch.Tensor,
        width: int,
    ) -> None:
        """Put a query of cells and output genes before a network of one output.

        Args:
            network: Its decoder predicts one gene.
            output_genes: Position of each output gene among the encoder's genes, (G,).
            tells_of_outputs: Facets that tell of output genes, (K,) bool.
            control: Mean expression of each output gene in each cell type's control cells,
                (n_types, G), log1p scale; zeros without cells.
            width: Embedding width D.
        """
        super().__init__()
        self.network = network
        self.query = nn.Linear(width, width, bias=False)
        # All three start at 0: whatever is perturbed is read alike for every output gene, and
        # nothing is added.
        self.reading = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.reading.weight)
        self.own = nn.Parameter(torch.zeros(len(output_genes), width))
        self.scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("output_genes", output_genes, persistent=False)
        self.register_buffer("tells_of_outputs", tells_of_outputs, persistent=False)
        self.register_buffer("control", control, persistent=False)
        self._cells = [torch.zeros(1, dtype=torch.int64)] * len(control)

    def prepare(self, cells: ControlCells, gene_symbols: tuple[str, ...]) -> None:
        """Give the cell encoder the control cells whose mean state is that of their type."""
        self.network.prepare(cells.pool(gene_symbols))
        self._cells = [torch.from_numpy(cells.members(of)) for of in range(cells.n_cell_types)]

    def forward(self, pairs: PairBatch) -> torch.Tensor:
        """Return what is added to the start, (B,): logits of labels, units of values."""
        unique, inverse = torch.unique(pairs.outputs, return_inverse=True)
        known = self._known_of(unique)[inverse]  # (U, D) -> (B, D)
        cell = self._states()[pairs.cell_types]  # (B, D)
        facets = self.network.encode_genes(pairs.gene_indices)  # (B, P, K, D)
        return self._added(facets, known, cell, pairs)

    @torch.no_grad()
    def every_output(self, gene_indices: torch.Tensor, cell_types: torch.Tensor) -> torch.Tensor:
        """Return what is added for every output gene of conditions, (n, P), (n,) to (n, G)."""
        outputs = torch.arange(len(self.output_genes), device=self.control.device)
        known, states = self._known_of(outputs), self._states()
        added = torch.zeros(len(gene_indices), len(outputs), device=self.control.device)
        for row, genes in enumerate(gene_indices):
            of_condition = self.network.encode_genes(genes[None])  # (1, P, K, D)
            for columns in torch.split(outputs, CHUNK):
                size = len(columns)
                # Laid out without a copy, so that attention projects the facets once.
                facets = replace(
                    of_condition,
                    values=of_condition.values.expand(size, -1, -1, -1),
                    confidence=of_condition.confidence.expand(size, -1, -1),
                    known=of_condition.known.expand(size, -1, -1),
                )
                pairs = PairBatch(genes.expand(size, -1), cell_types[row].expand(size), columns)
                cell = states[pairs.cell_types]
                added[row, columns] = self._added(facets, known[columns], cell, pairs)
        return added

    @torch.no_grad()
    def attention_for(
        self, gene_indices: torch.Tensor, cell_types: torch.Tensor, outputs: torch.Tensor
    ) -> torch.Tensor:
        """Return attention weights over facets, (n, P, K): the mean over heads and output genes.

        Args:
            gene_indices: Perturbed genes, (n, P).
            cell_types: Cell type of each condition, (n,).
            outputs: Columns of the output genes that are asked for, (U,).
        """
        queries = self.query(self._known_of(outputs))  # (U, D)
        states = self._states()
        found = []
        for genes, cell_type in zip(gene_indices, cell_types, strict=True):
            facets = self.network.encode_genes(genes.expand(len(outputs), -1))
            attended = self.network.attend_to(facets, states[cell_type] + queries)
            found.append(attended.weights.float().mean(dim=(0, 2)))  # (U, P, H, K) -> (P, K)
        return torch.stack(found)

    def _added(
        self, facets: FacetBatch, known: torch.Tensor, cell: torch.Tensor, pairs: PairBatch
    ) -> torch.Tensor:
        query = cell + self.query(known)  # (B, D)
        embedding = self.network.attend_to(facets, query).embedding  # (B, P, D)
        reading = 1.0 + self.reading(known) + self.own[pairs.outputs]  # (B, D)
        control = self.control[pairs.cell_types, pairs.outputs][:, None]  # (B, 1)
        is_gene = pairs.gene_indices != PADDING  # (B, P)
        expression: torch.Tensor = self.network.decoder(
            embedding * reading[:, None], is_gene, cell, control
        )
        return self.scale * (expression - control)[:, 0]

    def _states(self) -> torch.Tensor:
        """Return the mean state of each cell type's control cells, (n_types, D)."""
        device = self.control.device
        return torch.stack(
            [self.network.encode_cells(cells.to(device)).mean(dim=0) for cells in self._cells]
        )

    def _known_of(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the mean of the known facets of output genes that tell of such, (U, D)."""
        facets = self.network.encode_genes(self.output_genes[outputs][:, None])
        known = (facets.known[:, 0] & self.tells_of_outputs)[..., None]  # (U, K, 1)
        total = facets.values[:, 0].masked_fill(~known, 0.0).sum(dim=1)  # (U, D)
        return total / known.sum(dim=1).clamp(min=1)
