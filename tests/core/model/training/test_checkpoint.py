from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from dygenept.model import fitting
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import Parts
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import resolve_model
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import Attention
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.types import Runtime, Task
from dygenept_plugins.networks.attention import FacetAttention

QUICK = TrainingOptions(
    target="pseudobulk",
    batch_size=32,
    cells_per_condition=4,
    epochs=3,
    patience=0,
    lr=3e-3,
    warmup_steps=0,
    n_prediction_cells=16,
    checkpoint_seconds=0,
)
Maker = Callable[..., DyGenePTModel]


def predictions(model: DyGenePTModel, task: Task) -> np.ndarray:
    return model.predict(task.known).expression


def with_runtime(task: Task, **changes: object) -> Task:
    return replace(task, runtime=replace(task.runtime, **changes))  # type: ignore[arg-type]


def test_a_checkpoint_of_other_options_or_a_damaged_one_is_left_aside(
    make_model: Maker, task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = with_runtime(task, checkpoint_dir=tmp_path)
    make_model(QUICK).fit(kept)
    plain = make_model(replace(QUICK, lr=1e-3))
    plain.fit(task)
    other = make_model(replace(QUICK, lr=1e-3))
    other.fit(kept)
    assert "other data, parts, options or code" in caplog.text
    assert np.array_equal(predictions(other, task), predictions(plain, task))
    (tmp_path / "member-0.safetensors").write_bytes(b"nonsense")
    again = make_model(replace(QUICK, lr=1e-3))
    again.fit(kept)
    assert "cannot be read" in caplog.text
    assert np.array_equal(predictions(again, task), predictions(plain, task))


def test_steps_of_other_code_are_not_gone_on_from(
    make_model: Maker, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = with_runtime(task, checkpoint_dir=tmp_path)
    present = fitting.project_code()
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "project_code", lambda: replace(present, sha256="0" * 64))
        make_model(QUICK).fit(kept)
    stamp = (tmp_path / "member-0.safetensors").stat().st_mtime_ns
    again = make_model(QUICK)
    again.fit(kept)
    assert (tmp_path / "member-0.safetensors").stat().st_mtime_ns != stamp
    same = (tmp_path / "member-0.safetensors").stat().st_mtime_ns
    make_model(QUICK).fit(kept)
    assert (tmp_path / "member-0.safetensors").stat().st_mtime_ns == same


@pytest.mark.parametrize("set_", ["attention.name=softmax", "decoder.dropout=0.5"])
def test_a_checkpoint_of_other_parts_with_weights_of_like_shapes_is_left_aside(
    make_model: Maker, task: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture, set_: str
) -> None:
    registry = load_registry()
    environment = Environment(
        registry=registry, manager=PluginManager.load(registry.plugins, entry_points=False)
    )
    small = ("width=16", "cell_encoder=mlp", "attention.num_heads=4", "decoder.hidden_dims=[8]")

    def parts(*sets: str) -> Parts:
        overrides = Overrides(parts={}, sets=(*small, *sets))
        model = resolve_model("dygenept_small", environment, overrides)
        assert model.assembly is not None
        return model.assembly.network_parts()

    kept = with_runtime(task, checkpoint_dir=tmp_path)
    make_model(QUICK, parts=parts()).fit(kept)
    make_model(QUICK, parts=parts()).fit(kept)
    assert "restarts" not in caplog.text
    other = make_model(QUICK, parts=parts(set_))
    other.fit(kept)
    assert "other data, parts, options or code" in caplog.text
    plain = make_model(QUICK, parts=parts(set_))
    plain.fit(task)
    assert np.array_equal(predictions(other, task), predictions(plain, task))


def test_a_checkpoint_beside_other_frozen_weights_is_left_aside(
    make_model: Maker, make_parts: Callable[..., Parts], task: Task, tmp_path: Path
) -> None:
    def parts(value: float) -> Parts:
        made = make_parts()

        def frozen(width: int) -> Attention:
            attention = made.attention(width)
            query = cast(FacetAttention, attention).query
            assert query is not None
            query.requires_grad_(False).weight.fill_(value)
            return attention

        return replace(made, attention=frozen)

    steps: list[int] = []
    kept = with_runtime(task, checkpoint_dir=tmp_path, report=lambda p: steps.append(p.step))
    for value in (0.1, 0.1, 0.2):
        make_model(QUICK, parts=parts(value)).fit(kept)
    assert steps == [1, 2, 3, 1, 2, 3]


def test_without_resume_a_checkpoint_is_not_read(
    make_model: Maker, task: Task, tmp_path: Path
) -> None:
    steps: list[int] = []
    for _ in range(2):
        runtime = Runtime(
            checkpoint_dir=tmp_path, resume=False, report=lambda p: steps.append(p.step)
        )
        make_model(QUICK).fit(replace(task, runtime=runtime))
    assert steps == [1, 2, 3, 1, 2, 3]
