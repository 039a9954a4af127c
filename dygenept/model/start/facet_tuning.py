"""Turns attention to the facets that predict effects, before any step of training.

The vectors that tell attention which facet it reads are tuned so that a ridge regression on the
decoder's features, on top of a typical change, predicts each train condition best when that
condition is left out. How long to tune, or whether at all, is decided by train conditions held out
of it, so that a data set with few perturbations is left as it is; and so is the penalty of the
readout of tuned features, which leave-one-out errors of the conditions that they were tuned to
would choose too small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dygenept.model.network import DyGenePT
from dygenept.model.start.features import StartData
from dygenept.model.start.left_out import (
    MANY_PERTURBATIONS,
    Targets,
    best_for_strong_and_weak,
)
from dygenept.model.start.left_out_loss import LeftOutLoss
from dygenept.model.start.readout import PENALTIES
from dygenept.model.start.tuning_rows import TuningRows, TuningTargets, tuning_rows
from dygenept.model.start.typical import POOLED, Rows
from dygenept.plugin.interfaces import HasFacetVectors
from dygenept.types import DoubleArray

logger = logging.getLogger(__name__)

LEARNING_RATE = 0.05
# Steps after which held-out conditions are asked whether tuning has helped.
CHECKPOINTS = (0, 5, 10, 20, 40, 60)
N_PARTS = 4
MIN_CONDITIONS = 8


@dataclass(frozen=True, slots=True)
class FacetTuning:
    """How facet vectors were tuned.

    Attributes:
        n_steps: Steps taken.
        penalty: Under which held-out conditions are predicted best, one of ``PENALTIES``.
    """

    n_steps: int
    penalty: float


def tune_facets(
    network: DyGenePT,
    data: StartData,
    rng: np.random.Generator,
    *,
    penalty: float,
    prior: float = POOLED,
    targets: Targets | None = None,
) -> FacetTuning | None:
    """Tune the facet vectors of a network's gene encoder in place.

    Args:
        network: Its decoder must have a linear readout; other weights stay as they are.
        data: Train conditions and control cells.
        rng: Draws control cells and held-out parts.
        penalty: Of the readout before; tuning starts from it.
        prior: Of the typical change by cell type (see ``TypicalChange``).
        targets: The conditions' mean changes, where the caller has them.

    Returns:
        What was done; None where the encoder has no facet vectors, there are too few conditions, or
        tuning did not help the conditions held out of it.
    """
    encoder = network.gene_encoder
    vectors = encoder.facet_vectors() if isinstance(encoder, HasFacetVectors) else None
    numbers = data.rows().perturbations
    n = data.rows().n_perturbations
    if vectors is None or n < MIN_CONDITIONS:
        return None
    start = vectors.detach().clone()  # (K, D)
    if targets is None:
        targets = Targets.of(data.conditions.deltas.double().numpy(), data.rows())
    rows = tuning_rows(network, vectors, data, TuningTargets(targets, prior), rng)
    parts = np.array_split(rng.permutation(n), N_PARTS)
    errors = []
    # With few perturbations one held-out quarter is too noisy, and all four take a turn.
    for part in parts if n < MANY_PERTURBATIONS else parts[:1]:
        is_held = np.isin(numbers, part)
        inner, held = (rows.take(np.flatnonzero(of)) for of in (~is_held, is_held))
        errors.append(_tune(network, vectors, inner, penalty, held=held, n_steps=CHECKPOINTS[-1]))
        with torch.no_grad():
            vectors.copy_(start)
    of_each = np.concatenate(errors)  # (n_held, n_checkpoints, n_penalties)
    penalties = of_each.mean(axis=0).argmin(axis=1)  # (n_checkpoints,)
    at_best = np.take_along_axis(of_each, penalties[None, :, None], axis=2)[..., 0]
    # Held-out perturbations stand in the order of their numbers, part by part.
    sizes = targets.mean_squares()
    of_held = np.concatenate([sizes[np.sort(part)] for part in parts[: len(errors)]])
    # One spread: the reference, not to tune, competes with lengths of one and the same path.
    best = best_for_strong_and_weak(at_best, of_held, reference=0, n_spreads=1.0)
    n_steps = CHECKPOINTS[best]
    logger.debug("facets tuned for %d steps", n_steps)
    if not n_steps:
        return None
    _tune(network, vectors, rows, penalty, held=None, n_steps=n_steps)
    return FacetTuning(n_steps, PENALTIES[penalties[best]])


def _tune(
    network: DyGenePT,
    vectors: nn.Parameter,
    rows: TuningRows,
    penalty: float,
    *,
    held: TuningRows | None,
    n_steps: int,
) -> DoubleArray:
    """Descend the leave-one-out error; return errors, (n_held, n_checkpoints, n_penalties)."""
    log_penalty = torch.tensor(np.log(penalty), dtype=torch.float64, device=vectors.device)
    log_penalty.requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [vectors], "lr": LEARNING_RATE}, {"params": [log_penalty], "lr": 0.1}]
    )
    features = rows.features(network)
    left = rows.left()  # (n, G)
    inner = left @ left.T  # (n, n)
    sizes = rows.deltas.square().sum(dim=1).clamp(min=1e-9)  # (n,)
    gradients_of = _Gradients(rows.rows, inner, sizes)
    held_out = None if held is None else HeldOut.of(network, rows, held, left)
    errors: list[DoubleArray] = []
    for step in range(n_steps + 1):
        if held_out is not None and step in CHECKPOINTS:
            with torch.no_grad():
                fitted = features(vectors).double()
                errors.append(held_out.errors(fitted, vectors, inner))
        if step == n_steps:
            break
        gradients = gradients_of(features(vectors), vectors, log_penalty)
        for parameter, gradient in zip((vectors, log_penalty), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    vectors.grad = None
    return np.stack(errors, axis=1) if errors else np.empty((0, 0, 0))


class _Gradients:
    """Finds the gradients of the loss, by hand and in float32 where perturbations are many."""

    def __init__(self, rows: Rows, inner: torch.Tensor, sizes: torch.Tensor) -> None:
        """Take the conditions, T·Tᵀ, (n, n), and what squared residuals are divided by, (n,)."""
        self._rows, self._inner, self._sizes = rows, inner, sizes
        self._narrow = inner.float(), sizes.float()

    def __call__(
        self, features: torch.Tensor, vectors: torch.Tensor, log_penalty: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Return those of the vectors and of the penalty, of features that follow from vectors."""
        n, width = features.shape
        if n >= MANY_PERTURBATIONS and width < n == self._rows.n_perturbations:
            found = LeftOutLoss.of(features.detach().float(), log_penalty.detach(), *self._narrow)
            gradient = found.of_features.to(features)
            return (
                *torch.autograd.grad(features, [vectors], grad_outputs=gradient),
                found.of_log_penalty,
            )
        kept = Kept.of(features.double(), log_penalty)
        loss = (kept.left_out_squares(self._inner, self._rows) / self._sizes).mean()
        # Only these two: other weights of the network keep no gradient.
        return torch.autograd.grad(loss, [vectors, log_penalty])


@dataclass(frozen=True, slots=True)
class Kept:
    """M = I - K (K + λ)⁻¹ of a ridge kernel K = f·fᵀ, in whichever form is smaller.

    Attributes:
        root: W with M = I - WᵀW, (F, n), where there are fewer features than conditions.
        whole: M, (n, n), elsewhere.
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

    def left_out_squares(self, inner: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Return the squared norms of exact leave-one-out residuals of ridge regression, (n,).

        A perturbation is left out of all its cell types at once. With targets T the residuals of
        its conditions g are (M_gg)⁻¹ · M_g T, so that T·Tᵀ is enough to know their norms.

        Args:
            inner: T·Tᵀ, (n, n).
            rows: What the conditions are.
        """
        root, whole = self.root, self.whole
        if root is not None:
            seen = root @ inner  # W T·Tᵀ, (F, n)
            twice = seen @ root.T  # W T·Tᵀ Wᵀ, (F, F)
        else:
            assert whole is not None
            seen = whole @ inner  # (n, n)
        if root is not None and rows.n_perturbations == len(inner):
            across = (root * seen).sum(dim=0)  # (n,)
            residual = inner.diagonal() - 2 * across + (root * (twice @ root)).sum(dim=0)
            return residual / (1 - root.square().sum(dim=0)).square()
        squares = inner.new_empty(len(inner))
        for group in rows.groups():
            at = torch.from_numpy(group).to(inner.device)  # (n_groups, size)
            of_group = inner[at[:, :, None], at[:, None, :]]  # (n_groups, size, size)
            if root is not None:
                own = root.T[at]  # (n_groups, size, F)
                across = own @ seen.T[at].mT
                residual = of_group - across - across.mT + (own @ twice) @ own.mT
                block = torch.eye(at.shape[1]).to(own) - own @ own.mT
            else:
                assert whole is not None
                residual = seen[at] @ whole[at].mT
                block = whole[at[:, :, None], at[:, None, :]]
            half = torch.linalg.solve(block, residual)
            solved = torch.linalg.solve(block, half.mT)
            squares[at] = torch.diagonal(solved, dim1=1, dim2=2)
        return squares


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Conditions held out of tuning, to be predicted from the others.

    Attributes:
        features: From facet vectors to their features, (m, F).
        rows: What they are.
        n_genes: G.
        across: T·hᵀ of the others' targets and h, what the typical change leaves of these, (n, m).
        squares: Squared norms of h, (m,).
    """

    features: Callable[[torch.Tensor], torch.Tensor]
    rows: Rows
    n_genes: int
    across: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def of(
        cls, network: DyGenePT, rows: TuningRows, held: TuningRows, left: torch.Tensor
    ) -> HeldOut:
        """Lay out what every checkpoint shares; ``left`` is what is fitted, (n, G)."""
        wanted = held.deltas - rows.typical(held.rows.cell_types)  # (m, G)
        return cls(
            features=held.features(network),
            rows=held.rows,
            n_genes=rows.n_genes,
            across=left @ wanted.T,
            squares=wanted.square().sum(dim=1),
        )

    def errors(
        self, fitted: torch.Tensor, vectors: torch.Tensor, inner: torch.Tensor
    ) -> DoubleArray:
        """Return the mean squared error of each held-out perturbation under each of ``PENALTIES``.

        Args:
            fitted: Features of the conditions that are fitted, (n, F).
            vectors: Facet vectors.
            inner: T·Tᵀ of the fitted targets, (n, n).

        Returns:
            (n_held, n_penalties).
        """
        left, roots, right = torch.linalg.svd(fitted, full_matrices=False)
        others = self.features(vectors).to(fitted) @ right.T  # (m, r)
        scale = _size(fitted)
        seen = left.T @ inner @ left  # (r, r)
        across = left.T @ self.across  # (r, m)
        found = []
        for penalty in PENALTIES:
            shares = others * (roots / (roots.square() + penalty * scale))  # (m, r)
            predicted = ((shares @ seen) * shares).sum(dim=1)
            both = (shares * across.T).sum(dim=1)
            squares = (predicted - 2 * both + self.squares).clamp(min=0) / self.n_genes
            found.append(self.rows.mean(squares.cpu().numpy()))
        return np.stack(found, axis=1)


def _ridge(features: torch.Tensor, log_penalty: torch.Tensor) -> torch.Tensor:
    return log_penalty.exp() * _size(features)


def _size(features: torch.Tensor) -> torch.Tensor:
    """Return the mean squared norm of features, (n, F)."""
    return features.square().sum(dim=1).mean().clamp(min=1e-12)
