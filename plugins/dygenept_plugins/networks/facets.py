"""Frozen facet vectors behind a trainable adapter."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dygenept.interfaces import FacetBatch, GeneEncoderContext

NULL_SCALE = 0.02


class FacetEncoder(nn.Module):
    """Looks up the facets of perturbed genes and adapts them to the model's width.

    Facet vectors and confidences are frozen buffers that no checkpoint holds: they come from the
    knowledge set. The statistics that standardise them are saved, so that a trained encoder treats
    a gene it meets later as it treated the genes it was built with.
    """

    values: torch.Tensor
    confidence: torch.Tensor
    centre: torch.Tensor

    def __init__(
        self,
        context: GeneEncoderContext,
        *,
        standardise: bool = True,
        facet_types: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Build the tables and the adapter.

        Args:
            context: Knowledge, genes and width. A gene that the knowledge lacks has no known facet.
            standardise: Subtract each facet's mean vector over the genes that know it and scale
                every vector to norm √D_text; else raw vectors go in.
            facet_types: Add a learned vector per facet, (K, D), after the adapter.
            dropout: Share of text dimensions dropped in training.
        """
        super().__init__()
        knowledge, width = context.knowledge, context.width
        n_facets, text_width = knowledge.values.shape[1:]
        position = {gene: row for row, gene in enumerate(knowledge.genes)}
        rows = np.array([position.get(gene, -1) for gene in context.genes], dtype=np.int64)
        values = np.zeros((len(rows), n_facets, text_width), dtype=np.float32)
        confidence = np.zeros((len(rows), n_facets), dtype=np.float32)
        values[rows >= 0] = knowledge.values[rows[rows >= 0]]
        confidence[rows >= 0] = knowledge.confidence[rows[rows >= 0]]
        self.is_standardised = standardise
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        self.register_buffer("confidence", torch.from_numpy(confidence), persistent=False)
        self.register_buffer("centre", facet_means(self.values, self.confidence))  # (K, D_text)
        self.dropout = nn.Dropout(dropout)
        self.adapter = nn.Sequential(nn.Linear(text_width, width), nn.GELU(), nn.LayerNorm(width))
        self.facet_types: nn.Parameter | None = None
        if facet_types:
            self.facet_types = nn.Parameter(torch.randn(n_facets, width) * NULL_SCALE)
        self.null = nn.Parameter(torch.randn(width) * NULL_SCALE)

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Encode genes.

        Args:
            gene_indices: Positions among the context's genes, (B, P) int64; a negative one gives
                no known facet.

        Returns:
            Adapted facets, (B, P, K, D), zeros where unknown, with confidence and the null vector.
        """
        is_gene = gene_indices >= 0
        rows = gene_indices.clamp(min=0)
        confidence = self.confidence[rows] * is_gene[..., None]  # (B, P, K)
        known = confidence > 0
        text = self.values[rows]  # (B, P, K, D_text)
        if self.is_standardised:
            text = text - self.centre
            norm = text.norm(dim=-1, keepdim=True).clamp(min=1e-6)
            text = text / norm * text.shape[-1] ** 0.5
        adapted: torch.Tensor = self.adapter(self.dropout(text))  # (B, P, K, D)
        if self.facet_types is not None:
            adapted = adapted + self.facet_types
        values = adapted.masked_fill(~known[..., None], 0.0)
        return FacetBatch(values=values, confidence=confidence, known=known, null=self.null)


def facet_means(values: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Mean vector of each facet over the genes that know it.

    Args:
        values: Facet vectors, (genes, K, D_text).
        confidence: In [0, 1], (genes, K).

    Returns:
        Means, (K, D_text); zeros for a facet that fewer than two genes know, since subtracting
        the mean would then leave nothing.
    """
    known = (confidence > 0).to(values.dtype)
    n_known = known.sum(dim=0)  # (K,)
    means = torch.einsum("gk,gkd->kd", known, values) / n_known.clamp(min=1)[:, None]
    return means * (n_known >= 2)[:, None]
