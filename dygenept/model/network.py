"""The DyGenePT network, read from top to bottom: facets → attention → decoder.

    gene_indices (B, P) ── gene encoder ── facets (B, P, K, D) ──┐
                                                                 attention ── (B, P, D) ──┐
    control cells (B,) ─── cell encoder ── cell state (B, D) ────┴────────────────────────┤
    control expression (B, G) ───────────────────────────────────────────────── decoder ── (B, G)

B batch, P perturbed genes, K facets, D width, H heads, G output genes. The four parts are plugins;
this file is all that lies between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from dygenept.errors import PluginError
from dygenept.model.conditions import PADDING
from dygenept.model.type_readout import TypeReadout
from dygenept.plugin.interfaces import (
    AddsFacetVectors,
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
    LinearReadout,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """Factories of the four parts; each returns a ``torch.nn.Module``.

    Attributes:
        gene_encoder: Makes the gene encoder.
        cell_encoder: Makes the cell encoder.
        attention: Makes the attention, from the width D.
        decoder: Makes the decoder.
        description: Plugins and options behind the factories. It tells apart parts that do
            different things with weights of the same shapes.
    """

    gene_encoder: Callable[[GeneEncoderContext], GeneEncoder]
    cell_encoder: Callable[[CellEncoderContext], CellEncoder]
    attention: Callable[[int], Attention]
    decoder: Callable[[DecoderContext], Decoder]
    description: str = ""


@dataclass(frozen=True, slots=True)
class DyGenePTOutput:
    """What the network predicts for a batch.

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
            PluginError: If a factory returns something that is not a module.
        """
        super().__init__()
        width = genes.width
        self.by_type: TypeReadout | None = None
        self._pool_types = torch.zeros(0, dtype=torch.int64)
        # The order decides which first weights each part draws.
        self.gene_encoder = as_module("gene_encoder", parts.gene_encoder(genes))
        self.cell_encoder = as_module("cell_encoder", parts.cell_encoder(cells))
        self.attention = as_module("attention", parts.attention(width))
        self.decoder = as_module("decoder", parts.decoder(DecoderContext(width, n_genes)))

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
            cell: Their states where the caller has them, (B, D); encoded here otherwise.

        Returns:
            Predicted expression and attention weights.
        """
        # 1. What state is each control cell in?
        if cell is None:
            cell = self.encode_cells(control_indices)  # (B) -> (B, D)
        # 2. What is known of each perturbed gene, facet by facet?
        facets = self.encode_genes(gene_indices)  # (B, P) -> (B, P, K, D)
        # 3. Which facets matter in this cell? One dynamic embedding per gene.
        attended = self.attend_to(facets, cell)  # (B, P, K, D), (B, D) -> (B, P, D)
        # 4. What do these genes, together, change in this cell?
        is_gene = gene_indices != PADDING  # (B, P)
        expression = self.decode(attended.embedding, is_gene, cell, control, control_indices)
        return DyGenePTOutput(expression.float(), attended.weights.float())

    def decode(
        self,
        embedding: torch.Tensor,
        is_gene: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
        control_indices: torch.Tensor,
    ) -> torch.Tensor:
        """Predict expression, (B, G), from dynamic embeddings, (B, P, D), of which are genes.

        What the closed-form start found to differ between cell types is added.
        """
        expression: torch.Tensor = self.decoder(embedding, is_gene, cell, control)  # (B, G)
        if self.by_type is None:
            return expression
        decoder = cast(LinearReadout, self.decoder)
        features = decoder.readout_features(embedding, is_gene, cell)  # (B, F)
        types = self._pool_types.to(control_indices.device)[control_indices]  # (B,)
        added: torch.Tensor = self.by_type(features, types)
        return expression + added

    def encode_cells(self, control_indices: torch.Tensor) -> torch.Tensor:
        """Return the states of control cells, (B,) int64 to (B, D), each cell encoded once."""
        unique, inverse = torch.unique(control_indices, return_inverse=True)  # (U,), (B,)
        states: torch.Tensor = self.cell_encoder(unique)  # (U, D)
        return states[inverse]  # (B, D)

    def encode_genes(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Return the facets of perturbed genes, (B, P), each gene encoded once."""
        unique, inverse = torch.unique(gene_indices, return_inverse=True)  # (U,), (B, P)
        encoded: FacetBatch = self.gene_encoder(unique.clamp(min=PADDING)[:, None])  # (U, 1, K, D)
        return FacetBatch(
            values=encoded.values[:, 0][inverse],  # (B, P, K, D)
            confidence=encoded.confidence[:, 0][inverse],  # (B, P, K)
            known=encoded.known[:, 0][inverse],  # (B, P, K)
            null=encoded.null,  # (D,)
            read=None if encoded.read is None else encoded.read[:, 0][inverse],  # (B, P)
        )

    def attend_to(self, facets: FacetBatch, cell: torch.Tensor) -> AttentionOutput:
        """Weigh facets, (B, P, K, D), by cell states, (B, D), into one embedding per gene.

        A gene of which nothing is known takes the learned null embedding, and one of which nothing
        is read a zero one.
        """
        attended: AttentionOutput = self.attention(cell, facets)  # (B, P, D), (B, P, H, K)
        return with_null(attended, facets)

    def attend_adding(
        self, facets: FacetBatch, cell: torch.Tensor
    ) -> Callable[[torch.Tensor], AttentionOutput]:
        """Fix facets, (B, P, K, D), and cells, (B, D), for attention under other facet vectors.

        Returns:
            From vectors, (K, D), to what ``attend_to`` makes of the facets with each facet's vector
            added where the facet is known.
        """
        attention = self.attention
        if isinstance(attention, AddsFacetVectors):
            attend = attention.adding_vectors(cell, facets)
            return lambda vectors: with_null(attend(vectors), facets)

        def attend_again(vectors: torch.Tensor) -> AttentionOutput:
            known = facets.known[..., None]
            added = (facets.values + vectors).masked_fill(~known, 0.0)
            return self.attend_to(replace(facets, values=added), cell)

        return attend_again

    def attend(self, gene_indices: torch.Tensor, cell: torch.Tensor) -> AttentionOutput:
        """Encode genes, (B, P), and attend to their facets from cell states, (B, D)."""
        return self.attend_to(self.encode_genes(gene_indices), cell)

    def attend_each(self, gene_indices: torch.Tensor, cell: torch.Tensor) -> AttentionOutput:
        """Attend to the facets of genes from every cell state: each with each, once.

        Args:
            gene_indices: As in ``forward``, (n, P).
            cell: Cell states, (C, D).

        Returns:
            Dynamic embeddings, (n, C, P, D), and weights, (n, C, P, H, K).
        """
        unique, inverse = torch.unique(gene_indices, return_inverse=True)  # (U,), (n, P)
        encoded: FacetBatch = self.gene_encoder(unique.clamp(min=PADDING)[:, None])
        attended = self.attend_to(shared_facets(encoded, len(cell)), cell)  # (C, U, D)
        return AttentionOutput(
            embedding=attended.embedding[:, inverse].transpose(0, 1),
            weights=attended.weights[:, inverse].transpose(0, 1),
        )

    def prepare(self, pool: ControlPool) -> None:
        """Give the cell encoder the control cells whose positions ``forward`` takes."""
        self._pool_types = torch.tensor(pool.cell_type_codes, dtype=torch.int64)
        encoder = cast(CellEncoder, self.cell_encoder)
        encoder.prepare(pool)


def with_null(attended: AttentionOutput, facets: FacetBatch) -> AttentionOutput:
    """Give genes without a known facet the null embedding, and unread genes a zero one."""
    has_facet = facets.known.any(dim=-1, keepdim=True)  # (B, P, 1)
    null = facets.null.to(attended.embedding.dtype)  # (D,)
    embedding = torch.where(has_facet, attended.embedding, null)
    if facets.read is not None:
        # After attention, whose layer norm scales up the least bias that training gives it.
        embedding = embedding.masked_fill(~facets.read[..., None], 0.0)
    return AttentionOutput(embedding=embedding, weights=attended.weights)


def shared_facets(encoded: FacetBatch, n_cells: int) -> FacetBatch:
    """Lay the facets of genes, (U, 1, K, D), beside every cell without a copy, (C, U, K, D)."""

    def laid_out(values: torch.Tensor) -> torch.Tensor:
        return values[:, 0].expand(n_cells, *values[:, 0].shape)

    return FacetBatch(
        values=laid_out(encoded.values),
        confidence=laid_out(encoded.confidence),
        known=laid_out(encoded.known),
        null=encoded.null,
        read=None if encoded.read is None else laid_out(encoded.read),
    )


def as_module(part: str, value: object) -> nn.Module:
    """Return what a part's factory made.

    Raises:
        PluginError: If it is not a module.
    """
    if not isinstance(value, nn.Module):
        raise PluginError(
            f"the {part} factory returned a {type(value).__name__}; it must return a "
            "torch.nn.Module"
        )
    return value
