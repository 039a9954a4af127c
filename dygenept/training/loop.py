"""The training loop: epochs, validation, early stopping, checkpoints."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from dygenept.errors import DygeneptError
from dygenept.model.assembly import DyGenePT
from dygenept.model.losses import pearson_delta_de, perturbation_loss
from dygenept.model.prediction import IndexArray, predict_means
from dygenept.training.averaging import WeightAverage
from dygenept.training.batches import Batch, BatchSource, ConditionSet
from dygenept.training.checkpoint import (
    Checkpoint,
    TrainingState,
    changing_tensors,
    restore_tensors,
)
from dygenept.training.options import TrainingOptions
from dygenept.training.schedule import learning_rate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class History:
    """How a training went.

    Attributes:
        losses: Mean train loss of each epoch.
        scores: Mean pearson_delta_top20 of the validation conditions after each epoch; empty
            without validation.
        best_epoch: Epoch, from 1, whose weights were kept.
    """

    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trains one network.

    Attributes:
        source: Where batches come from.
        validation: Conditions held out of training; None for none.
        positions: Control cells that validation averages over.
        options: How to train.
        seed: Decides batches and dropout.
        device: Where the network is.
        report: Called after each epoch with its number and a short text.
        checkpoint: Where to save; None saves nothing.
        resume: Continue from the checkpoint where there is one.
    """

    source: BatchSource
    validation: ConditionSet | None
    positions: IndexArray
    options: TrainingOptions
    seed: int
    device: torch.device
    report: Callable[[int, str], None]
    checkpoint: Checkpoint | None = None
    resume: bool = True

    def train(self, network: DyGenePT) -> History:
        """Train the network in place and leave the kept weights in it.

        Raises:
            DygeneptError: If the loss stops being finite.
        """
        options = self.options
        optimizer = make_optimizer(network, options, self.device)
        average = WeightAverage(network, options.ema_decay)
        state = TrainingState()
        if self.checkpoint is not None and self.resume:
            found = self.checkpoint.load(network=network, optimizer=optimizer, average=average)
            state = found or state
        if options.warm_start and not state.epoch:
            self._validate(network, average, state)
        saved_at = time.monotonic()
        while not state.is_finished:
            with seeded_torch(self._seed(state.epoch), self.device):
                loss = self._epoch(network, optimizer, average, state.epoch)
            if not math.isfinite(loss):
                raise DygeneptError(
                    f"training diverged: the loss is {loss} in epoch {state.epoch + 1}; lower it "
                    f"with --set training.lr={options.lr / 10:g}"
                )
            state.epoch += 1
            state.losses.append(loss)
            self._validate(network, average, state)
            due = time.monotonic() - saved_at >= options.checkpoint_seconds
            if self.checkpoint is not None and (due or state.is_finished):
                self.checkpoint.save(state, network=network, optimizer=optimizer, average=average)
                saved_at = time.monotonic()
            score = f"val r={state.scores[-1]:.3f}" if state.scores else f"loss={loss:.4f}"
            self.report(options.epochs if state.is_finished else state.epoch, score)
        average.load(average.average)
        if state.best:
            restore_tensors(network, state.best)
        return History(tuple(state.losses), tuple(state.scores), state.best_epoch)

    def _epoch(
        self,
        network: DyGenePT,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage,
        epoch: int,
    ) -> float:
        """Run one epoch and return its mean loss."""
        network.train()
        total = torch.zeros((), device=self.device)
        n_steps = self.source.steps_per_epoch
        step = epoch * n_steps
        for batch in self.source.epoch(np.random.default_rng(self._seed(epoch))):
            rate = learning_rate(step, n_steps=n_steps * self.options.epochs, options=self.options)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = self.batch_loss(network, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), self.options.clip_norm)
            optimizer.step()
            average.update()
            total += loss.detach()
            step += 1
        return float(total) / n_steps

    def batch_loss(self, network: DyGenePT, batch: Batch) -> torch.Tensor:
        """Return the loss of one batch, a float32 scalar."""
        device = self.device
        control = batch.control.to(device)
        is_bf16 = device.type == "cuda" and self.options.precision != "float32"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16):
            output = network(
                batch.gene_indices.to(device), batch.control_indices.to(device), control
            )
        target = batch.target.to(device)
        change = (output.expression - control).view(len(target), -1, target.shape[1]).mean(dim=1)
        return perturbation_loss(
            change,
            target,
            reference=batch.reference.to(device),
            de_indices=batch.de_indices.to(device),
            options=self.options.loss,
        )

    def _validate(self, network: DyGenePT, average: WeightAverage, state: TrainingState) -> None:
        """Score the averaged weights, keep the best, and decide whether to stop.

        Before the first epoch this scores a warm start, which may turn out the best.
        """
        state.is_finished = state.epoch >= self.options.epochs
        if self.validation is None or not len(self.validation):
            state.best_epoch = state.epoch
            return
        with average.applied():
            score = self.validation_score(network)
            if state.epoch:
                state.scores.append(score)
            if not self.options.patience:
                state.best_epoch = state.epoch
            elif score > state.best_score:
                state.best_score = score
                state.best_epoch = state.epoch
                state.best = {n: v.clone() for n, v in changing_tensors(network).items()}
        if self.options.patience and state.epoch - state.best_epoch >= self.options.patience:
            state.is_finished = True

    def validation_score(self, network: DyGenePT) -> float:
        """Mean pearson_delta_top20 over the validation conditions."""
        if self.validation is None:
            return math.nan
        predicted = predict_means(
            network,
            gene_indices=self.validation.gene_indices,
            cell_types=self.validation.cell_types,
            controls=self.source.controls,
            positions=self.positions,
            device=self.device,
        )
        r = pearson_delta_de(predicted.deltas, self.validation.deltas, self.validation.de_indices)
        return float(r.mean())

    def _seed(self, epoch: int) -> int:
        return int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])


def make_optimizer(
    network: torch.nn.Module, options: TrainingOptions, device: torch.device
) -> torch.optim.AdamW:
    """Make AdamW over the trainable parameters; only matrices decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=options.lr, fused=device.type == "cuda")


@contextmanager
def seeded_torch(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own generators for a block and put them back as they were after it."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
