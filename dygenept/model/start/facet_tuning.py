"""Chooses what a start reads of facets, and turns attention to those that predict effects.

The vectors that tell attention which facet it reads are tuned so that a ridge regression on the
decoder's features, on top of a typical change, predicts each train condition best when that
condition is left out. Whether to read facets at all, with which weight beside the genes' own codes,
and how long to tune, is decided together by train perturbations held out of all of it: what texts
say is often seen only by an attention that is tuned to read them. With few perturbations, or none
that gain, the genes' own codes alone stay. They compete under their best penalty as all others do:
under the largest one they are next to the typical change, which is all that a start makes of them
where no gene is perturbed twice (see ``closed_form``). The penalty of the readout of tuned features
is chosen so too: left-out errors of the conditions that they were tuned to would have it too small.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dygenept.machine.threads import one_thread
from dygenept.model.network import DyGenePT
from dygenept.model.start.beyond_chance import best_for_strong_and_weak
from dygenept.model.start.features import StartData
from dygenept.model.start.held_out import HeldOut, mean_size
from dygenept.model.start.left_out import MANY_PERTURBATIONS, Targets
from dygenept.model.start.left_out_loss import LeftOutLoss
from dygenept.model.start.readout import PENALTIES
from dygenept.model.start.tuning_rows import TuningRows, TuningTargets, tuning_rows
from dygenept.model.start.typical import LEAST_NORM, POOLED, IndexArray, Rows, faded
from dygenept.plugin.interfaces import HasFacetVectors, HasIdentityShare
from dygenept.types import DoubleArray

logger = logging.getLogger(__name__)

LEARNING_RATE = 0.05
# Steps after which held-out conditions are asked whether tuning has helped.
CHECKPOINTS = (0, 5, 10, 20, 40, 60)
N_PARTS = 4
MIN_CONDITIONS = 8
# Of the test that gains in squared error and in direction must both pass. It is one of all settings
# together: a dozen compete under ten penalties, and the best of many looks better by chance.
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class FacetCandidate:
    """A way of reading facets that competes, tuned or not.

    Attributes:
        penalty: Of its readout before tuning; tuning starts from it.
        prior: Of the typical change by cell type (see ``TypicalChange``).
        identity_share: Share of the genes' own codes; None leaves it as it is.
    """

    penalty: float
    prior: float = POOLED
    identity_share: float | None = None


@dataclass(frozen=True, slots=True)
class FacetChoice:
    """What held-out perturbations chose.

    Attributes:
        candidate: Position among the candidates.
        n_steps: Steps that the facet vectors were tuned for.
        penalty: After steps the one under which held-out perturbations are predicted best, one of
            ``PENALTIES``; without steps that of the candidate.
    """

    candidate: int
    n_steps: int
    penalty: float


def choose_facets(
    network: DyGenePT,
    data: StartData,
    rng: np.random.Generator,
    *,
    candidates: Sequence[FacetCandidate],
    targets: Targets | None = None,
) -> FacetChoice:
    """Choose how a network reads facets, and let it do so: identity share and facet vectors.

    Args:
        network: Its decoder must have a linear readout; other weights stay as they are.
        data: Train conditions and control cells.
        rng: Draws control cells and held-out parts.
        candidates: The first is the reference, which stays without steps where there are too few
            perturbations, or where nothing beats it beyond chance by the perturbations held out.
        targets: The conditions' mean changes, where the caller has them.

    Returns:
        What was chosen; without steps where the gene encoder has no facet vectors.
    """
    checkpoints: tuple[int, ...] = CHECKPOINTS
    vectors = _vectors_of(network)
    if vectors is None:
        vectors, checkpoints = _no_vectors(network, data), CHECKPOINTS[:1]
    reading = _Reading(network, vectors, candidates)
    reading.take_up(0)
    n = data.rows().n_perturbations
    if n < MIN_CONDITIONS or len(candidates) * len(checkpoints) == 1:
        return FacetChoice(0, 0, candidates[0].penalty)
    if targets is None:
        targets = Targets.of(data.conditions.deltas.double().numpy(), data.rows())
    of = TuningTargets(targets, candidates[0].prior)
    rows = tuning_rows(network, vectors, data, of, rng)
    parts = np.array_split(rng.permutation(n), N_PARTS)
    # With few perturbations one held-out quarter is too noisy, and all four take a turn.
    parts = parts if n < MANY_PERTURBATIONS else parts[:1]
    with _tuning_threads(n):
        scores = np.stack(
            [reading.held_out(at, rows, parts, checkpoints) for at in range(len(candidates))],
            axis=2,
        )  # (2, n_held, n_candidates, n_checkpoints, n_penalties)
    errors, cosines = scores.reshape(*scores.shape[:2], -1, len(PENALTIES))
    setting, penalty = best_for_strong_and_weak(errors, cosines, level=LEVEL)
    chosen, at = divmod(setting, len(checkpoints))
    n_steps = checkpoints[at]
    reading.take_up(chosen)
    logger.debug("candidate %d, facets tuned for %d steps", chosen, n_steps)
    if not n_steps:
        return FacetChoice(chosen, 0, candidates[chosen].penalty)
    of_chosen = rows.read_anew(network, vectors, candidates[chosen].prior)
    with _tuning_threads(n):
        _tune(network, vectors, of_chosen, candidates[chosen].penalty, held=None, steps=(n_steps,))
    return FacetChoice(chosen, n_steps, PENALTIES[penalty])


def _tuning_threads(n_perturbations: int) -> AbstractContextManager[None]:
    """Give torch one thread where perturbations are few.

    A step is then many small operations, in which threads only wait for each other, and sums in
    another order change the last digits.
    """
    return one_thread() if n_perturbations < MANY_PERTURBATIONS else nullcontext()


def _vectors_of(network: DyGenePT) -> nn.Parameter | None:
    encoder = network.gene_encoder
    return encoder.facet_vectors() if isinstance(encoder, HasFacetVectors) else None


def _no_vectors(network: DyGenePT, data: StartData) -> nn.Parameter:
    """Return facet vectors that add nothing, (K, D), for an encoder without any."""
    genes = data.conditions.gene_indices[:1].to(data.device)
    return nn.Parameter(torch.zeros_like(network.encode_genes(genes).values[0, 0]))


@dataclass(frozen=True, slots=True)
class _Reading:
    """Candidates, and the network that takes them up."""

    network: DyGenePT
    vectors: nn.Parameter
    candidates: Sequence[FacetCandidate]

    def take_up(self, at: int) -> None:
        """Let the gene encoder have a candidate's identity share."""
        share, encoder = self.candidates[at].identity_share, self.network.gene_encoder
        if share is not None and isinstance(encoder, HasIdentityShare):
            encoder.set_identity_share(share)

    def held_out(
        self, at: int, rows: TuningRows, parts: Sequence[IndexArray], checkpoints: Sequence[int]
    ) -> DoubleArray:
        """Score a candidate, (2, n_held, n_checkpoints, n_penalties); vectors stay as they were.

        Held-out perturbations stand in the order of their numbers, part by part.
        """
        network, vectors, candidate = self.network, self.vectors, self.candidates[at]
        self.take_up(at)
        rows = rows.read_anew(network, vectors, candidate.prior)
        start = vectors.detach().clone()  # (K, D)
        scores = []
        for part in parts:
            is_held = np.isin(rows.rows.perturbations, part)
            inner, held = (rows.take(np.flatnonzero(of)) for of in (~is_held, is_held))
            found = _tune(network, vectors, inner, candidate.penalty, held=held, steps=checkpoints)
            scores.append(found)
            with torch.no_grad():
                vectors.copy_(start)
        return np.concatenate(scores, axis=1)


def _tune(
    network: DyGenePT,
    vectors: nn.Parameter,
    rows: TuningRows,
    penalty: float,
    *,
    held: TuningRows | None,
    steps: Sequence[int],
) -> DoubleArray:
    """Descend the leave-one-out error up to the last of some numbers of steps.

    Returns:
        Scores of what is held out after each of them, (2, n_held, n_steps, n_penalties).
    """
    log_penalty = torch.tensor(np.log(penalty), dtype=torch.float64, device=vectors.device)
    log_penalty.requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [vectors], "lr": LEARNING_RATE}, {"params": [log_penalty], "lr": 0.1}]
    )
    features = rows.features(network)
    left = rows.left()  # (n, G)
    inner = left @ left.T  # (n, n)
    squares = rows.deltas.square().sum(dim=1)  # (n,)
    sizes = torch.from_numpy(faded(squares.cpu().numpy(), LEAST_NORM**2)).to(squares)
    gradients_of = _Gradients(rows.rows, inner, sizes)
    held_out = None if held is None else HeldOut.of(network, rows, held, left)
    scores: list[DoubleArray] = []
    for step in range(steps[-1] + 1):
        if held_out is not None and step in steps:
            with torch.no_grad():
                fitted = features(vectors).double()
                scores.append(held_out.scores(fitted, vectors, inner))
        if step == steps[-1]:
            break
        gradients = gradients_of(features(vectors), vectors, log_penalty)
        for parameter, gradient in zip((vectors, log_penalty), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    vectors.grad = None
    return np.stack(scores, axis=2) if scores else np.empty((2, 0, 0, 0))


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
            gram = features.T @ features + ridge * _eye(width, features)
            lower = torch.linalg.cholesky(gram)
            root = torch.linalg.solve_triangular(lower, features.T, upper=False)
            return cls(root, None)
        kernel = features @ features.T + ridge * _eye(n, features)
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
        if whole is not None and rows.n_perturbations == len(inner):
            residual = (seen[:, None] @ whole[:, :, None])[:, 0, 0]  # (n,)
            return residual / whole.diagonal() / whole.diagonal()
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


def _eye(n: int, like: torch.Tensor) -> torch.Tensor:
    return torch.eye(n, dtype=like.dtype, device=like.device)


def _ridge(features: torch.Tensor, log_penalty: torch.Tensor) -> torch.Tensor:
    return log_penalty.exp() * mean_size(features)
