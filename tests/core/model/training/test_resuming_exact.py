"""What a training goes on from, and when it is saved."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from core.model.training.toy_training import OPTIONS, Run, same, scored, weights_of

from dygenept.model.network import DyGenePT
from dygenept.model.training import checkpoint as checkpoints
from dygenept.model.training.checkpoint import Checkpoint, Saver
from dygenept.model.training.loop import Trainer


def test_a_finished_training_is_not_trained_again_unless_resuming_is_off(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    start = copy.deepcopy(network)
    scored(monkeypatch, 0.1, 0.5, 0.4, 0.3)
    first = Run(network, OPTIONS, checkpoint=checkpoint).train()
    assert checkpoint.path.exists()
    again, fresh = copy.deepcopy(start), copy.deepcopy(start)
    run = Run(again, OPTIONS, checkpoint=checkpoint)
    assert run.train() == first
    assert run.reports == []
    assert same(weights_of(again), weights_of(network))
    scored(monkeypatch, 0.2, 0.1, 0.0)
    other = Run(fresh, OPTIONS, checkpoint=checkpoint, resume=False).train()
    assert other.scores == (0.2, 0.1, 0.0)


def test_a_resumed_warm_start_is_not_scored_again(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    options = replace(OPTIONS, warm_start=True, epochs=2, patience=5, checkpoint_seconds=0.0)

    def interrupted(*_: object) -> float:
        if interrupted.n == 1:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        interrupted.n += 1  # type: ignore[attr-defined]
        return 0.5

    interrupted.n = 0  # type: ignore[attr-defined]
    start = copy.deepcopy(network)
    monkeypatch.setattr(Trainer, "validation_score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Run(network, options, checkpoint=checkpoint).train()
    scores = scored(monkeypatch, 0.1, 0.2)
    history = Run(start, options, checkpoint=checkpoint).train()
    assert len(scores.weights) == len(history.scores)
    assert history.best_epoch == 0


def test_a_save_is_due_after_so_many_seconds_or_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    checkpoint = Checkpoint(tmp_path / "x", "print")
    written: list[tuple[Checkpoint, float]] = []
    saver = Saver(checkpoint, 30.0, lambda to: written.append((to, clock[0])), saved_at=100.0)
    for now in (100.0, 129.9, 130.0, 140.0, 160.0):
        clock[0] = now
        saver.save()
    assert written == [(checkpoint, 130.0), (checkpoint, 160.0)]
    saver.save(now=True)
    assert written[-1] == (checkpoint, 160.0)
    assert len(written) == 3
    clock[0] = 189.0
    saver.save()
    assert len(written) == 3
    Saver(None, 0.0, lambda to: written.append((to, 0.0)), saved_at=0.0).save(now=True)
    assert len(written) == 3


def test_an_interrupted_epoch_goes_on_where_it_was_left(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(OPTIONS, epochs=2, steps_per_epoch=4, checkpoint_seconds=0.0, ema_decay=0.5)
    start, whole = copy.deepcopy(network), copy.deepcopy(network)
    expected = Run(whole, options, validates=False).train()
    step, n_steps = Trainer.step, [0]

    def interrupted(self: Trainer, *arguments: object) -> torch.Tensor:
        if n_steps[0] == 6:
            raise KeyboardInterrupt
        n_steps[0] += 1
        return step(self, *arguments)  # type: ignore[arg-type]

    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Run(network, options, validates=False, checkpoint=checkpoint).train()
    n_steps[0] = 0
    resumed = Run(start, options, validates=False, checkpoint=checkpoint).train()
    assert n_steps[0] == 2
    assert resumed == expected
    assert same(weights_of(start), weights_of(whole))
