"""Turns attention to the facets that predict effects, before any step of training.

The vectors that tell attention which facet it reads are tuned so that a ridge regression on the
decoder's features, on top of a typical change, predicts each train condition best when that
condition is left out. How long to tune, or whether at all, is decided by held-out train conditions
in the same way, so that a data set with few perturbations is left as it is.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dygenept.model.network import DyGenePT
from dygenept.model.start.features import StartData
from dygenept.model.start.readout import best_beyond_chance
from dygenept.model.start.tuning_rows import TuningRows, tuning_rows
from dygenept.model.start.typical import POOLED, Rows
from dygenept.plugin.interfaces import HasFacetVectors
from dygenept.types import DoubleArray

logger = logging.getLogger(__name__)

LEARNING_RATE = 0.05
# Steps after which held-out conditions are asked whether tuning has helped.
CHECKPOINTS = (0, 5, 10, 20, 40, 60)
# Below this many conditions one held-out quarter is too noisy, and all four take a turn.
MANY_CONDITIONS = 200
N_PARTS = 4
MIN_CONDITIONS = 8


def tune_facets(
    network: DyGenePT, data: StartData, rng: np.random.Generator, *, prior: float = POOLED
) -> int:
    """Tune the facet vectors of a network's gene encoder in place.

    Args:
        network: Its decoder must have a linear readout; other weights stay as they are.
        data: Train conditions and control cells.
        rng: Draws control cells and held-out parts.
        prior: Of the typical change by cell type (see ``TypicalChange``).

    Returns:
        Steps taken; 0 where the encoder has no facet vectors, there are too few conditions, or
        tuning did not help the conditions held out of it.
    """
    encoder = network.gene_encoder
    vectors = encoder.facet_vectors() if isinstance(encoder, HasFacetVectors) else None
    numbers = data.rows().perturbations
    n = data.rows().n_perturbations
    if vectors is None or n < MIN_CONDITIONS:
        return 0
    start = vectors.detach().clone()  # (K, D)
    rows = tuning_rows(network, vectors, data, prior, rng)
    parts = np.array_split(rng.permutation(n), N_PARTS)
    errors = []
    for part in parts if n < MANY_CONDITIONS else parts[:1]:
        is_held = np.isin(numbers, part)
        inner, held = (rows.take(np.flatnonzero(of)) for of in (~is_held, is_held))
        errors.append(_tune(network, vectors, inner, held=held, n_steps=CHECKPOINTS[-1]))
        with torch.no_grad():
            vectors.copy_(start)
    # One spread: the reference, not to tune, competes with lengths of one and the same path.
    n_steps = CHECKPOINTS[best_beyond_chance(np.concatenate(errors), reference=0, n_spreads=1.0)]
    if n_steps:
        _tune(network, vectors, rows, held=None, n_steps=n_steps)
    logger.debug("facets tuned for %d steps", n_steps)
    return n_steps


def _tune(
    network: DyGenePT,
    vectors: nn.Parameter,
    rows: TuningRows,
    *,
    held: TuningRows | None,
    n_steps: int,
) -> DoubleArray:
    """Descend the leave-one-out error; return held-out errors, (n_held, n_checkpoints)."""
    log_penalty = torch.tensor(-2.0, dtype=torch.float64, device=vectors.device, requires_grad=True)
    optimizer = torch.optim.Adam(
        [{"params": [vectors], "lr": LEARNING_RATE}, {"params": [log_penalty], "lr": 0.1}]
    )
    errors: list[DoubleArray] = []
    targets = rows.left()  # (n, c)
    for step in range(n_steps + 1):
        if held is not None and step in CHECKPOINTS:
            errors.append(_held_out_error(network, vectors, rows, held, log_penalty))
        if step == n_steps:
            break
        kept = Kept.of(rows.features(network, vectors), log_penalty)
        residuals = kept.left_out(targets, rows.rows)
        loss = _relative(residuals, rows.deltas).mean()
        # Only these two: other weights of the network keep no gradient.
        gradients = torch.autograd.grad(loss, [vectors, log_penalty])
        for parameter, gradient in zip((vectors, log_penalty), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    vectors.grad = None
    return np.stack(errors, axis=1) if errors else np.empty((0, 0))


@dataclass(frozen=True, slots=True)
class Kept:
    """I - K (K + λ)⁻¹ of a ridge kernel K = f·fᵀ, in whichever form is smaller.

    Attributes:
        root: W with K (K + λ)⁻¹ = WᵀW, (F, n), where there are fewer features than conditions.
        whole: The whole matrix, (n, n), elsewhere.
    """

    root: torch.Tensor | None
    whole: torch.Tensor | None

    @classmethod
    def of(cls, features: torch.Tensor, log_penalty: torch.Tensor) -> Kept:
        """Factor features, (n, F); the penalty is relative to their size."""
        n, width = features.shape
        ridge = _ridge(features, log_penalty)
        if width < n:
            gram = features.T @ features + ridge * torch.eye(width).to(features)
            lower = torch.linalg.cholesky(gram)
            root = torch.linalg.solve_triangular(lower, features.T, upper=False)
            return cls(root, None)
        kernel = features @ features.T + ridge * torch.eye(n).to(features)
        return cls(None, ridge * torch.linalg.inv(kernel))

    def left_out(self, targets: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Return exact leave-one-out residuals of ridge regression, (n, c).

        A perturbation is left out of all its cell types at once.
        """
        if self.root is not None:
            left = targets - self.root.T @ (self.root @ targets)
            diagonal = 1 - self.root.square().sum(dim=0)
        else:
            assert self.whole is not None
            left, diagonal = self.whole @ targets, torch.diagonal(self.whole)
        residuals = torch.empty_like(left)
        for group in rows.groups():
            at = torch.from_numpy(group).to(left.device)  # (n_groups, size)
            if group.shape[1] == 1:
                residuals[at[:, 0]] = left[at[:, 0]] / diagonal[at[:, 0], None]
            else:
                residuals[at] = torch.linalg.solve(self._blocks(at), left[at])
        return residuals

    def _blocks(self, at: torch.Tensor) -> torch.Tensor:
        """Return the blocks of groups of conditions, (n_groups, size) to (…, size, size)."""
        if self.whole is not None:
            return self.whole[at[:, :, None], at[:, None, :]]
        assert self.root is not None
        parts = self.root.T[at]  # (n_groups, size, F)
        return torch.eye(at.shape[1]).to(parts) - parts @ parts.transpose(1, 2)


def _ridge(features: torch.Tensor, log_penalty: torch.Tensor) -> torch.Tensor:
    return log_penalty.exp() * features.square().sum(dim=1).mean().clamp(min=1e-12)


@torch.no_grad()
def _held_out_error(
    network: DyGenePT,
    vectors: torch.Tensor,
    rows: TuningRows,
    held: TuningRows,
    log_penalty: torch.Tensor,
) -> DoubleArray:
    """Return the mean squared error of each held-out perturbation."""
    features, others = rows.features(network, vectors), held.features(network, vectors)
    left = rows.deltas - rows.typical(rows.rows.cell_types)
    n, width = features.shape
    ridge = _ridge(features, log_penalty)
    if width < n:
        gram = features.T @ features + ridge * torch.eye(width).to(features)
        predicted = others @ torch.linalg.solve(gram, features.T @ left)
    else:
        kernel = features @ features.T + ridge * torch.eye(n).to(features)
        predicted = others @ features.T @ torch.linalg.solve(kernel, left)
    residuals = rows.typical(held.rows.cell_types) + predicted - held.deltas  # (n_held, G)
    squares: DoubleArray = residuals.square().mean(dim=1).cpu().numpy()
    errors: DoubleArray = held.rows.summed(squares) / held.rows.summed(np.ones(len(squares)))
    return errors


def _relative(residuals: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """Return each condition's squared error relative to the effect's size, (n,)."""
    size = deltas.square().sum(dim=1).clamp(min=1e-9)
    errors: torch.Tensor = residuals.square().sum(dim=1) / size
    return errors
