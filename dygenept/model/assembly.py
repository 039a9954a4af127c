"""The DyGenePT network: four parts put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from dygenept.errors import PluginError
from dygenept.plugin.interfaces import (
    Attention,
    AttentionOutput,
    CellEncoder,
    CellEncoderContext,
    ControlPool,
    Decoder,
    DecoderContext,
    FacetBatch,
    GeneEncoder,
    GeneEncoderContext,
)
from dygenept.types import Condition

PADDING = -1
UNKNOWN = -2


@dataclass(frozen=True, slots=True)
class Parts:
    """Factories of the four parts; each returns a ``torch.nn.Module``.

    Attributes:
        gene_encoder: Makes the gene encoder.
        cell_encoder: Makes the cell encoder.
        attention: Makes the attention, from the width D.
        decoder: Makes the decoder.
        description: Plugins and options behind the factories. Parts that do unlike things with
            weights of like shapes are told apart by it.
    """

    gene_encoder: Callable[[GeneEncoderContext], GeneEncoder]
    cell_encoder: Callable[[CellEncoderContext], CellEncoder]
    attention: Callable[[int], Attention]
    decoder: Callable[[DecoderContext], Decoder]
    description: str = ""


@dataclass(frozen=True, slots=True)
class DyGenePTOutput:
    """What the network says of a batch.

    Attributes:
        expression: Predicted expression, (B, G), float32, log1p scale.
        weights: Attention weights, (B, P, H, K), float32; zeros for padding and for genes
            without a known facet.
    """

    expression: torch.Tensor
    weights: torch.Tensor


class DyGenePT(nn.Module):
    """Gene encoder, cell encoder, attention and decoder in one module.

    Build it under a forked random state: the parts draw their first weights from torch's global
    generator.
    """

    gene_encoder: nn.Module
    cell_encoder: nn.Module
    attention: nn.Module
    decoder: nn.Module

    def __init__(
        self,
        parts: Parts,
        *,
        genes: GeneEncoderContext,
        cells: CellEncoderContext,
        n_genes: int,
    ) -> None:
        """Build the four parts.

        Args:
            parts: Their factories.
            genes: Context of the gene encoder.
            cells: Context of the cell encoder.
            n_genes: Output genes G.

        Raises:
            PluginError: If a factory returns something that is no module.
        """
        super().__init__()
        width = genes.width
        self.gene_encoder = as_module("gene_encoder", parts.gene_encoder(genes))
        self.cell_encoder = as_module("cell_encoder", parts.cell_encoder(cells))
        self.attention = as_module("attention", parts.attention(width))
        self.decoder = as_module("decoder", parts.decoder(DecoderContext(width, n_genes)))

    def prepare(self, pool: ControlPool) -> None:
        """Give the cell encoder the control cells whose positions ``forward`` takes."""
        encoder = cast(CellEncoder, self.cell_encoder)
        encoder.prepare(pool)

    def encode_cells(self, control_indices: torch.Tensor) -> torch.Tensor:
        """Return the states of control cells, (B,) int64 to (B, D), each cell encoded once."""
        unique, inverse = torch.unique(control_indices, return_inverse=True)
        states: torch.Tensor = self.cell_encoder(unique)
        return states[inverse]

    def forward(
        self,
        gene_indices: torch.Tensor,
        control_indices: torch.Tensor,
        control: torch.Tensor,
        cell: torch.Tensor | None = None,
    ) -> DyGenePTOutput:
        """Predict the expression of perturbed cells.

        Args:
            gene_indices: Positions of the perturbed genes among the encoder's genes, (B, P)
                int64; ``PADDING`` for no gene, ``UNKNOWN`` for a gene the encoder lacks.
            control_indices: Positions of the control cells in the pool, (B,) int64.
            control: Expression of these cells, (B, G), log1p scale.
            cell: Their states where they are at hand, (B, D); encoded here otherwise.

        Returns:
            Predicted expression and attention weights.
        """
        if cell is None:
            cell = self.encode_cells(control_indices)
        attended = self.attend(gene_indices, cell)
        expression = self.decoder(attended.embedding, gene_indices != PADDING, cell, control)
        return DyGenePTOutput(expression.float(), attended.weights.float())

    def attend(self, gene_indices: torch.Tensor, cell: torch.Tensor) -> AttentionOutput:
        """Return the dynamic embeddings of perturbed genes; the null one where nothing is known.

        Args:
            gene_indices: As in ``forward``, (B, P).
            cell: Cell states, (B, D).
        """
        return self.attend_to(self.encode_genes(gene_indices), cell)

    def attend_to(self, facets: FacetBatch, cell: torch.Tensor) -> AttentionOutput:
        """Return the dynamic embeddings of genes whose facets are at hand, as ``attend`` does."""
        attended: AttentionOutput = self.attention(cell, facets)
        has_facet = facets.known.any(dim=-1, keepdim=True)  # (B, P, 1)
        null = facets.null.to(attended.embedding.dtype)
        return AttentionOutput(
            embedding=torch.where(has_facet, attended.embedding, null), weights=attended.weights
        )

    def encode_genes(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Return the facets of perturbed genes, (B, P), each gene encoded once."""
        unique, inverse = torch.unique(gene_indices, return_inverse=True)
        encoded: FacetBatch = self.gene_encoder(unique.clamp(min=PADDING)[:, None])
        return FacetBatch(
            values=encoded.values[:, 0][inverse],  # (B, P, K, D)
            confidence=encoded.confidence[:, 0][inverse],
            known=encoded.known[:, 0][inverse],
            null=encoded.null,
        )


def gene_positions(conditions: Sequence[Condition], genes: Sequence[str]) -> torch.Tensor:
    """Look up the target genes of conditions.

    Args:
        conditions: n conditions.
        genes: The gene encoder's genes.

    Returns:
        Positions in ``genes``, (n, P) int64, with P the largest number of targets (at least 1);
        ``PADDING`` after a condition's last gene, ``UNKNOWN`` for a gene that is not listed.
    """
    position = {gene: index for index, gene in enumerate(genes)}
    width = max((len(condition.genes) for condition in conditions), default=1)
    rows = [
        [position.get(gene, UNKNOWN) for gene in condition.genes]
        + [PADDING] * (max(width, 1) - len(condition.genes))
        for condition in conditions
    ]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), max(width, 1))


def as_module(part: str, value: object) -> nn.Module:
    """Return what a part's factory made.

    Raises:
        PluginError: If it is no module.
    """
    if not isinstance(value, nn.Module):
        raise PluginError(
            f"the {part} factory returned a {type(value).__name__}; it must return a "
            "torch.nn.Module"
        )
    return value
