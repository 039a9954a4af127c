"""What scGPT takes before anything is built: bytes of cached states, operations of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dygenept.types import EncoderFootprint, IntArray

# One backward pass computes gradients of inputs and of weights: two products for each forward one.
PASSES_OF_A_STEP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSizes:
    """Sizes of the transformer, and how many of its first layers are frozen.

    Attributes:
        n_layers: All layers.
        n_frozen: Frozen ones among them; their outputs are cached.
        d_model: Width of hidden states.
        d_hid: Width of feed-forward layers.
        max_length: Longest sequence, ``<cls>`` included.
        pools_cls: Only ``<cls>`` is read, so the last layer computes one query.
    """

    n_layers: int
    n_frozen: int
    d_model: int
    d_hid: int
    max_length: int
    pools_cls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """How outputs of frozen layers are kept.

    Attributes:
        place: Where.
        bytes_per_number: 4 for float32, 2 for bf16.
        max_bytes: Limit in bytes; None for none.
        max_cells: Limit in cells; None for none.
    """

    place: Literal["disk", "memory", "off"]
    bytes_per_number: int
    max_bytes: int | None
    max_cells: int | None


def footprint_of(sizes: LayerSizes, cache: CachePlan, expressed: IntArray) -> EncoderFootprint:
    """Count bytes and operations.

    Args:
        sizes: The transformer.
        cache: How states are kept.
        expressed: Expressed genes of each control cell, (n_controls,). Genes outside the
            vocabulary have no token, so the counts are upper bounds where there are such.
    """
    tokens = np.minimum(expressed.astype(np.int64) + 1, sizes.max_length)
    n_trained = sizes.n_layers - sizes.n_frozen
    place = cache.place if sizes.n_frozen else "off"
    n_cached = 0
    cell_bytes = np.cumsum(tokens * sizes.d_model * cache.bytes_per_number)
    if place != "off":
        n_cached = len(tokens)
        if cache.max_bytes is not None:
            n_cached = int(np.searchsorted(cell_bytes, cache.max_bytes, side="right"))
        if cache.max_cells is not None:
            n_cached = min(n_cached, cache.max_cells)
    frozen = float(sum(_layer_flop(sizes, tokens, tokens) for _ in range(sizes.n_frozen)))
    forward = 0.0
    for layer in range(n_trained):
        is_last = layer == n_trained - 1 and sizes.pools_cls
        queries = np.ones_like(tokens) if is_last else tokens
        forward += _layer_flop(sizes, tokens, queries)
    # Cells that are not cached run through the frozen layers in each batch.
    repeated = frozen * (1 - n_cached / max(1, len(tokens)))
    return EncoderFootprint(
        cache_place=place,
        cache_bytes=int(cell_bytes[n_cached - 1]) if n_cached else 0,
        n_cached=n_cached,
        frozen_flop=frozen,
        step_flop=(PASSES_OF_A_STEP * forward + repeated) / max(1, len(tokens)),
    )


def _layer_flop(sizes: LayerSizes, tokens: IntArray, queries: IntArray) -> float:
    """Count one layer's forward operations over all cells; a multiply-add counts as two."""
    d, hidden = sizes.d_model, sizes.d_hid
    keys_and_values = 4 * d * d * tokens
    of_queries = (4 * d * d + 4 * d * hidden) * queries
    attention = 4 * d * queries * tokens
    return float((keys_and_values + of_queries + attention).sum())
