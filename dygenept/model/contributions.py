"""How much the cell's state moves what a fitted network attends to and predicts."""

from __future__ import annotations

import numpy as np
import torch

from dygenept.model.conditions import PADDING, IndexArray
from dygenept.model.network import DyGenePT
from dygenept.model.start.features import StartData

# Few suffice for a share, and this must cost little.
CONDITIONS_PER_TYPE = 32


@torch.no_grad()
def cell_contributions(
    network: DyGenePT, data: StartData, positions: IndexArray
) -> dict[str, float]:
    """Measure what differs between control cells of one type under the same perturbation.

    Args:
        network: In evaluation mode.
        data: Conditions, of which at most 32 of each cell type are read, evenly spaced.
        positions: Control cells of the pool.

    Returns:
        ``attention_moved_by_cells``: mean over perturbed genes, heads and cells of half the summed
        absolute difference between a cell's attention weights and their mean over cells: 0 where
        all cells attend alike, below 1. ``prediction_moved_by_cells``: share of the variance of
        predicted changes, over conditions and cells of a type, that is between the cells of a
        condition, in [0, 1]. Either is left out where it is undefined.
    """
    conditions = data.conditions
    moved: list[float] = []
    within, between = 0.0, 0.0
    for code in np.unique(conditions.cell_types):
        cells = np.intersect1d(positions, data.controls.members(int(code)))
        chosen = np.flatnonzero(conditions.cell_types == code)
        step = max(1, -(-len(chosen) // CONDITIONS_PER_TYPE))
        genes = conditions.gene_indices[torch.from_numpy(chosen[::step])].to(data.device)  # (n, P)
        states = data.encode_cells(network, cells)  # (C, D)
        control = data.controls.rows(cells).to(data.device)  # (C, G)
        attended = network.attend_each(genes, states)  # (n, C, P, D), (n, C, P, H, K)
        weights = attended.weights.float()
        apart = (weights - weights.mean(dim=1, keepdim=True)).abs().sum(dim=-1) / 2  # (n, C, P, H)
        has_weights = weights.sum(dim=-1) > 0
        moved += apart[has_weights].tolist()
        changes = []
        for row, of_genes in enumerate(genes):
            mask = (of_genes != PADDING).expand(len(cells), -1)
            at = torch.from_numpy(cells).to(data.device)
            expression = network.decode(attended.embedding[row], mask, states, control, at)
            changes.append((expression.float() - control).double())
        stacked = torch.stack(changes)  # (n, C, G)
        within += float(stacked.var(dim=1, correction=0).sum())
        between += float(stacked.mean(dim=1).var(dim=0, correction=0).sum() * len(genes))
    found: dict[str, float] = {}
    if moved:
        found["attention_moved_by_cells"] = float(np.mean(moved))
    if within + between > 0:
        found["prediction_moved_by_cells"] = within / (within + between)
    return found
