"""``dygenept doctor --gpu`` on a CPU: the same steps at a tiny size, and what makes it fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dygenept.errors import ConfigError
from dygenept.model.network import DyGenePT
from dygenept.model.training import device_check
from dygenept.model.training.device_check import StepCheck, check_device
from dygenept.model.training.synthetic import SMALL, Size
from dygenept.plugin.environment import Environment
from dygenept.runs import gpu_check

TINY = replace(
    SMALL,
    n_layers=3,
    d_model=16,
    n_heads=2,
    width=16,
    attention_heads=2,
    hidden_dims=(16, 8),
    n_genes=120,
    batch=4,
    lengths=(24,),
)
CPU = torch.device("cpu")
SETTINGS = ["float32, cache on", "bf16, cache on", "bf16, cache off", "bf16, cache on, DDP"]


@pytest.fixture(scope="module")
def environment() -> Environment:
    return replace(Environment.load(), device="cpu")


def build(size: Size, is_cached: bool, environment: Environment) -> DyGenePT:
    return gpu_check._network(environment, size, is_cached=is_cached)


def test_every_setting_agrees_with_the_cpu_on_the_cpu(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_check, "CHECKED_SMALL", TINY)
    monkeypatch.setattr(device_check, "N_STEPS", 3)
    checks = list(gpu_check.check_gpu(environment))
    assert [check.name for check in checks] == SETTINGS
    assert all(check.is_ok for check in checks)
    exact, rounded = checks[0], checks[1]
    assert exact.gap == 0
    assert 0 < rounded.gap < 0.05
    assert all(check.step_ms > 0 and check.tflops > 0 for check in checks)
    assert len(exact.losses) == 3
    # Steps are taken: the loss changes.
    assert len(set(exact.losses)) == 3


def test_other_weights_than_the_cpus_are_a_problem(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_check, "N_STEPS", 3)
    n_built = 0

    def other(size: Size, is_cached: bool) -> DyGenePT:
        nonlocal n_built
        n_built += 1
        network = build(size, is_cached, environment)
        if n_built > 1:
            with torch.no_grad():
                for parameter in network.decoder.parameters():
                    parameter.add_(0.3)
        return network

    assert not next(check_device(other, TINY, CPU)).is_ok


def test_a_loss_that_is_not_a_number_is_a_problem() -> None:
    assert not StepCheck("", (), float("nan"), 0.05, 1.0, 1.0).is_ok
    assert StepCheck("", (), 0.05, 0.05, 1.0, 1.0).is_ok


def test_without_a_gpu_one_line_says_so(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"no GPU .*--device cpu"):
        next(gpu_check.check_gpu(replace(environment, device="auto")))
