"""Mean predictions over control cells, and what else a fitted model answers with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dygenept.model.conditions import PADDING, ConditionSet, IndexArray
from dygenept.model.control_pool import ControlCells
from dygenept.model.network import DyGenePT
from dygenept.plugin.interfaces.offers import CombinesGenes
from dygenept.types import Condition, DoubleArray, FloatArray
from dygenept.types.effects import EffectKind

# Expression values of one pass through the network, and control cells encoded at a time.
MAX_ELEMENTS = 8_000_000
MAX_CELLS = 256
# Conditions whose wanted genes are predicted together: few, so that they want few genes.
CONDITIONS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class MeanPrediction:
    """Predictions averaged over the control cells of each condition's cell type.

    Attributes:
        deltas: Mean predicted change, (n, G), float32, log1p units.
        weights: Mean attention weights over cells and heads, (n, P, K), float32.
    """

    deltas: torch.Tensor
    weights: torch.Tensor


@torch.no_grad()
def predict_means(
    network: DyGenePT,
    *,
    gene_indices: torch.Tensor,
    cell_types: IndexArray,
    controls: ControlCells,
    positions: IndexArray,
    device: torch.device,
) -> MeanPrediction:
    """Predict conditions as the mean over control cells.

    The change of each cell is averaged, not its expression: the caller adds the mean of ALL
    controls, so that the draw of cells adds no noise of its own.

    Args:
        network: The network; switched to evaluation and back.
        gene_indices: Perturbed genes, (n, P).
        cell_types: Cell type of each condition, (n,).
        controls: The pool that the cell encoder was prepared with.
        positions: Cells of the pool to average over, of every cell type asked for.
        device: Where the network is.

    Returns:
        Mean change and mean attention weights, on the CPU.

    Raises:
        DataError: If a condition's cell type has no control cells.
    """
    was_training = network.training
    network.eval()
    n_genes = int(controls.expression.shape[1])
    deltas = torch.zeros(len(cell_types), n_genes)
    weights: torch.Tensor | None = None
    for cell_type in np.unique(cell_types):
        members = controls.members(int(cell_type))
        mine = positions[np.isin(positions, members)]
        chosen = np.flatnonzero(cell_types == cell_type)
        for start in range(0, len(mine), MAX_CELLS):
            cells = mine[start : start + MAX_CELLS]
            states = network.encode_cells(torch.from_numpy(cells).to(device))  # (C, D)
            control = controls.rows(cells).to(device)  # (C, G)
            # As many conditions at a time as keep conditions × cells × genes within bounds.
            size = max(1, MAX_ELEMENTS // (len(cells) * n_genes))
            for first in range(0, len(chosen), size):
                rows = torch.from_numpy(chosen[first : first + size])
                change, attention = _block(network, gene_indices[rows], cells, states, control)
                if weights is None:
                    weights = torch.zeros(len(cell_types), *attention.shape[1:])
                deltas[rows] += change / len(mine)
                weights[rows] += attention / len(mine)
    network.train(was_training)
    if weights is None:
        weights = torch.zeros(0, gene_indices.shape[1], 0)
    return MeanPrediction(deltas=deltas, weights=weights)


def can_predict_top_genes(network: DyGenePT) -> bool:
    """Tell whether ``predict_top_genes`` can ask the decoder for some of the output genes."""
    return isinstance(network.decoder, CombinesGenes) and network.by_type is None


@torch.no_grad()
def predict_top_genes(
    network: DyGenePT,
    conditions: ConditionSet,
    *,
    controls: ControlCells,
    positions: IndexArray,
    device: torch.device,
) -> torch.Tensor:
    """Predict the top-DE genes of each condition, without the work for all others.

    Args:
        network: One that ``can_predict_top_genes``, in evaluation mode.
        conditions: What to predict, n of them.
        controls: The pool that the cell encoder was prepared with.
        positions: Cells of the pool to average over, of every cell type asked for.
        device: Where the network is.

    Returns:
        Mean changes as ``predict_means`` finds them but for rounding, (n, G), on the CPU. Only
        those of a condition's own top-DE genes mean anything.
    """
    decoder = network.decoder
    assert isinstance(decoder, CombinesGenes)
    gene_indices, cell_types = conditions.gene_indices, conditions.cell_types
    deltas = torch.zeros(len(cell_types), int(controls.expression.shape[1]))
    for cell_type in np.unique(cell_types):
        cells = np.intersect1d(positions, controls.members(int(cell_type)))
        states = network.encode_cells(torch.from_numpy(cells).to(device))  # (C, D)
        control = controls.rows(cells).to(states.device)  # (C, G)
        chosen = np.flatnonzero(cell_types == cell_type)
        for start in range(0, len(chosen), CONDITIONS_AT_ONCE):
            rows = torch.from_numpy(chosen[start : start + CONDITIONS_AT_ONCE])
            genes, places = torch.unique(gene_indices[rows], return_inverse=True)  # (U,), (n, P)
            places[gene_indices[rows] == PADDING] = -1
            attended = network.attend_each(genes[:, None].to(states.device), states)
            columns = torch.unique(conditions.de_indices[rows])
            columns = columns[columns >= 0]
            embedding = attended.embedding[:, :, 0].transpose(0, 1)  # (C, U, D)
            combine = decoder.combining(embedding, states, control, columns.to(states.device))
            summed = combine(places.to(states.device)).cpu()
            deltas[rows[:, None], columns] = summed / len(cells)
    return deltas


def _block(
    network: DyGenePT,
    genes: torch.Tensor,
    cells: IndexArray,
    states: torch.Tensor,
    control: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum change and weights of each condition over these cells."""
    n, size = len(genes), len(cells)
    genes = genes.to(states.device)
    attended = network.attend_each(genes, states)  # (n, C, P, D), (n, C, P, H, K)
    expression = network.decode(
        attended.embedding.flatten(0, 1),
        (genes != PADDING).repeat_interleave(size, dim=0),
        states.repeat(n, 1),
        control.repeat(n, 1),  # (n · C, G)
        torch.from_numpy(cells).to(states.device).repeat(n),
    )
    change = (expression.float() - control.repeat(n, 1)).view(n, size, -1).sum(dim=1)  # (n, G)
    weights = attended.weights.float().mean(dim=3).sum(dim=1)  # (n, P, K)
    return change.cpu(), weights.cpu()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which facets a prediction relied on.

    Attributes:
        conditions: What was explained, (n,).
        facet_names: The K facets, in order.
        weights: Attention weights, (n, P, K): the mean over control cells, heads and ensemble
            members; genes in the order of ``Condition.genes``, zeros past the last one and for a
            gene without a known facet.
    """

    conditions: tuple[Condition, ...]
    facet_names: tuple[str, ...]
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """What a fitted model predicts, and what it can be asked by.

    Attributes:
        gene_ids: Output genes, (G,).
        gene_symbols: Their symbols, (G,).
        target_genes: Genes perturbed in the training data.
        cell_types: Cell types.
        reference: What predictions are compared with, (n_types, G): mean log1p expression of
            control cells; of a model of a table each gene's mean over its train perturbations.
        kind: What the values of a table are; None for expression.
    """

    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    reference: DoubleArray
    kind: EffectKind | None = None
