"""The scGPT transformer at any size, with the parameter names of its published checkpoints.

Structure of Cui et al. 2024, doi:10.1038/s41592-024-02201-0 (code MIT): gene and value embeddings
are added and pass through post-norm ReLU layers. Written from scratch on
scaled_dot_product_attention, which on a CPU is faster than nn.TransformerEncoder. Dropout acts on
embeddings and residual branches but not on attention weights, where it makes a training step on a
CPU eight times slower.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

MAX_VALUE = 512.0
EMBEDDING_RANGE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScGptSize:
    """Size of the transformer.

    Attributes:
        n_tokens: Tokens of the vocabulary.
        pad_token: Token of padded positions.
        d_model: Width of the hidden states.
        n_layers: Transformer layers.
        n_heads: Attention heads; must divide ``d_model``.
        d_hid: Width of the feed-forward layers.
        dropout: Dropout in training.
    """

    n_tokens: int
    pad_token: int
    d_model: int
    n_layers: int
    n_heads: int
    d_hid: int
    dropout: float


class GeneEncoder(nn.Module):
    """Gene tokens to vectors: embedding and LayerNorm."""

    def __init__(self, *, n_tokens: int, d_model: int, pad_token: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, d_model, padding_idx=pad_token)
        self.enc_norm = nn.LayerNorm(d_model)
        nn.init.uniform_(self.embedding.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embed tokens, (B, S) int64 to (B, S, d)."""
        embedded: torch.Tensor = self.enc_norm(self.embedding(tokens))
        return embedded


class ValueEncoder(nn.Module):
    """Binned expression to vectors: two linear layers and LayerNorm."""

    def __init__(self, *, d_model: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(1, d_model)
        self.linear2 = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Embed values, (B, S) to (B, S, d)."""
        hidden = functional.relu(self.linear1(values[..., None].clamp(max=MAX_VALUE)))
        embedded: torch.Tensor = self.dropout(self.norm(self.linear2(hidden)))
        return embedded


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values."""

    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d_model, d_model))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d_model))
        self.out_proj = nn.Linear(d_model, d_model)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, hidden: torch.Tensor, real: torch.Tensor | None, *, n_queries: int
    ) -> torch.Tensor:
        """Attend from the first ``n_queries`` positions to the real ones, to (B, n_queries, d)."""
        d_model = hidden.shape[-1]
        weight, bias = self.in_proj_weight, self.in_proj_bias
        query = functional.linear(hidden[:, :n_queries], weight[:d_model], bias[:d_model])
        both = functional.linear(hidden, weight[d_model:], bias[d_model:])  # (B, S, 2d)
        key, value = both.chunk(2, dim=-1)
        attended = functional.scaled_dot_product_attention(
            self._split(query),
            self._split(key),
            self._split(value),
            attn_mask=None if real is None else real[:, None, None, :],
        )  # (B, H, n_queries, d / H)
        merged: torch.Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return merged

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        n_cells, length, d_model = projected.shape
        return projected.view(n_cells, length, self.n_heads, d_model // self.n_heads).transpose(
            1, 2
        )


class Layer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, *, d_model: int, n_heads: int, d_hid: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(d_model=d_model, n_heads=n_heads)
        self.linear1 = nn.Linear(d_model, d_hid)
        self.linear2 = nn.Linear(d_hid, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden: torch.Tensor, real: torch.Tensor | None, *, n_queries: int | None = None
    ) -> torch.Tensor:
        """Run the layer.

        Args:
            hidden: Hidden states, (B, S, d).
            real: True at positions that are not padding, (B, S); None where all are real.
            n_queries: Leading positions to compute; all where None.

        Returns:
            Hidden states of these positions, (B, n_queries, d).
        """
        n_queries = hidden.shape[1] if n_queries is None else n_queries
        attended = self.dropout(self.self_attn(hidden, real, n_queries=n_queries))
        hidden = self.norm1(hidden[:, :n_queries] + attended)
        expanded = self.dropout(functional.relu(self.linear1(hidden)))
        out: torch.Tensor = self.norm2(hidden + self.dropout(self.linear2(expanded)))
        return out


class Stack(nn.Module):
    """The layers."""

    def __init__(self, size: ScGptSize) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(
                d_model=size.d_model,
                n_heads=size.n_heads,
                d_hid=size.d_hid,
                dropout=size.dropout,
            )
            for _ in range(size.n_layers)
        )


class ScGpt(nn.Module):
    """The encoder of scGPT: everything up to the hidden states."""

    def __init__(self, size: ScGptSize) -> None:
        """Build it with scGPT's first weights."""
        super().__init__()
        self.size = size
        self.recomputes = False
        self.encoder = GeneEncoder(
            n_tokens=size.n_tokens, d_model=size.d_model, pad_token=size.pad_token
        )
        self.value_encoder = ValueEncoder(d_model=size.d_model, dropout=size.dropout)
        self.transformer_encoder = Stack(size)

    def embed(self, tokens: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Embed gene tokens and binned values, (B, S) each, to (B, S, d)."""
        embedded: torch.Tensor = self.encoder(tokens) + self.value_encoder(values)
        return embedded

    def run(
        self,
        hidden: torch.Tensor,
        real: torch.Tensor | None,
        *,
        first: int = 0,
        last: int | None = None,
        n_final: int | None = None,
    ) -> torch.Tensor:
        """Run layers ``first`` to ``last`` (excluded).

        Args:
            hidden: Hidden states, (B, S, d).
            real: True at positions that are not padding, (B, S); None where all are real.
            first: First layer.
            last: Layer to stop before; None runs to the end.
            n_final: Leading positions to compute in the last of these layers; all where None.

        Returns:
            Hidden states, (B, S or n_final, d).
        """
        layers = list(self.transformer_encoder.layers)[first:last]
        for position, layer in enumerate(layers):
            n_queries = n_final if position == len(layers) - 1 else None
            if self.recomputes and self.training and torch.is_grad_enabled():
                hidden = checkpoint(layer, hidden, real, n_queries=n_queries, use_reentrant=False)
            else:
                hidden = layer(hidden, real, n_queries=n_queries)
        return hidden if n_final is None else hidden[:, :n_final]

    def forward(
        self, tokens: torch.Tensor, values: torch.Tensor, real: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the hidden states of all positions, (B, S, d)."""
        return self.run(self.embed(tokens, values), real)
