"""Gradient steps with a masked loss on a table, from the closed-form start on.

The loss is that of measured pairs alone, each with its weight: cross entropy of labels, squared
error of signs and numbers. Left-out predictions are the start of train pairs, so that steps learn
what is left of perturbations that the start has not seen. Train perturbations that are held out say
when to stop, how much of the steps to add, and whether to add them at all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from dygenept.model.effects.left_out import MIN_PAIRS
from dygenept.model.effects.pair_network import PairBatch, PairNetwork
from dygenept.model.effects.pairs import Pairs, Positions
from dygenept.model.effects.recipe import MOST_GENES
from dygenept.model.seeds import derived_seed, seeded_torch
from dygenept.model.training.options import TableOptions
from dygenept.types import BoolArray, DoubleArray

# Shares of what steps add that are tried: a little of much can order pairs better than all of it.
SHARES = (0.03, 0.1, 0.3, 1.0)
EVALUATED_AT_ONCE = 1024

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class ConditionTensors:
    """Conditions as the network takes them.

    Attributes:
        gene_indices: Perturbed genes, (n, P) int64.
        cell_types: Cell type of each, (n,) int64.
    """

    gene_indices: torch.Tensor
    cell_types: torch.Tensor

    def pairs(self, pairs: Pairs, device: torch.device) -> PairBatch:
        """Return pairs of them as a batch."""
        rows = torch.from_numpy(pairs.rows)
        return PairBatch(
            self.gene_indices[rows].to(device),
            self.cell_types[rows].to(device),
            torch.from_numpy(pairs.columns).to(device),
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """What networks learn, and what each of them does not.

    Attributes:
        conditions: What the pairs' rows name.
        pairs: All measured pairs.
        held_out: Pairs of the perturbations held out from each network, (m,); no pair is in two.
    """

    conditions: ConditionTensors
    pairs: Pairs
    held_out: Sequence[BoolArray]


@dataclass(slots=True)
class Steps:
    """How training went, and what of it is kept.

    Attributes:
        share: How much of what the networks add is kept; 0 where the start is.
        epochs_kept: Epochs behind the kept weights.
        n_networks: Networks that were trained, each with other perturbations held out.
        losses: Mean loss of each epoch.
        start_error: Mean error over genes of the start, on held-out train perturbations.
        error: The lowest such error after an epoch; NaN where none could be computed.
        standard_error: Of the gain of the one over the other.
        weights: Those of each network at its best.
        kept_errors: Error of each judged gene by what is kept; empty where none could be computed.
    """

    share: float = 0.0
    epochs_kept: int = 0
    n_networks: int = 0
    losses: list[float] = field(default_factory=list)
    start_error: float = float("nan")
    error: float = float("nan")
    standard_error: float = float("nan")
    weights: tuple[Weights, ...] = ()
    kept_errors: DoubleArray = field(default_factory=lambda: np.empty(0))

    def chosen(self) -> dict[str, float | int | str]:
        """Return it for records; what is not known is left out."""
        found: dict[str, float | int | str] = {
            "networks_trained": self.n_networks,
            "epochs_trained": len(self.losses),
            "epochs_kept": self.epochs_kept,
            "share_of_steps_added": self.share,
        }
        errors = {
            "validation_error_of_start": self.start_error,
            "validation_error_with_steps": self.error,
            "standard_error_of_gain": self.standard_error,
        }
        return found | {name: value for name, value in errors.items() if np.isfinite(value)}


@dataclass(slots=True)
class _Fold:
    """One training, with some perturbations held out.

    Attributes:
        learnt: Pairs to learn from.
        held: Which of the pairs that validate are held out.
        weights: Those of the network.
        optimizer: State of the optimiser; None before the first epoch.
    """

    learnt: Pairs
    held: BoolArray
    weights: Weights
    optimizer: dict[str, object] | None = None


def train_folds(
    network: PairNetwork,
    judged_by: Judged,
    options: TableOptions,
    *,
    seed: int,
    report: Callable[[int, str], None],
) -> Steps:
    """Train a network for each set of held-out pairs; all are stopped and judged together.

    Args:
        network: On its device; its weights are the first ones of every training.
        judged_by: What is learnt, and what each network is judged by.
        options: How.
        seed: Decides batches and dropout.
        report: Told after each epoch, with its number.
    """
    conditions, pairs, held_out = judged_by.conditions, judged_by.pairs, judged_by.held_out
    n_genes = len(network.output_genes)
    validates = np.any(held_out, axis=0) & _of_some_genes(pairs, n_genes)
    judged = pairs.take(validates)
    start = judged.gene_errors(np.zeros(len(judged.rows)), n_genes)
    known = ~np.isnan(start)
    first = copy.deepcopy(network.state_dict())
    folds = [_Fold(pairs.take(~held), held[validates], first) for held in held_out]
    steps = Steps(n_networks=len(folds))
    if known.sum() < 2 or not all(len(fold.learnt.rows) for fold in folds):
        return steps
    steps.start_error = float(start[known].mean())
    waited = 0
    for epoch in range(1, options.epochs + 1):
        added = np.zeros(len(judged.rows))
        losses = []
        for number, fold in enumerate(folds):
            network.load_state_dict(fold.weights)
            optimizer = _optimizer(network, options)
            if fold.optimizer is not None:
                optimizer.load_state_dict(fold.optimizer)
            batches = derived_seed(seed, epoch, number)
            losses.append(_epoch(network, optimizer, conditions, fold.learnt, options, batches))
            added[fold.held] = added_to(network, conditions, judged.take(fold.held))
            fold.weights = copy.deepcopy(network.state_dict())
            fold.optimizer = optimizer.state_dict()
        steps.losses.append(float(np.mean(losses)))
        errors = [judged.gene_errors(share * added, n_genes)[known] for share in SHARES]
        place = int(np.argmin([error.mean() for error in errors]))
        waited += 1
        # An epoch that went astray has no error, and is never the best.
        if errors[place].mean() < (np.inf if np.isnan(steps.error) else steps.error):
            gains = start[known] - errors[place]
            steps.error = float(errors[place].mean())
            steps.standard_error = float(gains.std(ddof=1)) / len(gains) ** 0.5
            steps.share, steps.epochs_kept, waited = SHARES[place], epoch, 0
            steps.weights = tuple(fold.weights for fold in folds)
            steps.kept_errors = errors[place]
        report(epoch, f"error={steps.error:.4g}, start {steps.start_error:.4g}")
        if waited >= options.patience:
            break
    least = options.standard_errors * steps.standard_error
    if np.isnan(steps.error) or steps.start_error - steps.error <= least:
        steps.share, steps.epochs_kept, steps.weights = 0.0, 0, ()
        steps.kept_errors = start[known]
    return steps


def _of_some_genes(pairs: Pairs, n_genes: int) -> BoolArray:
    """Return the pairs of at most so many genes that can be judged, (m,)."""
    n_each = np.bincount(pairs.columns, minlength=n_genes)
    genes = np.flatnonzero(n_each >= MIN_PAIRS)
    if len(genes) > MOST_GENES:
        genes = np.random.default_rng(0).choice(genes, MOST_GENES, replace=False)
    return np.isin(pairs.columns, genes)


@torch.no_grad()
def added_to(network: PairNetwork, conditions: ConditionTensors, pairs: Pairs) -> DoubleArray:
    """Return what the network adds to pairs, (m,)."""
    network.eval()
    device = network.control.device
    found = [
        network(conditions.pairs(pairs.take(rows), device)).cpu()
        for rows in np.array_split(
            np.arange(len(pairs.rows)), max(1, len(pairs.rows) // EVALUATED_AT_ONCE)
        )
    ]
    return torch.cat(found).double().numpy()


def _epoch(
    network: PairNetwork,
    optimizer: torch.optim.Optimizer,
    conditions: ConditionTensors,
    pairs: Pairs,
    options: TableOptions,
    seed: int,
) -> float:
    """Take the steps of one epoch and return the mean loss."""
    network.train()
    device = network.control.device
    order = _drawn(len(pairs.rows), options, np.random.default_rng(seed))
    total, weight = 0.0, 0.0
    with seeded_torch(seed, device):
        for first in range(0, len(order), options.batch_size):
            batch = pairs.take(order[first : first + options.batch_size])
            added = network(conditions.pairs(batch, device))
            losses = masked_losses(batch, added)
            weights = torch.from_numpy(batch.weights).to(losses)
            loss = (losses * weights).sum() / weights.sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip_norm)
            optimizer.step()
            total += float(loss.detach()) * float(weights.sum())
            weight += float(weights.sum())
    return total / weight


def _drawn(n: int, options: TableOptions, rng: np.random.Generator) -> Positions:
    """Return the pairs of an epoch in order: all of them once, fewer, or several times."""
    least = options.least_steps * min(options.batch_size, n)
    wanted = max(min(n, options.pairs_per_epoch), least)
    passes = -(-wanted // n)
    return np.concatenate([rng.permutation(n) for _ in range(passes)])[:wanted]


def masked_losses(pairs: Pairs, added: torch.Tensor) -> torch.Tensor:
    """Return the loss of each pair, (m,): cross entropy of labels, else the squared error."""
    start = torch.from_numpy(pairs.start).to(added)
    truth = torch.from_numpy(pairs.truth).to(added)
    if pairs.units.kind == "labels":
        return functional.binary_cross_entropy_with_logits(start + added, truth, reduction="none")
    return (start + added - truth).square()


def _optimizer(network: PairNetwork, options: TableOptions) -> torch.optim.AdamW:
    """Make AdamW over the trainable parameters; only matrices decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": options.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=options.lr,
    )
