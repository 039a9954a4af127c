"""What a closed-form start reads of a network: the features that its readout is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dygenept.model.conditions import PADDING, ConditionSet, IndexArray
from dygenept.model.control_pool import ControlCells
from dygenept.model.network import DyGenePT
from dygenept.plugin.interfaces import HasSharedShift, LinearReadout
from dygenept.types import DoubleArray

MAX_ROWS = 2048


@dataclass(frozen=True, slots=True)
class StartData:
    """What a closed-form start learns from.

    Attributes:
        conditions: The train conditions, n of them.
        controls: The pool that the cell encoder was prepared with.
        device: Where the network is.
    """

    conditions: ConditionSet
    controls: ControlCells
    device: torch.device

    def encode_cells(self, network: DyGenePT, cells: IndexArray) -> torch.Tensor:
        """Return the states of control cells of the pool, (C,) to (C, D)."""
        return network.encode_cells(torch.from_numpy(cells).to(self.device))


@torch.no_grad()
def mean_features(network: DyGenePT, data: StartData, positions: IndexArray) -> DoubleArray:
    """Average the readout's features over control cells of each condition's cell type.

    Args:
        network: Its decoder has a linear readout.
        data: The conditions and the pool.
        positions: Cells of the pool to average over, of every cell type.

    Returns:
        (n, F).
    """
    decoder = network.decoder
    assert isinstance(decoder, LinearReadout)
    cell_types = data.conditions.cell_types
    parts: dict[int, DoubleArray] = {}
    for cell_type in np.unique(cell_types):
        cells = np.intersect1d(positions, data.controls.members(int(cell_type)))
        states = data.encode_cells(network, cells)  # (C, D)
        chosen = np.flatnonzero(cell_types == cell_type)
        size = max(1, MAX_ROWS // len(cells))
        for start in range(0, len(chosen), size):
            rows = chosen[start : start + size]
            genes = data.conditions.gene_indices[torch.from_numpy(rows)].to(data.device)
            genes = genes.repeat_interleave(len(cells), dim=0)  # (n_rows · C, P)
            repeated = states.repeat(len(rows), 1)  # (n_rows · C, D)
            embedding = network.attend(genes, repeated).embedding  # (n_rows · C, P, D)
            features = decoder.readout_features(embedding, genes != PADDING, repeated)
            means = features.view(len(rows), len(cells), -1).mean(dim=1)  # (n_rows, F)
            parts |= dict(zip(rows.tolist(), means.double().cpu().numpy(), strict=True))
    return np.stack([parts[row] for row in range(len(cell_types))])


def mean_shared_features(decoder: nn.Module, states: torch.Tensor) -> torch.Tensor | None:
    """Average the features that all perturbations share over cell states.

    Args:
        decoder: The decoder.
        states: Cell states, (C, D).

    Returns:
        (F,) float64; None for a decoder without a shared shift.
    """
    if not isinstance(decoder, HasSharedShift):
        return None
    shared: torch.Tensor = decoder.shared_features(states).mean(dim=0).double()
    return shared
