"""The torch modules of the neural toy plugins; imported by their factories alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dygenept.plugin import AttentionOutput, ControlPool, FacetBatch, GeneEncoderContext


class MostConfident(nn.Module):
    """Averages the facets of highest confidence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, cell: torch.Tensor, facets: FacetBatch) -> AttentionOutput:
        """Attend; the cell state is not read."""
        confidence = facets.confidence.float()  # (B, P, K)
        best = confidence.amax(dim=-1, keepdim=True)
        chosen = (facets.known & (confidence == best)).float()
        weights = chosen / chosen.sum(dim=-1, keepdim=True).clamp(min=1.0)
        values = facets.values.masked_fill(~facets.known[..., None], 0.0)
        pooled = torch.einsum("bpk,bpkd->bpd", weights.to(values.dtype), values)
        return AttentionOutput(self.output(pooled), weights[:, :, None, :])


class Summed(nn.Module):
    """Adds one linear shift per gene to the control.

    Offers ``LinearReadout``: its change is a linear map of the summed embeddings, so that a
    closed-form start can fit the map.
    """

    def __init__(self, width: int, n_genes: int) -> None:
        super().__init__()
        self.shift = nn.Linear(width, n_genes, bias=False)

    def forward(
        self,
        embedding: torch.Tensor,
        gene_mask: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
    ) -> torch.Tensor:
        """Predict; without a bias, no gene gives no shift."""
        return control + self.shift(self.readout_features(embedding, gene_mask, cell))

    def readout_features(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """Sum the embeddings of the perturbed genes, (B, P, D) to (B, D)."""
        return embedding.masked_fill(~gene_mask[..., None], 0.0).sum(dim=1)

    @torch.no_grad()
    def set_readout(self, weights: torch.Tensor) -> None:
        """Set the map, (G, D)."""
        self.shift.weight.copy_(weights)


class Projected(nn.Module):
    """Looks facet embeddings up and projects them."""

    values: torch.Tensor
    confidence: torch.Tensor

    def __init__(self, context: GeneEncoderContext) -> None:
        super().__init__()
        knowledge = context.knowledge
        n_facets, text_width = knowledge.values.shape[1:]
        position = {gene: row for row, gene in enumerate(knowledge.genes)}
        values = torch.zeros(len(context.genes) + 1, n_facets, text_width)
        confidence = torch.zeros(len(context.genes) + 1, n_facets)
        for row, gene in enumerate(context.genes):
            if gene in position:
                values[row] = torch.from_numpy(knowledge.values[position[gene]])
                confidence[row] = torch.from_numpy(knowledge.confidence[position[gene]])
        # The last row stands for padding, which the index -1 reaches by itself.
        self.register_buffer("values", values, persistent=False)
        self.register_buffer("confidence", confidence, persistent=False)
        self.projection = nn.Linear(text_width, context.width)
        self.null = nn.Parameter(torch.zeros(context.width))

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Encode genes, (B, P)."""
        confidence = self.confidence[gene_indices]
        return FacetBatch(
            values=self.projection(self.values[gene_indices]),
            confidence=confidence,
            known=confidence > 0,
            null=self.null,
        )


class Depth(nn.Module):
    """Projects two numbers per cell."""

    features: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(0, 2), persistent=False)
        self.projection = nn.Linear(2, width)

    def prepare(self, pool: ControlPool) -> None:
        """Sum every cell's row."""
        n_expressed = np.diff(pool.expression.indptr) / pool.expression.shape[1]
        total = np.asarray(pool.expression.mean(axis=1)).ravel()
        features = np.stack([n_expressed, total], axis=1).astype(np.float32)
        self.features = torch.from_numpy(features).to(self.projection.weight.device)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Return cell states, (B, D)."""
        states: torch.Tensor = self.projection(self.features[indices])
        return states
