"""A run under a limit on memory: the same records, and refusals that say what is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import dygenept as dg
from dygenept.data import memory
from dygenept.errors import ConfigError, DataError
from dygenept.machine import table_products, tables
from dygenept.plugin.environment import Environment
from dygenept.runs import jobs
from dygenept.runs.plan import plan_bench
from dygenept.runs.runner import BenchRequest, run_bench
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


def test_tables_in_files_give_the_same_scores(
    path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ["matching_mean", "additive", "shuffled"]
    models += ["ridge", "knn", "gp", "linear", "linear_loo", "kg_knn"]
    given = {"folds": 2, "environment": environment, "progress": False}
    held = dg.bench(str(path), [*models, "technical_duplicate"], **given)  # type: ignore[arg-type]
    limit = tables_do_not_fit(path, monkeypatch)
    assert dg.load_dataset(path, memory=limit).tables is not None
    # Cut into many parts, which must not decide anything.
    monkeypatch.setattr(tables, "PART_VALUES", 700)
    monkeypatch.setattr(tables, "COLUMN_VALUES", 3000)
    monkeypatch.setattr(jobs, "check_model_memory", lambda *_, **__: None)
    found = dg.bench(
        str(path),
        [*models, "technical_duplicate"],
        memory=limit,
        **given,  # type: ignore[arg-type]
    )
    assert not found.failures
    for record, expected in zip(found.records, held.records, strict=True):
        assert record.metrics == expected.metrics
        assert (record.effects, record.n_de_genes) == (expected.effects, expected.n_de_genes)
    assert list((environment.cache_dir / "scratch").iterdir()) == []


def test_pairs_in_blocks_give_the_same_from_files(
    path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever is of all pairs of perturbations is computed as that of a large screen is.
    models = ["ridge", "knn", "gp", "linear", "linear_loo", "kg_knn"]
    metrics = ["mse", "pearson_delta"]
    given = {"folds": 2, "metrics": metrics, "environment": environment, "progress": False}
    whole = dg.bench(str(path), models, **given)  # type: ignore[arg-type]
    monkeypatch.setattr(table_products, "BLOCK_VALUES", 50)
    in_blocks = dg.bench(str(path), models, **given)  # type: ignore[arg-type]
    limit = tables_do_not_fit(path, monkeypatch)
    monkeypatch.setattr(jobs, "check_model_memory", lambda *_, **__: None)
    filed = dg.bench(str(path), models, memory=limit, **given)  # type: ignore[arg-type]
    assert not filed.failures
    for record, same, alike in zip(filed.records, in_blocks.records, whole.records, strict=True):
        assert record.metrics == same.metrics
        assert record.chosen == same.chosen == alike.chosen
        for metric, expected in zip(record.metrics, alike.metrics, strict=True):
            values = [item.value for item in metric.values]
            assert values == pytest.approx([item.value for item in expected.values], rel=1e-9)


def test_a_model_of_all_pairs_is_refused_where_it_does_not_fit(
    path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else reading takes more than the fit, which comes after it.
    for name in ("READ_VALUES", "BLOCK_VALUES", "SORTING_BYTES", "CONTROL_BYTES"):
        monkeypatch.setattr(memory, name, 0)
    limit = tables_do_not_fit(path, monkeypatch)
    request = BenchRequest(
        dataset=str(path),
        results=environment.cache_dir / "results",
        models=("additive", "ridge"),
        n_folds=2,
        memory=limit,
    )
    additive, ridge = plan_bench(request, environment).models
    assert additive.limited_bytes is not None
    assert ridge.limited_bytes is not None
    assert additive.limited_bytes <= limit < ridge.limited_bytes
    found = run_bench(request, environment)
    assert {record.model for record in found.records} == {"additive"}
    assert (
        "ridge takes 0.00 GiB by itself (such as arrays of all pairs"
        in found.failures["ridge, fold 1"]
    )
    # What is planned is enough.
    enough = run_bench(replace(request, memory=ridge.limited_bytes), environment)
    assert not enough.failures


def tables_do_not_fit(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a limit that has room for cells and tables only where they are in files."""
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    for name in ("PARTS", "COLUMN_PARTS", "OF_TYPES", "RESIDENT"):
        monkeypatch.setattr(memory, name, 0)
    size = memory.CellsSize.of_data(dg.load_dataset(path))
    assert size.bounded < size.streamed
    return size.bounded


def test_cells_that_a_model_is_given_must_fit(
    path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dg.load_dataset(path)
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    size = memory.CellsSize.of_data(data)
    limit = replace(size, n_tables=memory.tables_of_folds(2)).streamed
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


def test_metrics_of_single_conditions_need_less_memory(
    tmp_path: Path, environment: Environment
) -> None:
    path = write_toy_h5ad(tmp_path / "wide.h5ad", ToyShape(n_genes=3000))
    size = memory.CellsSize.of_data(dg.load_dataset(path))
    limit = replace(size, n_tables=memory.FEW_TABLES).in_memory
    assert limit < size.in_memory
    given = {"memory": limit, "folds": 2, "environment": environment, "progress": False}
    assert not dg.bench(str(path), "perturbed_mean", metrics=["mse"], **given).failures  # type: ignore[arg-type]
    with pytest.raises(DataError, match="such as --metric mse"):
        dg.bench(str(path), "perturbed_mean", **given)  # type: ignore[arg-type]


def test_a_limit_is_an_amount(path: Path) -> None:
    with pytest.raises(ConfigError, match="write 4G"):
        dg.load_dataset(path, memory="a lot")
    with pytest.raises(DataError, match="GiB of memory"):
        dg.load_dataset(path, memory="1M")
