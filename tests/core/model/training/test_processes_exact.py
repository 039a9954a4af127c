"""What one of two processes does, with stand-ins for what they do together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from core.model.training.toy_training import CPU, OPTIONS, Run
from torch import nn

from dygenept.machine.processes import World
from dygenept.model.network import DyGenePT
from dygenept.model.training import loop
from dygenept.model.training.batches import BatchSource, Share
from dygenept.model.training.checkpoint import Checkpoint, changing_tensors


class Calls:
    """Stands in for what processes do together; this one is the second of two."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(rank=1, size=2)
        self.agreed: list[tuple[tuple[int, ...], str]] = []
        self.sent: list[list[tuple[int, ...]]] = []
        self.last: list[bool] = []
        self.wrapped: list[tuple[nn.Module, torch.device]] = []
        self.summed = 0
        monkeypatch.setattr(loop.processes, "current", lambda: self.world)
        monkeypatch.setattr(
            loop.collectives,
            "check_agreement",
            lambda values, what: self.agreed.append((values, what)),
        )
        monkeypatch.setattr(
            loop.collectives,
            "broadcast",
            lambda tensors: self.sent.append([tuple(tensor.shape) for tensor in tensors]),
        )
        monkeypatch.setattr(loop.processes, "local_gradients", self._local)
        monkeypatch.setattr(loop.processes, "parallel", self._parallel)
        monkeypatch.setattr(loop.collectives, "total", self._total)

    def _local(self, stepper: nn.Module, *, is_last: bool) -> AbstractContextManager[None]:
        assert isinstance(stepper, nn.Module)
        self.last.append(is_last)
        return nullcontext()

    def _parallel(
        self, network: nn.Module, device: torch.device, *, find_unused: bool
    ) -> nn.Module:
        self.wrapped.append((network, device))
        return network

    def _total(self, tensor: torch.Tensor) -> torch.Tensor:
        self.summed += 1
        return 2 * tensor


def test_a_process_among_two_runs_its_part_and_writes_nothing(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    options = replace(OPTIONS, epochs=1, accumulation_steps=3, checkpoint_seconds=0.0)
    shares: list[Share] = []
    steps = BatchSource.steps

    def watched(
        self: BatchSource, rng: np.random.Generator, *, first: int | None = None, share: Share
    ) -> object:
        # A piece that is only looked at names no first step.
        if first is None:
            return steps(self, rng, share=share)
        shares.append(share)
        return steps(self, rng, first=first, share=share)

    monkeypatch.setattr(BatchSource, "steps", watched)
    Run(network, options, validates=False, checkpoint=checkpoint).train()
    assert shares == [Share(rank=1, size=2, pieces=3)]
    assert calls.agreed == [((0, 0), "where the checkpoint left off")]
    assert calls.last == [False, False, True] * 2
    assert calls.wrapped == [(network, CPU)]
    # Once to agree whether a step leaves weights out, and once in each of two steps.
    assert calls.summed == 3
    assert [len(shapes) for shapes in calls.sent] == [len(changing_tensors(network))]
    assert not checkpoint.path.exists()
    calls.world = World(rank=0, size=2)
    Run(network, options, validates=False, checkpoint=checkpoint).train()
    assert checkpoint.path.exists()


def test_gradients_of_a_part_count_once_per_process_before_they_are_averaged(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Run(network, OPTIONS).trainer()
    pieces = next(trainer.source.steps(np.random.default_rng(0)))
    alone = trainer.backward(network, pieces)
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    Calls(monkeypatch)
    both = trainer.backward(network, pieces)
    # The losses of the processes are summed; here each is taken to have the same.
    assert float(both) == pytest.approx(2 * float(alone))
    doubled = [p.grad for p in network.parameters() if p.grad is not None]
    for left, right in zip(gradients, doubled, strict=True):
        torch.testing.assert_close(right, 2 * left)
