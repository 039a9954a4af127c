"""Ways into a limit on memory: scores of a file, dense and backed cells, a run that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest

import dygenept as dg
from dygenept.data import memory
from dygenept.data.reading import in_memory
from dygenept.data.reading.stored_cells import StoredCells
from dygenept.plugin.environment import Environment
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.runs.score import SubmissionRequest, score_submission
from dygenept.testing import ToyShape, write_toy_h5ad
from dygenept.types import no_report

MODELS = ("perturbed_mean", "additive", "ridge", "technical_duplicate")
METRICS = ("mse", "pearson_delta", "centroid_accuracy", "de_overlap", "energy_distance")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that all tests only read."""
    folder = tmp_path_factory.mktemp("cells")
    return write_toy_h5ad(folder / "toy.h5ad", ToyShape(n_cell_types=2))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.load(cache_dir=tmp_path / "cache")


@pytest.fixture(scope="module")
def held(path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, ...]:
    """Records of a bench of the file without a limit, which all others are compared with."""
    folder = tmp_path_factory.mktemp("held")
    environment = Environment.load(cache_dir=folder / "cache")
    return run_bench(request_of(path, folder / "results"), environment).records


def limited(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a limit under which cells and tables are in files."""
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    for name in ("PARTS", "COLUMN_PARTS", "OF_TYPES", "RESIDENT"):
        monkeypatch.setattr(memory, name, 0)
    limit = memory.CellsSize.of_data(dg.load_dataset(path)).bounded
    assert dg.load_dataset(path, memory=limit).tables is not None
    return limit


def seen(records: tuple[RunRecord, ...]) -> list[object]:
    return [
        (record.model, record.fold, record.metrics, record.effects, record.n_de_genes)
        for record in sorted(records, key=lambda record: (record.model, record.fold))
    ]


def request_of(path: Path, results: Path, limit: int | None = None) -> BenchRequest:
    return BenchRequest(
        dataset=str(path),
        results=results,
        models=MODELS,
        metrics=METRICS,
        n_folds=2,
        memory=limit,
    )


def test_scores_of_a_file_are_those_without_a_limit(
    path: Path, tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dg.load_dataset(path)
    rng = np.random.default_rng(0)
    obs = {
        "perturbation": [condition.label for condition in data.conditions],
        "cell_type": [condition.cell_type for condition in data.conditions],
    }
    submitted = anndata.AnnData(rng.random((len(data.conditions), data.n_genes)), obs=obs)
    submitted.obs_names = [str(row) for row in range(len(submitted))]
    submitted.var_names = list(data.gene_ids)
    submitted.write_h5ad(tmp_path / "mine.h5ad")
    submission = SubmissionRequest(path=tmp_path / "mine.h5ad", name="mine")

    def scored(folder: str, limit: int | None) -> list[object]:
        request = request_of(path, tmp_path / folder, limit)
        return seen(
            score_submission(submission, request, environment, report=no_report).outcome.records
        )

    held = scored("held", None)
    assert len(held) == 2
    assert scored("limited", limited(path, monkeypatch)) == held


def test_dense_cells_are_streamed(
    path: Path,
    held: tuple[RunRecord, ...],
    tmp_path: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cells = anndata.read_h5ad(path)
    cells.X = cells.X.toarray()
    dense = tmp_path / "dense" / "toy.h5ad"
    dense.parent.mkdir()
    cells.write_h5ad(dense)
    limited(path, monkeypatch)
    size = memory.CellsSize.of_data(dg.load_dataset(dense))
    # Its zeros cannot be counted beforehand.
    limit = replace(size, n_values=size.n_cells * size.n_genes).bounded
    assert isinstance(dg.load_dataset(dense, memory=limit).expression, StoredCells)
    found = run_bench(request_of(dense, tmp_path / "dense-results", limit), environment)
    assert not found.failures
    assert seen(found.records) == seen(held)


@pytest.mark.parametrize("is_limited", [False, True])
@pytest.mark.parametrize("backed", [None, "r"])
def test_an_object_gives_the_scores_of_its_file(
    backed: str | None,
    is_limited: bool,
    path: Path,
    held: tuple[RunRecord, ...],
    tmp_path: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adata = anndata.read_h5ad(path, backed=backed)
    limit = 1 << 30
    if is_limited:
        limit = limited(path, monkeypatch) + in_memory.held_bytes(adata)
        opened = dg.load_dataset(adata, memory=limit, environment=environment)
        assert isinstance(opened.expression, StoredCells)
        assert opened.tables == environment.cache_dir / "scratch"
    found = dg.bench(
        adata,
        list(MODELS),
        metrics=METRICS,
        folds=2,
        memory=limit,
        environment=environment,
        progress=False,
    )
    if backed:
        adata.file.close()
    assert not found.failures
    assert seen(found.records) == seen(held)


@pytest.mark.skipif(os.name != "posix", reason="open files are handed to processes")
@pytest.mark.parametrize("backed", [None, "r"])
def test_cells_in_a_file_are_handed_to_the_processes_that_run_jobs(
    backed: str | None,
    path: Path,
    tmp_path: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = replace(request_of(path, tmp_path / "held"), models=MODELS[:2], metrics=METRICS[:3])
    few = run_bench(request, environment).records
    adata = anndata.read_h5ad(path, backed=backed)
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    opened = dg.load_dataset(adata, memory=1 << 32, environment=environment)
    assert isinstance(opened.expression, StoredCells)
    for name, data in (("object", adata), ("opened", opened)):
        found = dg.bench(
            data,
            list(MODELS[:2]),
            metrics=METRICS[:3],
            folds=2,
            memory=1 << 32,
            jobs=2,
            results=tmp_path / name,
            environment=environment,
            progress=False,
        )
        assert not found.failures
        assert seen(found.records) == seen(few)
    if backed:
        adata.file.close()


RUN = """
import sys
from pathlib import Path
from dygenept.data import memory
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench

memory.READING_PEAK = 1e12
for name in ("PARTS", "COLUMN_PARTS", "OF_TYPES", "RESIDENT"):
    setattr(memory, name, 0)
dataset, results, cache, limit = sys.argv[1:5]
models, metrics = (text.split(",") for text in sys.argv[5:])
run_bench(
    BenchRequest(
        dataset=dataset, results=Path(results), models=tuple(models), metrics=tuple(metrics),
        n_folds=2, memory=int(limit),
    ),
    Environment.load(cache_dir=Path(cache)),
)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_run_that_is_killed_under_a_limit_goes_on(
    path: Path,
    held: tuple[RunRecord, ...],
    tmp_path: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = limited(path, monkeypatch)
    store = ResultsStore(tmp_path / "results")
    given = [path, store.directory, environment.cache_dir, limit]
    given += [",".join(MODELS), ",".join(METRICS)]
    with subprocess.Popen([sys.executable, "-c", RUN, *map(str, given)]) as process:
        runs = store.directory / "runs"
        end = time.monotonic() + 120
        while not any(runs.glob("*.json")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.001)
        process.kill()
    before = {record.key: record.created for record in store.records()}
    assert 0 < len(before) < len(held)
    # Nothing is left of the files that it kept cells and tables in.
    assert list((environment.cache_dir / "scratch").iterdir()) == []
    found = run_bench(request_of(path, store.directory, limit), environment)
    assert not found.failures
    assert seen(found.records) == seen(held)
    after = {record.key: record.created for record in found.records}
    assert before.items() <= after.items()
