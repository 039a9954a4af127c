"""Plans of runs: what they count is what a run does, and they read and write nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import dygenept as dg
from dygenept.data import memory
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.outline import outline_file
from dygenept.errors import ConfigError, DataError
from dygenept.knowledge.catalog import open_knowledge
from dygenept.plugin.environment import Environment
from dygenept.runs import plan_costs as costs
from dygenept.runs.plan import BenchPlan, plan_bench
from dygenept.runs.plan_coefficients import MEASURED
from dygenept.runs.runner import BenchRequest
from dygenept.testing import ToyShape, write_toy_h5ad
from dygenept.types import no_report

MODELS = ("perturbed_mean", "ridge")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_h5ad(tmp_path_factory.mktemp("plan") / "toy.h5ad", ToyShape())


def planned(toy: Path, results: Path, **changes: object) -> BenchPlan:
    request = BenchRequest(dataset=str(toy), results=results, models=MODELS, n_folds=2)
    return plan_bench(replace(request, **changes), Environment.load())  # type: ignore[arg-type]


def test_an_outline_counts_what_reading_finds(toy: Path) -> None:
    data, found = read_anndata(toy), outline_file(toy)
    controls = data.expression[np.flatnonzero(data.condition_codes < 0)]
    assert (found.n_cells, found.n_genes) == data.expression.shape
    assert found.n_perturbations == len(data.perturbations)
    assert found.n_values == data.expression.nnz
    assert found.control_values is not None
    np.testing.assert_array_equal(found.control_values, np.diff(controls.indptr))
    assert found.data is not None
    assert found.data.conditions == data.conditions
    np.testing.assert_array_equal(found.data.condition_codes, data.condition_codes)


def test_no_value_of_the_matrix_is_read(toy: Path, tmp_path: Path) -> None:
    broken = tmp_path / "toy.h5ad"
    broken.write_bytes(toy.read_bytes())
    with h5py.File(broken, "r+") as file:
        file["X/data"][:] = np.nan
    with pytest.raises(DataError, match="NaN"):
        read_anndata(broken)
    plan = planned(broken, tmp_path / "results")
    assert plan.dataset.outline.n_values == read_anndata(toy).expression.nnz
    assert plan.n_jobs == 4


def test_a_plan_writes_nothing(toy: Path, tmp_path: Path) -> None:
    planned(toy, tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_the_matrix_is_counted_to_the_byte(toy: Path, tmp_path: Path) -> None:
    plan, matrix = planned(toy, tmp_path), read_anndata(toy).expression
    assert plan.size is not None
    assert plan.size.matrix_bytes == sum(
        part.nbytes for part in (matrix.data, matrix.indices, matrix.indptr)
    )


def test_jobs_that_are_recorded_are_told_from_those_to_compute(toy: Path, tmp_path: Path) -> None:
    dg.bench(
        str(toy), ["ridge"], folds=2, metrics=["mse"], results=tmp_path, seed=42, progress=False
    )
    plan = planned(toy, tmp_path)
    assert {model.name: model.n_recorded for model in plan.models} == {
        "perturbed_mean": 0,
        "ridge": 2,
    }
    assert (plan.n_jobs, plan.n_recorded) == (4, 2)
    assert plan.models[1].basis == "recorded"
    assert plan.seconds_of(plan.models[1]) == 0
    # Another seed, another DE list and a run that starts from nothing share no record with it.
    for change in ({"seed": 1}, {"de_list": "top_non_zero_de_20"}, {"resume": False}):
        assert planned(toy, tmp_path, **change).n_recorded == 0


def test_the_folds_of_a_plan_are_those_of_the_run(toy: Path, tmp_path: Path) -> None:
    found = dg.bench(
        str(toy), ["perturbed_mean"], folds=2, metrics=["mse"], results=tmp_path, progress=False
    )
    held_out = [len(record.metrics[0].values) for record in found.records]
    assert [fold.n_test for fold in planned(toy, tmp_path).folds] == held_out


def test_gradient_steps_follow_from_the_train_cells(toy: Path, tmp_path: Path) -> None:
    from dygenept.model.overrides import Overrides

    sets = ("training.epochs=3", "training.steps_per_epoch=0", "training.target=cell")
    plan = planned(
        toy, tmp_path, models=("dygenept_small",), overrides=Overrides(parts={}, sets=sets)
    )
    largest = max(fold.n_train_cells for fold in plan.folds)
    assert plan.models[0].gradient_steps == 3 * -(-largest // 64)


def test_a_dense_matrix_gives_an_upper_bound_that_is_named(toy: Path, tmp_path: Path) -> None:
    import anndata

    cells = anndata.read_h5ad(toy)
    cells.X = cells.X.toarray()
    path = tmp_path / "dense.h5ad"
    cells.write_h5ad(path)
    plan = planned(path, tmp_path / "results")
    assert plan.dataset.outline.n_values == cells.n_obs * cells.n_vars
    assert plan.dataset.outline.is_bound
    assert any("upper bounds" in doubt for doubt in plan.doubts)


def test_a_plan_says_what_a_limit_on_memory_makes_of_it(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = memory.CellsSize.of(outline_file(toy))
    assert size is not None
    size = replace(size, n_tables=memory.tables_of_folds(2))
    # Room for what ridge takes by itself.
    more = 1 << 20
    assert planned(toy, tmp_path, memory=size.in_memory + more).doubts == ()
    (refused,) = planned(toy, tmp_path, memory=1 << 20).doubts
    assert refused.startswith("The run would be refused: toy needs ")
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    (kept,) = planned(toy, tmp_path, memory=size.streamed + more).doubts
    assert "cells are kept in a temporary file" in kept
    monkeypatch.undo()
    fits_take_most(monkeypatch)
    (too_much,) = planned(toy, tmp_path, memory=size.in_memory).doubts
    assert too_much.startswith("ridge would be refused under --memory")


def fits_take_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reading and testing a toy take next to nothing, so that a fit exceeds both."""
    monkeypatch.setattr(memory, "READING_PEAK", 1.0)
    for name in ("MERGED_BYTES", "SORTING_BYTES", "CONTROL_BYTES"):
        monkeypatch.setattr(memory, name, 0)


def test_a_registered_screen_is_planned_from_what_the_registry_says(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "datasets:\n  screen: {source: file, path: absent.h5ad, n_cells: 2500000, "
        "n_genes: 18000, n_perturbations: 10000, n_values: 450000000, n_controls: 100000}\n"
    )
    request = BenchRequest(dataset="screen", results=tmp_path / "results", models=MODELS)
    plan = plan_bench(request, Environment.load((registry,), data_dir=tmp_path))
    assert plan.size is not None
    assert plan.size.matrix_bytes == 450_000_000 * 8 + 2_500_001 * 4
    assert not plan.are_folds_cut
    assert any("not on disk" in doubt for doubt in plan.doubts)


def test_a_count_that_nobody_says_is_named(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "datasets:\n  screen: {source: file, path: absent.h5ad, n_cells: 250, n_genes: 180}\n"
    )
    request = BenchRequest(dataset="screen", results=tmp_path / "results", models=MODELS)
    plan = plan_bench(request, Environment.load((registry,), data_dir=tmp_path))
    assert plan.size is None
    assert any("how many perturbations there are" in doubt for doubt in plan.doubts)


def test_a_plan_says_that_its_executor_would_be_refused(toy: Path, tmp_path: Path) -> None:
    (doubt,) = planned(toy, tmp_path, ranks=2).doubts
    assert doubt.startswith("The run would be refused: --ranks 2 needs --executor ray")
    with pytest.raises(ConfigError, match="did you mean 'process'"):
        planned(toy, tmp_path, executor="processes")
    assert planned(toy, tmp_path, jobs=3).doubts == ()


def test_a_plan_has_no_more_processes_than_jobs(toy: Path, tmp_path: Path) -> None:
    assert [planned(toy, tmp_path, jobs=jobs).n_processes for jobs in (1, 3, 100)] == [1, 3, 4]


def test_the_peak_under_a_limit_is_of_models_that_are_not_refused(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits_take_most(monkeypatch)
    plan = planned(toy, tmp_path)
    assert plan.limited_bytes is None
    mean, ridge = (model.limited_bytes for model in planned(toy, tmp_path, memory=1 << 40).models)
    assert mean is not None
    assert ridge is not None
    assert mean < ridge
    assert planned(toy, tmp_path, memory=ridge).limited_bytes == ridge
    assert planned(toy, tmp_path, memory=ridge - 1).limited_bytes == mean
    assert planned(toy, tmp_path, memory=1).limited_bytes is None


def test_larger_folds_and_several_cell_types_take_more_tables(toy: Path, tmp_path: Path) -> None:
    size = costs.DataSize(
        n_cells=1, n_genes=1000, n_conditions=999, n_controls=0, n_values=0, n_types=1
    )
    # A table with the row of the only cell type: 8 MB.
    usual = costs.process_bytes(size, None)
    assert costs.process_bytes(size, None, n_tables=11) - usual == 3 * 8_000_000
    typed = replace(size, n_types=2)
    assert costs.process_bytes(typed, None) - usual == 9 * 8 * 1000 * 1001 - 8 * 8_000_000
    few, many = (planned(toy, tmp_path, n_folds=folds).models[0] for folds in (5, 2))
    assert few.memory_bytes is not None
    assert many.memory_bytes is not None
    assert many.memory_bytes > few.memory_bytes


def test_texts_that_no_run_has_embedded_are_planned_once(toy: Path, tmp_path: Path) -> None:
    environment = Environment.load(cache_dir=tmp_path / "cache")
    request = BenchRequest(
        dataset=str(toy),
        results=tmp_path / "results",
        models=("perturbed_mean", "ridge_go", "knn_go"),
        n_folds=2,
        memory=1 << 40,
    )
    cold = plan_bench(request, environment)
    plain, ridge, knn = cold.models
    assert not plain.texts
    # Both read the same ones.
    assert cold.n_texts == len(ridge.texts) > 0
    assert ridge.texts == knn.texts
    assert list(tmp_path.iterdir()) == []
    genes = sorted({gene for item in read_anndata(toy).conditions for gene in item.genes})
    open_knowledge(
        "go_minilm", genes, environment=environment, runtime=environment.runtime(no_report)
    )
    warm = plan_bench(request, environment)
    assert warm.n_texts == 0
    assert cold.seconds is not None
    assert warm.seconds is not None
    embedding = MEASURED.load_s + MEASURED.embed_s * cold.n_texts
    assert cold.seconds - warm.seconds == pytest.approx(embedding)
    assert cold.memory_bytes is not None
    assert warm.memory_bytes is not None
    assert cold.memory_bytes - warm.memory_bytes == MEASURED.embed_bytes
    # With a damaged cache they are embedded again, and it stays where it is.
    (shard,) = (tmp_path / "cache" / "embeddings").glob("*/*.safetensors")
    shard.write_bytes(b"damaged")
    assert plan_bench(request, environment).n_texts == cold.n_texts
    assert shard.read_bytes() == b"damaged"
