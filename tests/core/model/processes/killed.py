"""Trains a toy model in child processes, each killed with SIGKILL at a step, and resumes it.

Children are forked before torch has started any thread, and after the slow imports, so that each
costs milliseconds.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from conftest import toy_model

from dygenept.model.training import loop
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_task

N_STEPS = 18
OPTIONS = TrainingOptions(
    target="cell",
    batch_size=32,
    epochs=3,
    steps_per_epoch=6,
    patience=3,
    ema_decay=0.9,
    lr=3e-3,
    warmup_steps=4,
    n_prediction_cells=8,
    checkpoint_seconds=0,
)


def train(folder: Path | None, *, kill_at: int | None = None) -> dict[str, object]:
    """Train, and die by SIGKILL in the middle of a step, counted over the whole training."""
    torch.set_num_threads(1)
    step = loop.Trainer.step
    done = -1

    def counted(self, stepper, optimizer, pieces):  # type: ignore[no-untyped-def]
        nonlocal done
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, stepper, optimizer, pieces)

    loop.Trainer.step = counted  # type: ignore[method-assign]
    task, _ = toy_task()
    model = toy_model(OPTIONS, dropout=0.2)
    model.fit(replace(task, runtime=replace(task.runtime, checkpoint_dir=folder)))
    history = model.histories[0]
    return {
        "losses": [loss.hex() for loss in history.losses],
        "scores": [score.hex() for score in history.scores],
        "best_epoch": history.best_epoch,
        "weights": [float(p.detach().double().sum()).hex() for p in model.networks[0].parameters()],
        "n_steps": done + 1,
    }


def in_child(folder: Path | None, *, kill_at: int | None = None) -> dict[str, object] | None:
    """Return what a child's training came to; None where it was killed."""
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, json.dumps(train(folder, kill_at=kill_at)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"a child ended with status {status}")
    found: dict[str, object] = json.loads(text)
    return found


@contextmanager
def stderr_in(path: Path) -> Iterator[None]:
    """Let this process and its children write into a file."""
    own = os.dup(2)
    with path.open("wb") as stream:
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(own, 2)


def killed(folder: Path) -> dict[str, object]:
    """Train without an interruption, and killed ten times and then to the end."""
    # Ten stretches that together end before the training does, so that every kill hits.
    rng = np.random.default_rng(0)
    stops = np.sort(rng.choice(np.arange(1, N_STEPS), size=10, replace=False))
    said = folder.with_suffix(".log")
    with stderr_in(said):
        whole = in_child(None)
        outcomes = [in_child(folder, kill_at=step) for step in np.diff([0, *stops]).tolist()]
        resumed = in_child(folder)
    return {
        "whole": whole,
        "resumed": resumed,
        "n_steps": [N_STEPS, N_STEPS - int(stops[-1])],
        "n_killed": outcomes.count(None),
        "files": sorted(path.name for path in folder.iterdir()),
        "said": said.read_text(),
    }
