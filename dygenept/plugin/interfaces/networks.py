"""Plugin kinds that are ``torch.nn.Module``s; ``torch`` appears only in annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from scipy import sparse

    from dygenept.types import GeneKnowledge, Runtime


@dataclass(frozen=True, slots=True)
class GeneEncoderContext:
    """What a gene encoder is built from.

    Attributes:
        knowledge: Facet embeddings of the genes it must encode.
        genes: Target genes; ``gene_indices`` passed to ``forward`` are positions here.
        width: Embedding width D.
        n_fitted: How many of the genes, the first ones, the model was fitted with; the others were
            met later, and what an encoder says of one of these must not depend on the others. None
            where all of them are fitted.
    """

    knowledge: GeneKnowledge
    genes: tuple[str, ...]
    width: int
    n_fitted: int | None = None


@dataclass(frozen=True, slots=True)
class FacetBatch:
    """Facet embeddings of the perturbed genes of a batch.

    Attributes:
        values: Adapted facet embeddings, (B, P, K, D).
        confidence: In [0, 1], (B, P, K); 0 where unknown.
        known: True where a facet is known, (B, P, K).
        null: Embedding that stands for a gene with no known facet, (D,).
        read: False where nothing of a gene is read, (B, P): its embedding is zero, whatever its
            facets are; None where something is read of every gene.
    """

    values: torch.Tensor
    confidence: torch.Tensor
    known: torch.Tensor
    null: torch.Tensor
    read: torch.Tensor | None = None


class GeneEncoder(Protocol):
    """A ``torch.nn.Module`` from gene positions to facets."""

    def __call__(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Encode genes, (B, P) int64; -1 is padding and gives no known facet."""


@dataclass(frozen=True, slots=True)
class ControlPool:
    """Control cells that the cell encoder reads.

    Attributes:
        expression: CSR, (n_controls, G), float32, log1p scale.
        gene_symbols: Gene symbols, (G,).
        cell_type_codes: Cell type of each control cell, (n_controls,).
    """

    expression: sparse.csr_matrix
    gene_symbols: tuple[str, ...]
    cell_type_codes: Sequence[int]


@dataclass(frozen=True, slots=True)
class CellEncoderContext:
    """What a cell encoder is built from.

    Attributes:
        gene_symbols: Output genes, (G,).
        target_genes: Perturbed genes; a sequence limit never drops one that is expressed.
        width: Output width D.
        seed: For whatever the encoder samples.
        runtime: Device, progress and cache folder of the run; None where there is no run.
    """

    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    width: int
    seed: int
    runtime: Runtime | None = None


class CellEncoder(Protocol):
    """A ``torch.nn.Module`` from control cells to cell states."""

    def prepare(self, pool: ControlPool) -> None:
        """Compute once whatever training cannot change."""

    def __call__(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the states of control cells of the pool, (B,) int64 to (B, D)."""


@runtime_checkable
class CellEmbedder(Protocol):
    """A cell encoder with an embedding of its own before projection to the model's width."""

    def embed(self, indices: torch.Tensor) -> torch.Tensor:
        """Return raw pooled embeddings of control cells of the pool, (B,) int64 to (B, d)."""


@dataclass(frozen=True, slots=True)
class AttentionOutput:
    """What attention makes of the facets.

    Attributes:
        embedding: Dynamic gene embedding, (B, P, D); zeros where no facet is known.
        weights: Attention weights, (B, P, H, K), float32; each row sums to 1, or is all zeros
            where no facet is known.
    """

    embedding: torch.Tensor
    weights: torch.Tensor


class Attention(Protocol):
    """A ``torch.nn.Module`` that weighs facets by cell state."""

    def __call__(self, cell: torch.Tensor, facets: FacetBatch) -> AttentionOutput:
        """Attend from cell states, (B, D), to facets, (B, P, K, D)."""


@dataclass(frozen=True, slots=True)
class DecoderContext:
    """What a decoder is built from.

    Attributes:
        width: Embedding width D.
        n_genes: Output genes G.
    """

    width: int
    n_genes: int


class Decoder(Protocol):
    """A ``torch.nn.Module`` from dynamic embeddings to expression."""

    def __call__(
        self,
        embedding: torch.Tensor,
        gene_mask: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
    ) -> torch.Tensor:
        """Predict expression.

        Args:
            embedding: Dynamic gene embeddings, (B, P, D).
            gene_mask: True where a perturbed gene is real, (B, P).
            cell: Cell state, (B, D).
            control: Control expression, (B, G), log1p scale.

        Returns:
            Predicted expression, (B, G), log1p scale; equal to ``control`` where no gene is
            perturbed.
        """
