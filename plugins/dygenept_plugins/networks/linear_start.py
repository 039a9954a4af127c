"""First weights that make a network linear at the start and keep angles between its inputs.

GELU(x) - GELU(-x) = x, so a layer whose units come in pairs of opposite sign, read by a layer whose
columns do, is the identity between two linear maps. With orthogonal maps the similarity of two
genes at the output is then that of their texts, and not a random network's guess at it, which with
few train perturbations is worth more than any number of steps. After the "looks linear" start of
Balduzzi et al. 2017, arXiv:1702.08591.
"""

from __future__ import annotations

import torch
from torch import nn


def orthogonal(n_rows: int, n_columns: int) -> torch.Tensor:
    """Draw a matrix with orthonormal rows or columns, whichever are fewer."""
    weight = torch.empty(n_rows, n_columns)
    nn.init.orthogonal_(weight)
    return weight


@torch.no_grad()
def pair_units(layer: nn.Linear, basis: torch.Tensor) -> None:
    """Start a layer as [basis; -basis] without bias.

    Args:
        layer: (n_out, n_in); of an odd number of units the last starts at 0.
        basis: (n_out // 2, n_in).
    """
    half = layer.out_features // 2
    layer.weight.zero_()
    layer.weight[:half] = basis
    layer.weight[half : 2 * half] = -basis
    if layer.bias is not None:
        layer.bias.zero_()


@torch.no_grad()
def read_pairs(layer: nn.Linear, basis: torch.Tensor) -> None:
    """Start a layer as [basis, -basis] without bias: it reads what ``pair_units`` paired.

    Args:
        layer: (n_out, n_in); of an odd number of inputs the last is not read.
        basis: (n_out, n_in // 2).
    """
    half = layer.in_features // 2
    layer.weight.zero_()
    layer.weight[:, :half] = basis
    layer.weight[:, half : 2 * half] = -basis
    if layer.bias is not None:
        layer.bias.zero_()


def between_pairs(units: torch.Tensor) -> torch.Tensor:
    """Return the differences within pairs of units, (…, n) to (…, n // 2)."""
    half = units.shape[-1] // 2
    return units[..., :half] - units[..., half : 2 * half]


def principal_rows(
    vectors: torch.Tensor, n_rows: int, *, kept: torch.Tensor | None = None
) -> torch.Tensor:
    """Return an orthonormal basis of the directions that vectors spread along most, mixed.

    Args:
        vectors: (n, d).
        n_rows: Rows wanted.
        kept: Orthogonal vectors, at most ``n_rows``, (m, d), whose span is in the basis whole.

    Returns:
        (n_rows, d): principal directions, turned at random so that each row has a share of all;
        random orthogonal directions where there are no vectors; rows beyond d are zeros.
    """
    width = vectors.shape[1]
    n_basis = min(n_rows, width)
    rows = torch.zeros(n_rows, width)
    parts = []
    if kept is not None and len(kept):
        parts.append(kept / kept.norm(dim=1, keepdim=True))
        vectors = vectors - vectors @ parts[0].T @ parts[0]
    if len(vectors):
        _, _, directions = torch.linalg.svd(vectors.float(), full_matrices=False)
        parts.append(directions)
    if not parts:
        rows[:n_basis] = orthogonal(n_basis, width)
        return rows
    found = torch.cat(parts)[:n_basis]
    return orthogonal(n_rows, len(found)) @ found
