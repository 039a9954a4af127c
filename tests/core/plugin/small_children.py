"""What tests of isolated models share: tasks, and models made of a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dygenept.plugin.isolated.environment import EnvironmentSpec
from dygenept.plugin.isolated.model import IsolatedModel
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept.types import Condition, Runtime, Task

DOCS = Path(__file__).parents[3] / "docs" / "isolated.md"
BARE = EnvironmentSpec()

MakeModel = Callable[..., IsolatedModel]


def task_in(
    cache: Path, checkpoints: Path | None = None, n_cell_types: int = 1
) -> tuple[Task, tuple[Condition, ...]]:
    task, held_out = toy_task(toy_data(ToyShape(n_cell_types=n_cell_types)))
    runtime = Runtime(seed=5, cache_dir=cache, checkpoint_dir=checkpoints)
    return replace(task, runtime=runtime), held_out
