"""A run under a limit on memory: the same records, and refusals that say what is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

import dygenept as dg
from dygenept.data import memory
from dygenept.errors import ConfigError, DataError
from dygenept.plugin.environment import Environment
from dygenept.testing import ToyShape, write_toy_h5ad

PLENTY = 1 << 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_toy_h5ad(tmp_path / "toy.h5ad", ToyShape(n_cell_types=2))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.load(cache_dir=tmp_path / "cache")


def test_a_bench_from_a_file_gives_the_same_scores(
    path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["perturbed_mean", "matching_mean", "technical_duplicate", "control_cells"]

    def scores(**given: str) -> list[object]:
        found = dg.bench(
            str(path), models, folds=2, environment=environment, progress=False, **given
        )
        assert not found.failures
        return [
            (record.model, record.fold, record.dataset.sha256, record.metrics, record.effects)
            for record in found.records
        ]

    held = scores()
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    assert scores(memory=str(PLENTY)) == held
    assert list((environment.cache_dir / "scratch").iterdir()) == []


def test_cells_that_a_model_is_given_must_fit(
    path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dg.load_dataset(path)
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    limit = memory.CellsSize.of_data(data).streamed
    found = dg.bench(
        str(path),
        ["perturbed_mean", "control_cells"],
        folds=2,
        memory=limit,
        environment=environment,
        progress=False,
    )
    assert {record.model for record in found.records} == {"perturbed_mean"}
    assert set(found.failures) == {"control_cells, fold 1", "control_cells, fold 2"}
    assert "cells of its fold" in found.failures["control_cells, fold 1"]


def test_a_limit_is_an_amount(path: Path) -> None:
    with pytest.raises(ConfigError, match="write 4G"):
        dg.load_dataset(path, memory="a lot")
    with pytest.raises(DataError, match="GiB of memory"):
        dg.load_dataset(path, memory="1M")
