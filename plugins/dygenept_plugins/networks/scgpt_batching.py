"""Batches of sequences: grouped by length, so that layers see little padding, masked and pooled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Int64Array = npt.NDArray[np.int64]

# What one more pass over a layer costs besides its arithmetic, as arithmetic that the device does
# in the same time: about 0.3 ms at 50 GFLOP/s and 130 TFLOP/s.
OVERHEAD_FLOP = {"cpu": 1.5e7, "cuda": 4e10}
FLOP_PER_TOKEN = 36  # times width²: forward and backward of one layer's matrix products
MIN_SLACK = 16


def padding_slack(device_type: str, d_model: int) -> int:
    """Return how many padded tokens cost less than one more bucket."""
    overhead = OVERHEAD_FLOP.get(device_type, OVERHEAD_FLOP["cuda"])
    return max(MIN_SLACK, int(overhead / (FLOP_PER_TOKEN * d_model**2)))


def length_buckets(
    lengths: Int64Array,
    *,
    slack: int,
    max_tokens: int | None = None,
    max_size: int | None = None,
) -> list[Int64Array]:
    """Group sequences by length.

    Longest first; a group ends before its padding exceeds ``slack`` tokens, or its size one of the
    limits.

    Args:
        lengths: Tokens of each sequence, (n,).
        slack: Padded tokens that a group may contain.
        max_tokens: Tokens of a group, padding included; a single sequence may have more.
        max_size: Sequences of a group.

    Returns:
        Positions of each group's sequences; together every position once.
    """
    order = np.argsort(-lengths, kind="stable")
    buckets: list[Int64Array] = []
    start, padding = 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        longest = int(lengths[order[start]])
        padding += longest - length
        size = place - start + 1
        is_full = (max_tokens is not None and size * longest > max_tokens) or (
            max_size is not None and size > max_size
        )
        if place > start and (padding > slack or is_full):
            buckets.append(order[start:place])
            start, padding = place, 0
    if len(order):
        buckets.append(order[start:])
    return buckets


def padding_mask(
    lengths: torch.Tensor, device: torch.device, *, always: bool = False
) -> torch.Tensor | None:
    """Return True at real positions, (B,) to (B, S).

    None where all positions are real, unless it is ``always`` wanted: attention is faster without
    a mask.
    """
    longest = int(lengths.max())
    if not always and bool((lengths == longest).all()):
        return None
    positions = torch.arange(longest, device=device)
    return positions < lengths.to(device)[:, None]


def mean_over_tokens(
    hidden: torch.Tensor, real: torch.Tensor | None, query: nn.Module | None
) -> torch.Tensor:
    """Pool hidden states over real positions, (B, S, d) to (B, d).

    Args:
        hidden: Hidden states.
        real: As ``padding_mask`` gives it.
        query: Scores positions, (B, S, d) to (B, S, 1), for a weighted mean; None for a plain one.
    """
    if real is None:
        real = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    if query is None:
        weights = real / real.sum(dim=1, keepdim=True)  # (B, S)
    else:
        scores = query(hidden)[..., 0].float() / hidden.shape[-1] ** 0.5  # (B, S)
        weights = scores.masked_fill(~real, -torch.inf).softmax(dim=1)
    with torch.autocast(hidden.device.type, enabled=False):
        return torch.einsum("bs,bsd->bd", weights, hidden.to(weights.dtype))
