"""What a closed-form start reads of a network: the features that its readout is fitted to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from dygenept.model.conditions import PADDING, ConditionSet, IndexArray
from dygenept.model.control_pool import ControlCells
from dygenept.model.network import DyGenePT
from dygenept.model.start.typical import Rows
from dygenept.plugin.interfaces import HasLinearStart, HasSharedShift, LinearReadout
from dygenept.types import DoubleArray

MAX_ROWS = 2048


@dataclass(frozen=True, slots=True)
class StartData:
    """What a closed-form start learns from.

    Attributes:
        conditions: The train conditions, n of them.
        controls: The pool that the cell encoder was prepared with.
        device: Where the network is.
        states: Keeps the states of cells that were encoded before; None keeps none.
    """

    conditions: ConditionSet
    controls: ControlCells
    device: torch.device
    states: dict[bytes, torch.Tensor] | None = field(default=None, repr=False)

    def keeping_states(self) -> StartData:
        """Return the same for a block in which the cell encoder does not change."""
        return replace(self, states={})

    def rows(self) -> Rows:
        """Say which perturbation and cell type each condition is: the same genes are the same."""
        genes = np.sort(self.conditions.gene_indices.numpy(), axis=1)
        numbers: dict[tuple[int, ...], int] = {}
        # In the order of the conditions, so that with one cell type each has its own position.
        found = [numbers.setdefault(tuple(row), len(numbers)) for row in genes.tolist()]
        types = self.conditions.cell_types
        return Rows(np.array(found, dtype=np.int64), types, self.controls.n_cell_types)

    def has_shared_genes(self) -> bool:
        """True if some gene is perturbed in more than one perturbation.

        Where none is, as in a screen of single perturbations, nothing can be learned of a gene from
        its code: codes of other genes are like it by chance alone.
        """
        rows = np.unique(np.sort(self.conditions.gene_indices.numpy(), axis=1), axis=0)
        times = np.unique(rows[rows >= 0], return_counts=True)[1]
        return bool((times > 1).any())

    def encode_cells(self, network: DyGenePT, cells: IndexArray) -> torch.Tensor:
        """Return the states of control cells of the pool, (C,) to (C, D)."""
        known = {} if self.states is None else self.states
        key = cells.tobytes()
        if key not in known:
            known[key] = network.encode_cells(torch.from_numpy(cells).to(self.device))
        return known[key]


@dataclass(frozen=True, slots=True)
class Features:
    """From the dynamic embeddings of conditions to the features of a decoder before any step.

    Attributes:
        decoder: Has a linear readout.
        matrix: What an embedding adds, (D, F), where the decoder starts linear; else None.
        offsets: What a number of genes adds, (P + 1, F), there.
    """

    decoder: nn.Module
    matrix: torch.Tensor | None = None
    offsets: torch.Tensor | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, decoder: nn.Module, cell: torch.Tensor, max_genes: int) -> Features:
        """Find the linear map where there is one.

        Args:
            decoder: Has a linear readout.
            cell: Any cell state, (D,); the map is the same for all.
            max_genes: Largest number P of genes in a condition.
        """
        if not (isinstance(decoder, HasLinearStart) and decoder.starts_linear):
            return cls(decoder)
        assert isinstance(decoder, LinearReadout)
        width = len(cell)
        masks = torch.tril(torch.ones(max_genes + 1, max_genes), diagonal=-1).bool().to(cell.device)
        nothing = torch.zeros(max_genes + 1, max_genes, width).to(cell)
        offsets = decoder.readout_features(nothing, masks, cell.expand(len(masks), -1))
        units = torch.eye(width).to(cell)[:, None]  # (D, 1, D)
        alone = torch.ones(width, 1, dtype=torch.bool, device=cell.device)
        found = decoder.readout_features(units, alone, cell.expand(width, -1)) - offsets[1]
        return cls(decoder, found, offsets)

    def means(
        self, embedding: torch.Tensor, is_gene: torch.Tensor, states: torch.Tensor
    ) -> torch.Tensor:
        """Average features over cells.

        Args:
            embedding: (n, C, P, D).
            is_gene: (n, P).
            states: Cell states, (n, C, D).

        Returns:
            (n, F).
        """
        n, n_cells = embedding.shape[:2]
        if self.matrix is not None and self.offsets is not None:
            total = embedding.mean(dim=1).masked_fill(~is_gene[..., None], 0.0).sum(dim=1)  # (n, D)
            return total @ self.matrix + self.offsets[is_gene.sum(dim=1)]
        decoder = cast(LinearReadout, self.decoder)
        features = decoder.readout_features(
            embedding.flatten(0, 1),
            is_gene.repeat_interleave(n_cells, dim=0),
            states.flatten(0, 1),
        )
        return features.view(n, n_cells, -1).mean(dim=1)


@torch.no_grad()
def mean_features(
    network: DyGenePT, data: StartData, positions: IndexArray, *, is_trained: bool = False
) -> DoubleArray:
    """Average the readout's features over control cells of each condition's cell type.

    Args:
        network: Its decoder has a linear readout.
        data: The conditions and the pool.
        positions: Cells of the pool to average over, of every cell type.
        is_trained: The network has taken steps, after which no decoder counts as linear.

    Returns:
        (n, F).
    """
    cell_types, genes = data.conditions.cell_types, data.conditions.gene_indices
    parts: dict[int, DoubleArray] = {}
    for cell_type in np.unique(cell_types):
        cells = np.intersect1d(positions, data.controls.members(int(cell_type)))
        states = data.encode_cells(network, cells)  # (C, D)
        features = Features(network.decoder)
        if not is_trained:
            features = Features.of(network.decoder, states[0], genes.shape[1])
        chosen = np.flatnonzero(cell_types == cell_type)
        size = max(1, MAX_ROWS // len(cells))
        for start in range(0, len(chosen), size):
            rows = chosen[start : start + size]
            mine = genes[torch.from_numpy(rows)].to(data.device)
            embedding = network.attend_each(mine, states).embedding  # (n_rows, C, P, D)
            means = features.means(
                embedding, mine != PADDING, states.expand(len(rows), *states.shape)
            )  # (n_rows, F)
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
