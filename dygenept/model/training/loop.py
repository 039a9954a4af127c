"""The training loop: epochs, validation, early stopping, checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch

from dygenept.errors import DygeneptError
from dygenept.machine import collectives, processes
from dygenept.model.conditions import ConditionSet, IndexArray
from dygenept.model.losses import pearson_delta_de, perturbation_loss
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import predict_means
from dygenept.model.seeds import derived_seed, forked_torch
from dygenept.model.training.batches import Batch, BatchSource, Share
from dygenept.model.training.checkpoint import (
    Checkpoint,
    Saver,
    TrainingState,
    changing_tensors,
    restore_tensors,
)
from dygenept.model.training.optimisation import WeightAverage, learning_rate, make_optimizer
from dygenept.model.training.options import TrainingOptions
from dygenept.model.training.precision import (
    autocast,
    autocast_dtype,
    compile_parts,
    recompute_layers,
)
from dygenept.model.training.prefetch import prefetched

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

    Under torchrun each process runs its part of every batch; together they do what one process
    would do with the whole batch, except that each draws dropout for its part.

    Attributes:
        source: Where batches come from.
        validation: Conditions that training does not see; None without any.
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
            ConfigError: If an option asks for what the device or a part cannot do.
            DistributedError: If another process of the training is lost.
            DygeneptError: If the loss stops being finite.
        """
        options = self.options
        autocast_dtype(options, self.device)
        collectives.broadcast(list(changing_tensors(network).values()))
        optimizer = make_optimizer(network, options, self.device)
        average = WeightAverage(network, options.ema_decay)
        state = TrainingState()
        if self.checkpoint is not None and self.resume:
            found = self.checkpoint.load(network=network, optimizer=optimizer, average=average)
            state = found or state
        collectives.check_agreement((state.epoch, state.step), "where the checkpoint left off")
        if options.warm_start and not state.epoch and not state.step:
            self._validate(network, average, state)
        saver = Saver(
            self.checkpoint if processes.current().is_writer else None,
            options.checkpoint_seconds,
            lambda to: to.save(state, network=network, optimizer=optimizer, average=average),
        )
        stepper = self.stepper(network)
        while not state.is_finished:
            with forked_torch(self.device):
                self._epoch(stepper, optimizer, average, state, saver)
            self._validate(network, average, state)
            saver.save(now=state.is_finished)
            score = f"val r={state.scores[-1]:.3f}" if state.scores else ""
            self.report(
                options.epochs if state.is_finished else state.epoch,
                score or f"loss={state.losses[-1]:.4f}",
            )
        average.load(average.average)
        if state.best:
            restore_tensors(network, state.best)
        return History(tuple(state.losses), tuple(state.scores), state.best_epoch)

    def stepper(self, network: DyGenePT) -> torch.nn.Module:
        """Return what training steps call: the network, set up and parallel as asked for.

        Raises:
            ConfigError: If a part cannot do what an option asks for.
        """
        if self.options.gradient_checkpointing:
            recompute_layers(network)
        n_processes = processes.current().size
        find_unused = n_processes > 1 and self.leaves_weights_out(network)
        if self.options.compile:
            compile_parts(network)
        stepper = processes.parallel(network, self.device, find_unused=find_unused)
        if n_processes > 2 and not find_unused:
            # Gradients are laid out anew after the first pass, and the layout decides in which
            # order three or more are added: a resumed step must add them as it would have.
            self._pass_back(stepper)
            stepper.zero_grad(set_to_none=True)
        return stepper

    def leaves_weights_out(self, network: DyGenePT) -> bool:
        """Say whether a step gives some trained weights no gradient, in any process.

        Some parts leave others out: a linear decoder reads no cell state. Which weights a step
        reaches depends on the parts and not on the batch, so one backward pass tells.
        """
        self._pass_back(network)
        is_left_out = any(p.requires_grad and p.grad is None for p in network.parameters())
        network.zero_grad(set_to_none=True)
        return collectives.any_of(is_left_out)

    def _pass_back(self, stepper: torch.nn.Module) -> None:
        """Give weights the gradients of a piece that is always the same; no draw is used up."""
        world = processes.current()
        share = Share(world.rank, world.size, self.options.accumulation_steps)
        piece = next(self.source.steps(np.random.default_rng(0), share=share))[0]
        with forked_torch(self.device):
            loss = self.batch_loss(stepper.train(), piece.map(self._to_device))
            loss.backward()  # type: ignore[no-untyped-call]

    def _epoch(
        self,
        stepper: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage,
        state: TrainingState,
        saver: Saver,
    ) -> None:
        """Run an epoch from where it stands to its end."""
        stepper.train()
        n_steps = self.source.steps_per_epoch
        world = processes.current()
        steps = self.source.steps(
            np.random.default_rng(derived_seed(self.seed, state.epoch)),
            first=state.step,
            share=Share(world.rank, world.size, self.options.accumulation_steps),
        )
        if self.device.type == "cuda":
            steps = (tuple(p.map(torch.Tensor.pin_memory) for p in pieces) for pieces in steps)
        with closing(prefetched(steps, self.options.prefetch)) as batches:
            for pieces in batches:
                rate = learning_rate(
                    state.epoch * n_steps + state.step,
                    n_steps=n_steps * self.options.epochs,
                    options=self.options,
                )
                for group in optimizer.param_groups:
                    group["lr"] = rate
                # Dropout depends only on the position, so that a resumed step draws the same.
                torch.manual_seed(derived_seed(self.seed, state.epoch, state.step, world.rank))
                loss = self.step(stepper, optimizer, pieces)
                average.update()
                # Added up on the device: reading each loss would wait for the GPU at every step.
                state.total = loss if state.total is None else state.total + loss
                state.step += 1
                saver.save()
        mean = math.nan if state.total is None else float(state.total) / n_steps
        if not math.isfinite(mean):
            raise DygeneptError(
                f"training diverged: the loss is {mean} in epoch {state.epoch + 1}; lower it "
                f"with --set training.lr={self.options.lr / 10:g}"
            )
        state.epoch, state.step, state.total = state.epoch + 1, 0, None
        state.losses.append(mean)

    def step(
        self,
        stepper: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        pieces: Sequence[Batch],
    ) -> torch.Tensor:
        """Take one step and return the loss of the whole batch, a float32 scalar.

        Args:
            stepper: What ``stepper`` returned.
            optimizer: Of the network's trained weights.
            pieces: This process's pieces of the batch, at least one.
        """
        optimizer.zero_grad(set_to_none=True)
        loss = self.backward(stepper, pieces)
        torch.nn.utils.clip_grad_norm_(stepper.parameters(), self.options.clip_norm)
        optimizer.step()
        return loss

    def backward(self, stepper: torch.nn.Module, pieces: Sequence[Batch]) -> torch.Tensor:
        """Add up the whole batch's gradient, over pieces and processes; return its loss."""
        n_processes = processes.current().size
        loss = torch.zeros((), device=self.device)
        for piece in pieces:
            batch = piece.map(self._to_device)
            with processes.local_gradients(stepper, is_last=piece is pieces[-1]):
                part = self.batch_loss(stepper, batch)
                # Gradients are averaged over processes; they must add up.
                (part * n_processes).backward()  # type: ignore[no-untyped-call]
            loss += part.detach()
        return collectives.total(loss)

    def batch_loss(self, stepper: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Return a batch's share of its step's loss, a float32 scalar.

        Args:
            stepper: The network, or what wraps it.
            batch: On the network's device.
        """
        with autocast(self.options, self.device):
            output = stepper(batch.gene_indices, batch.control_indices, batch.control)
        n = len(batch.target)
        # (n_conditions × cells, G) to (n_conditions, G): the mean over a condition's control cells.
        change = (output.expression - batch.control).view(n, -1, batch.target.shape[1]).mean(dim=1)
        loss = perturbation_loss(
            change,
            batch.target,
            reference=batch.reference,
            de_indices=batch.de_indices,
            options=self.options.loss,
            counts=batch.counts,
        )
        return loss * batch.weight

    def _to_device(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, non_blocking=True)

    def _validate(self, network: DyGenePT, average: WeightAverage, state: TrainingState) -> None:
        """Score the averaged weights, keep the best, and decide whether to stop.

        Before the first epoch this scores the start, which may turn out to be the best.
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
                # Cloned while the averaged weights are in the network: these are what is kept.
                state.best = {n: v.clone() for n, v in changing_tensors(network).items()}
        if self.options.patience and state.epoch - state.best_epoch >= self.options.patience:
            state.is_finished = True

    def validation_score(self, network: DyGenePT) -> float:
        """Mean pearson_delta_top20 over the validation conditions; NaN without any."""
        scores = self.validation_scores(network)
        return float(scores.mean()) if len(scores) else math.nan

    def validation_scores(self, network: DyGenePT) -> torch.Tensor:
        """pearson_delta_top20 of each validation condition, (n,), of what would be predicted."""
        if self.validation is None or not len(self.validation):
            return torch.empty(0)
        held, mine = self.validation, collectives.share_of(len(self.validation))
        with autocast(self.options, self.device):
            predicted = predict_means(
                network,
                gene_indices=held.gene_indices[mine],
                cell_types=held.cell_types[mine],
                controls=self.source.controls,
                positions=self.positions,
                device=self.device,
            )
        deltas = predicted.deltas
        if self.options.clamp_min_zero:
            # A prediction is never below 0; scores without that favour other epochs and starts.
            deltas = deltas.maximum(-self.source.controls.means_of(held.cell_types[mine]))
        r = pearson_delta_de(deltas, held.deltas[mine], held.de_indices[mine])
        return collectives.gathered(r, mine, len(held))
