"""Multi-head attention from a cell state to the facets of each perturbed gene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from dygenept.plugin import AttentionOutput, ConfigError, FacetBatch
from dygenept_plugins.networks.linear_start import orthogonal, read_pairs

# A score this far below a row's best gets weight 0 from softmax, sparsemax and entmax alike.
MASKED_GAP = 1e4

Normaliser = Callable[[torch.Tensor], torch.Tensor]


class FacetAttention(nn.Module):
    """Weighs facets by cell state.

    Scores are QKᵀ/√d_head + log(confidence), the query from the cell, keys and values from the
    facets. Scores, normalisation and the weighted sum run in float32 or wider, also under autocast.
    """

    def __init__(
        self,
        *,
        width: int,
        num_heads: int,
        normalise: Normaliser,
        link: Normaliser | None = None,
        reads_cell: bool = True,
    ) -> None:
        """Build the projections.

        Args:
            width: Embedding width D.
            num_heads: Heads H; must divide ``width``.
            normalise: From scores to weights that sum to 1 over the last dimension.
            link: Applied to the scaled dot products before log(confidence) is added.
            reads_cell: False gives every known facet only the score log(confidence).

        Raises:
            ConfigError: If ``num_heads`` does not divide ``width``.
        """
        super().__init__()
        if num_heads < 1 or width % num_heads:
            divisors = ", ".join(str(n) for n in range(1, min(width, 64) + 1) if width % n == 0)
            raise ConfigError(
                f"attention.num_heads {num_heads} does not divide the width {width}; "
                f"allowed: {divisors}"
            )
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.normalise = normalise
        self.link = link
        self.query: nn.Linear | None = nn.Linear(width, width) if reads_cell else None
        # A bias on the keys shifts every facet's score alike, so it would have no effect.
        self.key: nn.Linear | None = nn.Linear(width, width, bias=False) if reads_cell else None
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        read_pairs(self.value, orthogonal(width, width // 2))
        with torch.no_grad():
            self.output.weight.copy_(orthogonal(width, width))
            self.output.bias.zero_()

    def forward(self, cell: torch.Tensor, facets: FacetBatch) -> AttentionOutput:
        """Attend from cell states to facets.

        Args:
            cell: Cell states, (B, D).
            facets: Facets of the perturbed genes, (B, P, K, D).

        Returns:
            Dynamic embeddings, (B, P, D), and weights, (B, P, H, K); both are zeros for a gene
            without a known facet.
        """
        facets = _known_alone(facets)
        products = self._products(cell, facets.values)  # (B, P, H, K), or (1, 1, H, 1)
        projected = self._split(self.value(facets.values))  # (B, P, K, H, d)
        with torch.autocast(facets.values.device.type, enabled=False):
            masking = Masking.of(facets.confidence, facets.known, products.dtype)
            weights = masking.weights(self._linked(products), self.normalise)
            pooled = torch.einsum("bphk,bpkhd->bphd", weights, projected.to(weights.dtype))
        is_unknown = ~facets.known.any(dim=-1)
        return self._output(pooled, weights, is_unknown, facets, n_cells=len(cell))

    def adding_vectors(
        self, cell: torch.Tensor, facets: FacetBatch
    ) -> Callable[[torch.Tensor], AttentionOutput]:
        """Fix cells and facets; see ``AddsFacetVectors``.

        Keys and values are linear in the facets, so the facets are projected once, and a vector per
        facet by itself.
        """
        with torch.no_grad():
            facets = _known_alone(facets)
            products = self._products(cell, facets.values)
            projected = self._split(self.value(facets.values))
            projected = projected.to(products.dtype)
            asked = None if self.query is None else self._split(self.query(cell))
            masking = Masking.of(facets.confidence, facets.known, products.dtype)
            is_unknown = ~facets.known.any(dim=-1)

        def attend(vectors: torch.Tensor) -> AttentionOutput:
            added = products + self._asked(asked, vectors[None, None])  # (B, P, H, K)
            weights = masking.weights(self._linked(added), self.normalise)
            shift = self._split(functional.linear(vectors, self.value.weight))  # (K, H, d)
            pooled = torch.einsum("bphk,bpkhd->bphd", weights, projected)
            pooled = pooled + torch.einsum("bphk,khd->bphd", weights, shift.to(weights.dtype))
            return self._output(pooled, weights, is_unknown, facets, n_cells=len(cell))

        return attend

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.view(*projected.shape[:-1], self.num_heads, self.head_width)

    def _products(self, cell: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return QKᵀ/√d_head, (B, P, H, K); zeros, (1, 1, H, 1), where the cell is not read."""
        return self._asked(None if self.query is None else self._split(self.query(cell)), values)

    def _asked(self, query: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
        """Return the products of queries, (B, H, d); None where the cell is not read."""
        if query is None or self.key is None:
            return torch.zeros(1, 1, self.num_heads, 1, device=values.device)
        key = self._split(self.key(values))
        wide = torch.promote_types(values.dtype, torch.float32)
        with torch.autocast(values.device.type, enabled=False):
            products = torch.einsum("bhd,bpkhd->bphk", query.to(wide), key.to(wide))
            scaled: torch.Tensor = products / self.head_width**0.5
        return scaled

    def _linked(self, products: torch.Tensor) -> torch.Tensor:
        return products if self.link is None or self.query is None else self.link(products)

    def _output(
        self,
        pooled: torch.Tensor,
        weights: torch.Tensor,
        is_unknown: torch.Tensor,
        facets: FacetBatch,
        *,
        n_cells: int,
    ) -> AttentionOutput:
        """Map and normalise what was pooled; zeros for genes of which nothing is known, (B, P)."""
        mapped = self.output(pooled.flatten(2).to(facets.values.dtype))
        embedding = self.norm(mapped).masked_fill(is_unknown[..., None], 0.0)  # (B, P, D)
        return AttentionOutput(
            embedding.expand(n_cells, *embedding.shape[1:]),
            weights.expand(n_cells, *weights.shape[1:]),
        )


def _known_alone(facets: FacetBatch) -> FacetBatch:
    """Keep facets that all cells share once, and zero those that take no part."""
    # Facets laid out beside every cell without a copy are projected once.
    at = slice(0, 1) if facets.values.stride(0) == 0 else slice(None)
    confidence = facets.confidence[at]
    known = facets.known[at] & (confidence > 0)  # (B, P, K), or (1, P, K)
    return FacetBatch(
        # Zeroed, so that whatever is in an unknown facet's place (NaN even) cannot leak.
        values=facets.values[at].masked_fill(~known[..., None], 0.0),
        confidence=confidence,
        known=known,
        null=facets.null,
    )


@dataclass(frozen=True, slots=True)
class Masking:
    """What of the weights over facets does not depend on their scores.

    Attributes:
        prior: log(confidence), 0 where unknown, (B, P, 1, K).
        is_unknown: True where a facet takes no part, (B, P, 1, K).
        has_none: True for a gene without a known facet, (B, P, 1, 1).
    """

    prior: torch.Tensor
    is_unknown: torch.Tensor
    has_none: torch.Tensor

    @classmethod
    def of(cls, confidence: torch.Tensor, known: torch.Tensor, dtype: torch.dtype) -> Masking:
        """Take confidences, (B, P, K) in [0, 1], which facets take part, and the scores' type."""
        prior = torch.where(known, confidence.to(dtype), 1.0).log()  # (B, P, K)
        is_unknown = ~known[:, :, None, :]
        return cls(prior[:, :, None, :], is_unknown, is_unknown.all(dim=-1, keepdim=True))

    def weights(self, scores: torch.Tensor, normalise: Normaliser) -> torch.Tensor:
        """Turn scores into weights over the known facets.

        Args:
            scores: Float32 or wider; they broadcast to (B, P, H, K).
            normalise: From scores to weights that sum to 1 over the last dimension.

        Returns:
            (B, P, H, K): exactly 0 where unknown; a row without a known facet is all zeros, with
            zero gradients.
        """
        shifted = scores + self.prior  # (B, P, H, K)
        best = shifted.detach().masked_fill(self.is_unknown, -torch.inf).amax(dim=-1, keepdim=True)
        best = best.masked_fill(self.has_none, 0.0)
        # Relative to the row's best score, the gap stays exact in float32 however large scores are.
        weights = normalise((shifted - best).masked_fill(self.is_unknown, -MASKED_GAP))
        return weights.masked_fill(self.is_unknown, 0.0)


def softmax(scores: torch.Tensor) -> torch.Tensor:
    """Softmax over the last dimension."""
    return functional.softmax(scores, dim=-1)
