"""Rates, what the optimiser trains, and the average of weights."""

from __future__ import annotations

import pytest
import torch
from core.model.training.toy_training import CPU, OPTIONS
from torch import nn

from dygenept.model.training.optimisation import WeightAverage, learning_rate, make_optimizer
from dygenept.model.training.options import TrainingOptions


def test_the_optimizer_trains_what_is_not_frozen_at_the_peak_rate() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, bias=False))
    network[1].requires_grad_(False)
    first, second = make_optimizer(network, OPTIONS, CPU).param_groups
    assert (first["lr"], second["lr"]) == (1e-3, 1e-3)
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)
    network[0].bias.requires_grad_(False)
    (only,) = make_optimizer(network, OPTIONS, CPU).param_groups
    assert [p.shape for p in only["params"]] == [(2, 3)]


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0), (4, 1.0), (22, 0.55), (40, 0.1), (99, 0.1)],
)
def test_the_rate_rises_to_the_peak_and_falls_to_the_end(step: int, rate: float) -> None:
    options = TrainingOptions(lr=1.0, min_lr=0.1, warmup_steps=4)
    assert learning_rate(step, n_steps=41, options=options) == pytest.approx(rate)


def test_the_rate_without_a_warm_up_starts_at_the_peak() -> None:
    options = TrainingOptions(lr=1.0, min_lr=0.0, warmup_steps=0)
    rates = [learning_rate(step, n_steps=3, options=options) for step in range(3)]
    assert rates == pytest.approx([1.0, 0.5, 0.0])
    assert learning_rate(0, n_steps=2, options=options) == 1.0
    assert learning_rate(1, n_steps=2, options=options) == pytest.approx(0.0)
    assert learning_rate(1, n_steps=1, options=options) == pytest.approx(0.0)


def test_an_average_starts_from_the_weights_and_leaves_frozen_ones_out() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network[1].requires_grad_(False)
    average = WeightAverage(network, 0.9)
    assert set(average.average) == {"0.weight", "0.bias"}
    assert average.n_updates == 0
    assert torch.equal(average.average["0.weight"], network[0].weight)
    with torch.no_grad():
        network[0].weight += 10.0
    start = average.average["0.weight"].clone()
    average.update()
    # The first decay is a tenth, so that nine tenths of the step are taken.
    torch.testing.assert_close(average.average["0.weight"], start + 9.0)
    assert average.n_updates == 1
