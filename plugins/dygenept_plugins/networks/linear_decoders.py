"""Decoders without hidden layers: linear and bilinear in the perturbed genes' embeddings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class LinearDecoder(nn.Module):
    """Adds W·Σ e_p + n·b to the control, for n perturbed genes with embeddings e_p."""

    def __init__(self, *, width: int, n_genes: int) -> None:
        """Build the map, (G, D)."""
        super().__init__()
        self.output = nn.Linear(width, n_genes)

    def forward(
        self,
        embedding: torch.Tensor,
        gene_mask: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
    ) -> torch.Tensor:
        """Predict expression, (B, G), as every ``Decoder``; the cell state is not read."""
        total = embedding.masked_fill(~gene_mask[..., None], 0.0).sum(dim=1)  # (B, D)
        n_perturbed = gene_mask.sum(dim=1, keepdim=True)  # (B, 1)
        change = nn.functional.linear(total, self.output.weight)
        return control + change + n_perturbed * self.output.bias

    def combining(
        self,
        embedding: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
        columns: torch.Tensor | None = None,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Decode each gene once; see ``CombinesGenes``."""
        wanted = slice(None) if columns is None else columns
        changes = embedding.sum(dim=0) @ self.output.weight[wanted].T  # (U, m)
        return adding(changes + len(cell) * self.output.bias[wanted])


class BilinearDecoder(nn.Module):
    """Adds a low-rank bilinear form of gene and cell to the control.

    Δ = W·Σ_p (A e_p + a) ⊙ (1 + C z), with e_p the embedding of a perturbed gene, z the cell state,
    A and C of rank R, and the rows of W the learned embeddings of the output genes. Additive over
    the perturbed genes.
    """

    def __init__(self, *, width: int, n_genes: int, rank: int = 128) -> None:
        """Build the three maps, for width D, G output genes and rank R."""
        super().__init__()
        self.gene = nn.Linear(width, rank)
        self.cell = nn.Linear(width, rank, bias=False)
        self.output = nn.Linear(rank, n_genes, bias=False)

    def forward(
        self,
        embedding: torch.Tensor,
        gene_mask: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
    ) -> torch.Tensor:
        """Predict expression, (B, G), as every ``Decoder``."""
        factors = self.gene(embedding).masked_fill(~gene_mask[..., None], 0.0)  # (B, P, R)
        total = factors.sum(dim=1) * (1 + self.cell(cell))  # (B, R)
        expression: torch.Tensor = control + self.output(total)
        return expression

    def combining(
        self,
        embedding: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
        columns: torch.Tensor | None = None,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Decode each gene once; see ``CombinesGenes``."""
        wanted = slice(None) if columns is None else columns
        factors = self.gene(embedding) * (1 + self.cell(cell))[:, None]  # (C, U, R)
        return adding(factors.sum(dim=0) @ self.output.weight[wanted].T)  # (U, m)


def adding(changes: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what adds up the changes of genes, (U, m), by their positions, (n, P); -1 adds 0."""
    # Position -1 is the last row.
    padded = torch.cat([changes, changes.new_zeros(1, changes.shape[1])])
    return lambda genes: padded[genes].sum(dim=1)
