"""Turns attention to the facets that predict effects, before any step of training.

The vectors that tell attention which facet it reads are tuned so that a ridge regression on the
decoder's features, on top of a typical change, predicts each train condition best when that
condition is left out. How long to tune, or whether at all, is decided by held-out train conditions
in the same way, so that a data set with few perturbations is left as it is.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import nn

from dygenept.model.network import DyGenePT
from dygenept.model.start.features import StartData
from dygenept.model.start.readout import best_beyond_chance
from dygenept.model.start.tuning_rows import TuningRows, tuning_rows
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


def tune_facets(network: DyGenePT, data: StartData, rng: np.random.Generator) -> int:
    """Tune the facet vectors of a network's gene encoder in place.

    Args:
        network: Its decoder must have a linear readout; other weights stay as they are.
        data: Train conditions and control cells.
        rng: Draws control cells and held-out parts.

    Returns:
        Steps taken; 0 where the encoder has no facet vectors, there are too few conditions, or
        tuning did not help the conditions held out of it.
    """
    encoder = network.gene_encoder
    vectors = encoder.facet_vectors() if isinstance(encoder, HasFacetVectors) else None
    n = len(data.conditions)
    if vectors is None or n < MIN_CONDITIONS:
        return 0
    start = vectors.detach().clone()  # (K, D)
    rows = tuning_rows(network, vectors, data, rng)
    parts = np.array_split(rng.permutation(n), N_PARTS)
    errors = []
    for part in parts if n < MANY_CONDITIONS else parts[:1]:
        rest = np.setdiff1d(np.arange(n), part)
        inner, held = (
            rows.take(torch.from_numpy(of).to(data.device)) for of in (rest, np.sort(part))
        )
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
    targets = rows.deltas - rows.typical
    for step in range(n_steps + 1):
        if held is not None and step in CHECKPOINTS:
            errors.append(_held_out_error(network, vectors, rows, held, log_penalty))
        if step == n_steps:
            break
        features = rows.features(network, vectors)
        residuals = _left_out(features, targets, log_penalty)
        loss = _relative(residuals, rows.deltas).mean()
        # Only these two: other weights of the network keep no gradient.
        gradients = torch.autograd.grad(loss, [vectors, log_penalty])
        for parameter, gradient in zip((vectors, log_penalty), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    vectors.grad = None
    return np.stack(errors, axis=1) if errors else np.empty((0, 0))


def _kernel(features: torch.Tensor, log_penalty: torch.Tensor) -> torch.Tensor:
    """Return the ridge kernel, (n, n); the penalty is relative to the features' size."""
    scale = features.square().sum(dim=1).mean().clamp(min=1e-12)
    one = torch.eye(len(features), dtype=features.dtype, device=features.device)
    return features @ features.T + log_penalty.exp() * scale * one


def _left_out(
    features: torch.Tensor, deltas: torch.Tensor, log_penalty: torch.Tensor
) -> torch.Tensor:
    """Return exact leave-one-out residuals of ridge regression, (n, G)."""
    inverse = torch.linalg.inv(_kernel(features, log_penalty))  # (n, n)
    residuals: torch.Tensor = (inverse @ deltas) / torch.diagonal(inverse)[:, None]
    return residuals


@torch.no_grad()
def _held_out_error(
    network: DyGenePT,
    vectors: torch.Tensor,
    rows: TuningRows,
    held: TuningRows,
    log_penalty: torch.Tensor,
) -> DoubleArray:
    features, others = rows.features(network, vectors), held.features(network, vectors)
    typical = rows.typical
    weights = torch.linalg.solve(_kernel(features, log_penalty), rows.deltas - typical)
    residuals = typical + others @ features.T @ weights - held.deltas  # (n_held, G)
    errors: DoubleArray = residuals.square().mean(dim=1).cpu().numpy()
    return errors


def _relative(residuals: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """Return each condition's squared error relative to the effect's size, (n,)."""
    size = deltas.square().sum(dim=1).clamp(min=1e-9)
    errors: torch.Tensor = residuals.square().sum(dim=1) / size
    return errors
