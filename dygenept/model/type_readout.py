"""What a network's readout adds in each cell type, where the closed-form start found a difference.

A network sees a cell's state, not the name of its type. With several cell types the start may find
that the typical change, or the map from features to changes, differs between them; that difference
is kept here and added to what the decoder predicts. Gradient steps leave it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from dygenept.model.start.readout import Readout

PREFIX = "by_type."


class TypeReadout(nn.Module):
    """Changes by cell type, linear in the features that the readout reads."""

    shifts: torch.Tensor
    direction: torch.Tensor
    maps: torch.Tensor

    def __init__(self, shifts: torch.Tensor, direction: torch.Tensor, maps: torch.Tensor) -> None:
        """Keep what the cell types add to the shared readout.

        Args:
            shifts: Typical change by cell type, relative to their mean, (n_types, G).
            direction: Features · direction says how often it counts, (F,).
            maps: By cell type, (n_types, G, F), or (0, G, F) where all share one map.
        """
        super().__init__()
        self.register_buffer("shifts", shifts)
        self.register_buffer("direction", direction)
        self.register_buffer("maps", maps)

    def forward(self, features: torch.Tensor, cell_types: torch.Tensor) -> torch.Tensor:
        """Return the changes to add, (B, F) features of cells of types (B,), to (B, G)."""
        features = features.to(self.shifts.dtype)
        counts = features @ self.direction  # (B,)
        added = counts[:, None] * self.shifts[cell_types]
        if not len(self.maps):
            return added
        # Row by row of its type's map: a gathered (B, G, F) would not fit.
        own = torch.zeros_like(added)
        for code in torch.unique(cell_types).tolist():
            here = cell_types == code
            own[here] = features[here] @ self.maps[code].T
        return added + own


def type_readout(readout: Readout, device: torch.device) -> TypeReadout | None:
    """Take from a fit what its cell types add; None where they add nothing."""
    shifts, maps = readout.type_shifts, readout.type_maps
    if not shifts.any() and maps is None:
        return None
    width = readout.spectrum.features.shape[1]
    direction = np.zeros(width) if readout.direction is None else readout.direction
    kept = np.empty((0, shifts.shape[1], width)) if maps is None else maps
    tensors = (torch.from_numpy(np.ascontiguousarray(v)).float() for v in (shifts, direction, kept))
    return TypeReadout(*(tensor.to(device) for tensor in tensors))


def saved_type_readout(weights: Mapping[str, torch.Tensor]) -> TypeReadout | None:
    """Return what saved weights have of it, to be loaded with the rest; None where nothing."""
    names = ("shifts", "direction", "maps")
    if not all(f"{PREFIX}{name}" in weights for name in names):
        return None
    return TypeReadout(*(torch.empty_like(weights[f"{PREFIX}{name}"]) for name in names))
