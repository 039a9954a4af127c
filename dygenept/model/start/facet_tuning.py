"""Turns attention to the facets that predict effects, before any step of training.

The vectors that tell attention which facet it reads are tuned so that a ridge regression on the
decoder's features, on top of a typical change, predicts each train condition best when that
condition is left out. How long to tune, or whether at all, is decided by held-out train conditions
in the same way, so that a data set with few perturbations is left as it is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dygenept.model.assembly import PADDING, DyGenePT
from dygenept.model.control_pool import ControlCells
from dygenept.model.start.clear_winner import clear_winner
from dygenept.model.start.linear_readout import LinearReadout, SharesShift
from dygenept.plugin.interfaces import FacetBatch
from dygenept.types import DoubleArray

logger = logging.getLogger(__name__)

CELLS_PER_TYPE = 2
LEARNING_RATE = 0.05
CHECKPOINTS = (0, 5, 10, 20, 40, 60)
# Below this many conditions one held-out quarter is too noisy, and all four take a turn.
MANY_CONDITIONS = 200
N_PARTS = 4
MIN_CONDITIONS = 8


@runtime_checkable
class TypesFacets(Protocol):
    """A gene encoder that adds a learned vector per facet, (K, D), to known facets, or none."""

    facet_types: nn.Parameter | None


@dataclass(frozen=True, slots=True)
class TuningRows:
    """Train conditions with the C control cells that their features are averaged over.

    Attention sees each pair of a gene and a cell once, however many conditions share it.

    Attributes:
        genes: Perturbed genes of each condition, (n, P).
        states: Cell states of each condition, (n, C, D).
        deltas: Mean changes of the conditions, (n, G), float64.
        pairs: Positions among the pairs, (n, C, P).
        shared: Direction of the features that all perturbations share, (F,); None without one.
        facets: Facets of each pair's gene without the facet vectors, (n_pairs, 1, K, D).
        pair_states: Cell state of each pair, (n_pairs, D).
    """

    genes: torch.Tensor
    states: torch.Tensor
    deltas: torch.Tensor
    pairs: torch.Tensor
    shared: torch.Tensor | None
    facets: FacetBatch
    pair_states: torch.Tensor

    @property
    def typical(self) -> torch.Tensor:
        """What the changes have in common where the decoder has a direction for it, (G,)."""
        if self.shared is None:
            return torch.zeros_like(self.deltas[0])
        weights = 1 / self.deltas.norm(dim=1).clamp(min=1e-9)
        typical: torch.Tensor = weights @ self.deltas / weights.sum()
        return typical

    def take(self, rows: torch.Tensor) -> TuningRows:
        """Return some of the conditions."""
        kept, pairs = torch.unique(self.pairs[rows], return_inverse=True)
        return TuningRows(
            genes=self.genes[rows],
            states=self.states[rows],
            deltas=self.deltas[rows],
            pairs=pairs,
            shared=self.shared,
            facets=FacetBatch(
                values=self.facets.values[kept],
                confidence=self.facets.confidence[kept],
                known=self.facets.known[kept],
                null=self.facets.null,
            ),
            pair_states=self.pair_states[kept],
        )


def tune_facets(
    network: DyGenePT,
    *,
    gene_indices: torch.Tensor,
    cell_types: npt.NDArray[np.int64],
    deltas: torch.Tensor,
    controls: ControlCells,
    rng: np.random.Generator,
    device: torch.device,
) -> int:
    """Tune the facet vectors of a network's gene encoder in place.

    Args:
        network: Its decoder must have a linear readout; other weights stay as they are.
        gene_indices: Perturbed genes of the train conditions, (n, P).
        cell_types: Their cell types, (n,).
        deltas: Their mean changes, (n, G), log1p units.
        controls: The pool that the cell encoder was prepared with.
        rng: Draws control cells and held-out parts.
        device: Where the network is.

    Returns:
        Steps taken; 0 where the encoder has no facet vectors, there are too few conditions, or
        tuning did not help conditions held out of it.
    """
    encoder = network.gene_encoder
    if not isinstance(encoder, TypesFacets) or encoder.facet_types is None:
        return 0
    n = len(deltas)
    if n < MIN_CONDITIONS:
        return 0
    types = encoder.facet_types
    start = types.detach().clone()
    rows = _rows(network, types, gene_indices, cell_types, deltas, controls, rng, device)
    parts = np.array_split(rng.permutation(n), N_PARTS)
    errors = []
    for part in parts if n < MANY_CONDITIONS else parts[:1]:
        rest = np.setdiff1d(np.arange(n), part)
        inner, held = (rows.take(torch.from_numpy(of).to(device)) for of in (rest, np.sort(part)))
        errors.append(_tune(network, types, inner, held=held, n_steps=CHECKPOINTS[-1]))
        with torch.no_grad():
            types.copy_(start)
    n_steps = CHECKPOINTS[clear_winner(np.concatenate(errors), reference=0, n_spreads=1.0)]
    if n_steps:
        _tune(network, types, rows, held=None, n_steps=n_steps)
    logger.debug("facets tuned for %d steps", n_steps)
    return n_steps


@torch.no_grad()
def _rows(
    network: DyGenePT,
    types: nn.Parameter,
    gene_indices: torch.Tensor,
    cell_types: npt.NDArray[np.int64],
    deltas: torch.Tensor,
    controls: ControlCells,
    rng: np.random.Generator,
    device: torch.device,
) -> TuningRows:
    network.eval()
    drawn = controls.sample(CELLS_PER_TYPE, rng)
    present, type_rows = np.unique(cell_types, return_inverse=True)
    encoded = []
    for cell_type in present:
        members = np.intersect1d(drawn, controls.members(int(cell_type)))
        # A type with fewer cells repeats them, so that every condition has as many rows.
        cells = np.resize(members, CELLS_PER_TYPE)
        encoded.append(network.encode_cells(torch.from_numpy(cells).to(device)))
    states = torch.cat(encoded)  # (n_types * C, D)
    first = torch.from_numpy(type_rows).to(device)[:, None] * CELLS_PER_TYPE
    cell_rows = first + torch.arange(CELLS_PER_TYPE, device=device)  # (n, C)
    genes = gene_indices.to(device)  # (n, P)
    n, width = genes.shape
    shape = (n, CELLS_PER_TYPE, width)
    named = torch.stack(
        [genes[:, None, :].expand(shape), cell_rows[:, :, None].expand(shape)], dim=-1
    )
    unique, pairs = torch.unique(named.reshape(-1, 2), dim=0, return_inverse=True)
    kept = types.clone()
    types.zero_()
    facets = network.encode_genes(unique[:, :1])
    types.copy_(kept)
    return TuningRows(
        genes=genes,
        states=states[cell_rows],
        deltas=deltas.double().to(device),
        pairs=pairs.view(shape),
        shared=_shared_direction(network.decoder, states),
        facets=facets,
        pair_states=states[unique[:, 1]],
    )


def _tune(
    network: DyGenePT,
    types: nn.Parameter,
    rows: TuningRows,
    *,
    held: TuningRows | None,
    n_steps: int,
) -> DoubleArray:
    """Descend the leave-one-out error; return held-out errors, (n_held, n_checkpoints)."""
    log_penalty = torch.tensor(-2.0, dtype=torch.float64, device=types.device, requires_grad=True)
    optimizer = torch.optim.Adam(
        [{"params": [types], "lr": LEARNING_RATE}, {"params": [log_penalty], "lr": 0.1}]
    )
    errors: list[DoubleArray] = []
    targets = rows.deltas - rows.typical
    for step in range(n_steps + 1):
        if held is not None and step in CHECKPOINTS:
            errors.append(_held_out_error(network, types, rows, held, log_penalty))
        if step == n_steps:
            break
        features = _features(network, types, rows)
        residuals = _left_out(features, targets, log_penalty)
        loss = _relative(residuals, rows.deltas).mean()
        gradients = torch.autograd.grad(loss, [types, log_penalty])
        for parameter, gradient in zip((types, log_penalty), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    types.grad = None
    return np.stack(errors, axis=1) if errors else np.empty((0, 0))


def _features(network: DyGenePT, types: torch.Tensor, rows: TuningRows) -> torch.Tensor:
    """Return each condition's features, the mean over its cells, (n, F), float64."""
    decoder = cast(LinearReadout, network.decoder)
    typed = (rows.facets.values + types).masked_fill(~rows.facets.known[..., None], 0.0)
    embedding = network.attend_to(replace(rows.facets, values=typed), rows.pair_states).embedding
    mask = (rows.genes != PADDING)[:, None, :].expand(rows.pairs.shape)  # (n, C, P)
    features = decoder.readout_features(
        embedding[rows.pairs, 0].flatten(0, 1), mask.flatten(0, 1), rows.states.flatten(0, 1)
    )
    means = features.view(len(rows.deltas), -1, features.shape[-1]).mean(dim=1).double()
    if rows.shared is None:
        return means
    return means - torch.outer(means @ rows.shared, rows.shared)


def _shared_direction(decoder: nn.Module, states: torch.Tensor) -> torch.Tensor | None:
    if not isinstance(decoder, SharesShift):
        return None
    shared: torch.Tensor = decoder.shared_features(states).mean(dim=0).double()
    direction: torch.Tensor = shared / shared.norm().clamp(min=1e-12)
    return direction


def _kernel(features: torch.Tensor, log_penalty: torch.Tensor) -> torch.Tensor:
    scale = features.square().sum(dim=1).mean().clamp(min=1e-12)
    one = torch.eye(len(features), dtype=features.dtype, device=features.device)
    return features @ features.T + log_penalty.exp() * scale * one


def _left_out(
    features: torch.Tensor, deltas: torch.Tensor, log_penalty: torch.Tensor
) -> torch.Tensor:
    """Return exact leave-one-out residuals of ridge regression, (n, G)."""
    inverse = torch.linalg.inv(_kernel(features, log_penalty))
    residuals: torch.Tensor = (inverse @ deltas) / torch.diagonal(inverse)[:, None]
    return residuals


@torch.no_grad()
def _held_out_error(
    network: DyGenePT,
    types: torch.Tensor,
    rows: TuningRows,
    held: TuningRows,
    log_penalty: torch.Tensor,
) -> DoubleArray:
    features, others = _features(network, types, rows), _features(network, types, held)
    typical = rows.typical
    weights = torch.linalg.solve(_kernel(features, log_penalty), rows.deltas - typical)
    residuals = typical + others @ features.T @ weights - held.deltas
    errors: DoubleArray = residuals.square().mean(dim=1).cpu().numpy()
    return errors


def _relative(residuals: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """Return each condition's squared error relative to the effect's size, (n,)."""
    size = deltas.square().sum(dim=1).clamp(min=1e-9)
    errors: torch.Tensor = residuals.square().sum(dim=1) / size
    return errors
