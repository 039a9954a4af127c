"""Each step of training against a plain loop."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from core.model.training.toy_training import CPU, OPTIONS, Run
from torch import nn

from dygenept.errors import DygeneptError
from dygenept.model.losses import perturbation_loss
from dygenept.model.network import DyGenePT
from dygenept.model.seeds import derived_seed, forked_torch, seeded_torch
from dygenept.model.training.loop import Trainer
from dygenept.model.training.optimisation import learning_rate
from dygenept.model.training.options import LossOptions


def plain_losses(run: Run) -> tuple[list[float], list[float]]:
    """Train by a plain loop; return each epoch's mean loss and each step's rate."""
    network, options, trainer = run.network, run.options, run.trainer()
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    vectors = [p for p in network.parameters() if p.ndim < 2]
    adam = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": options.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=1.0,
    )
    network.train()
    losses, rates = [], []
    for epoch in range(options.epochs):
        seed = np.random.SeedSequence([run.seed, epoch]).generate_state(1)[0]
        of_epoch = []
        steps = trainer.source.steps(np.random.default_rng(int(seed)))
        for step, (batch,) in enumerate(steps):
            number = epoch * options.steps_per_epoch + step
            rate = learning_rate(
                number, n_steps=options.epochs * options.steps_per_epoch, options=options
            )
            rates.append(rate)
            for group in adam.param_groups:
                group["lr"] = rate
            at = np.random.SeedSequence([run.seed, epoch, step, 0]).generate_state(1)[0]
            with torch.random.fork_rng():
                torch.manual_seed(int(at))
                output = network(batch.gene_indices, batch.control_indices, batch.control)
            n = len(batch.target)
            change = (output.expression - batch.control).reshape(n, -1, batch.target.shape[1])
            loss = perturbation_loss(
                change.mean(dim=1),
                batch.target,
                reference=batch.reference,
                de_indices=batch.de_indices,
                options=options.loss,
            )
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip_norm)
            adam.step()
            of_epoch.append(float(loss.detach()))
        losses.append(sum(of_epoch) / options.steps_per_epoch)
    return losses, rates


@pytest.mark.parametrize("target", ["cell", "pseudobulk"])
def test_training_is_what_a_plain_loop_does(
    network: DyGenePT, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(
        OPTIONS,
        target=target,
        cells_per_condition=4,
        epochs=3,
        clip_norm=0.5,
        steps_per_epoch=7,
        loss=LossOptions(mse_weight=1.0, de_mse_weight=0.7, direction_weight=0.3),
    )
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    other = copy.deepcopy(network)
    losses, expected = plain_losses(Run(other, options, validates=False))
    rates: list[float] = []
    step = Trainer.step

    def watched(
        self: Trainer, stepper: nn.Module, optimizer: torch.optim.Optimizer, pieces: object
    ) -> torch.Tensor:
        rates.extend({group["lr"] for group in optimizer.param_groups})
        return step(self, stepper, optimizer, pieces)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "step", watched)
    state = torch.random.get_rng_state()
    run = Run(network, options, validates=False)
    history = run.train()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert rates == expected
    assert len(rates) == 21
    assert history.losses == pytest.approx(losses, rel=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, other.get_parameter(name), rtol=1e-4, atol=1e-6)


def test_dropout_is_drawn_anew_by_epoch_step_and_process(network: DyGenePT) -> None:
    trainer = Run(network, OPTIONS).trainer()
    positions = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({derived_seed(trainer.seed, *position) for position in positions}) == 4
    assert derived_seed(trainer.seed, 2, 3) == int(
        np.random.SeedSequence([5, 2, 3]).generate_state(1)[0]
    )


def test_a_loss_that_stops_being_finite_names_the_epoch_and_a_lower_rate(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, math.nan, 1.0])
    monkeypatch.setattr(Trainer, "step", lambda *_: torch.tensor(next(losses)))
    with pytest.raises(
        DygeneptError, match=r"is nan in epoch 2; .*--set training\.lr=0\.0001$"
    ) as caught:
        Run(network, OPTIONS, validates=False).train()
    assert "training diverged" in str(caught.value)


def test_the_mean_loss_of_an_epoch_is_over_its_steps(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, 4.0, 1.0])
    monkeypatch.setattr(Trainer, "step", lambda *_: torch.tensor(next(losses)))
    history = Run(network, replace(OPTIONS, epochs=2), validates=False).train()
    assert history.losses == (1.5, 2.5)


def test_torchs_generator_is_as_it_was_after_a_block() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with seeded_torch(7, CPU):
        drawn = torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded_torch(7, CPU):
        assert torch.equal(torch.rand(3), drawn)
    with forked_torch(CPU):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_pieces_of_a_batch_give_the_loss_of_the_whole(
    network: DyGenePT,
) -> None:
    other = copy.deepcopy(network)
    options = replace(OPTIONS, epochs=2, clip_norm=0.5)
    whole = Run(network, options, validates=False).train()
    pieces = Run(other, replace(options, accumulation_steps=3), validates=False).train()
    assert pieces.losses == pytest.approx(whole.losses, rel=1e-4)


def test_the_loss_of_a_batch_counts_by_its_weight(network: DyGenePT) -> None:
    trainer = Run(network, OPTIONS).trainer()
    (piece,) = next(trainer.source.steps(np.random.default_rng(0)))
    network.eval()
    whole = float(trainer.batch_loss(network, piece).detach())
    assert whole > 0
    for weight in (0.0, 0.25):
        part = float(trainer.batch_loss(network, replace(piece, weight=weight)).detach())
        assert part == pytest.approx(weight * whole)


def test_weights_that_a_step_does_not_reach_are_told_from_frozen_ones(network: DyGenePT) -> None:
    trainer = Run(network, OPTIONS).trainer()
    before = torch.get_rng_state()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    reached = next(iter(network.decoder.parameters())).requires_grad_()
    assert not trainer.leaves_weights_out(network)
    # What it tried leaves nothing behind.
    assert reached.grad is None
    assert torch.equal(torch.get_rng_state(), before)
    network.apart = nn.Parameter(torch.ones(2))
    assert trainer.leaves_weights_out(network)
    network.apart.requires_grad_(False)
    assert not trainer.leaves_weights_out(network)
