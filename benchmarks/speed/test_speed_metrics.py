"""All metrics over all conditions at once, beside a loop with scipy and beside cell-eval.

``DYGENEPT_CELL_EVAL_PYTHON`` names the interpreter of an environment with cell-eval 0.8.2; the
comparison is skipped without it. At full size (``DYGENEPT_SPEED_SCALE=1``) it is on 200
perturbations × 25 cells × 2,000 genes, where cell-eval's full profile takes about half a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats
from scipy.spatial.distance import cdist

from dygenept.data.de.lists import de_genes
from dygenept.data.de.tests import de_tests
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated.profiles import PROFILES, SimulationProfile
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.scoring import score
from dygenept.plugin.interfaces import Metric
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import MetricSpec
from dygenept.types import (
    Condition,
    DeGenes,
    DeTests,
    MetricInputs,
    Perturbation,
    PerturbationData,
    Pseudobulk,
)

pytestmark = pytest.mark.benchmark(group="metrics")

IS_FULL = float(os.environ.get("DYGENEPT_SPEED_SCALE", "0.01")) >= 1
N_PERTURBATIONS, N_GENES = (1_092, 5_000) if IS_FULL else (80, 300)
# All metrics take at most so many times as long as scipy takes for one of their distance matrices.
MOST_TIMES = 3.0
TIMES_FASTER = 20
SAME = ("mse", "pearson_delta", "perturbation_discrimination", "de_overlap")


@pytest.fixture(scope="module")
def inputs(data: PerturbationData, means: Pseudobulk, de: DeGenes) -> MetricInputs:
    rng = np.random.default_rng(0)
    return inputs_of(data, means, de, rng)


def inputs_of(
    data: PerturbationData, means: Pseudobulk, de: DeGenes, rng: np.random.Generator
) -> MetricInputs:
    types = [data.cell_types.index(condition.cell_type) for condition in data.conditions]
    return MetricInputs(
        conditions=data.conditions,
        predicted=means.means + rng.normal(0, 0.05, means.means.shape),
        truth=means.means,
        control=means.control_means[types],
        perturbed_mean=np.broadcast_to(means.means.mean(axis=0), means.means.shape),
        de_indices=de.indices,
        gene_symbols=data.gene_symbols,
    )


def every_metric() -> list[tuple[MetricSpec, Metric]]:
    manager = PluginManager.load(load_registry().plugins, entry_points=False)
    return [(spec, spec.factory(manager.configure(spec))) for spec in manager.specs(MetricSpec)]


def test_every_metric(benchmark: BenchmarkFixture, inputs: MetricInputs) -> None:
    metrics = every_metric()
    scores = benchmark(lambda: score(metrics, inputs))
    assert len(scores) == len(metrics) * len(inputs.conditions)


def test_peer_scipy_pearson_a_condition(benchmark: BenchmarkFixture, inputs: MetricInputs) -> None:
    def loop() -> list[float]:
        values = []
        for row in range(len(inputs.conditions)):
            truth = inputs.truth[row] - inputs.control[row]
            predicted = inputs.predicted[row] - inputs.control[row]
            top = inputs.de_indices[row][inputs.de_indices[row] >= 0]
            values.append(stats.pearsonr(predicted, truth).statistic)
            values.append(stats.pearsonr(predicted[top], truth[top]).statistic)
            values.append(float(np.mean((inputs.predicted[row] - inputs.truth[row]) ** 2)))
        return values

    assert np.isfinite(benchmark(loop)).all()


def test_every_pseudobulk_metric_of_many_perturbations(benchmark: BenchmarkFixture) -> None:
    rng = np.random.default_rng(0)
    size = (N_PERTURBATIONS, N_GENES)
    control = np.broadcast_to(rng.exponential(size=N_GENES), size)
    truth = control + rng.normal(0, 0.2, size)
    inputs = MetricInputs(
        conditions=tuple(
            Condition(Perturbation(f"G{row}+ctrl", (f"G{row}",)), "cell") for row in range(size[0])
        ),
        predicted=truth + rng.normal(0, 0.2, size),
        truth=truth,
        control=control,
        perturbed_mean=np.broadcast_to(truth.mean(axis=0), size),
        de_indices=np.argsort(-np.abs(truth - control), axis=1)[:, :20].astype(np.int32),
        gene_symbols=tuple(f"G{column}" for column in range(N_GENES)),
        de_tests=DeTests(np.abs(truth - control) > 0.4, rng.normal(size=size)),
        control_halves=np.stack([control + 0.01, control - 0.01]),
        single_deltas=(None,) * size[0],
    )
    metrics = [
        pair
        for pair in every_metric()
        if not (pair[0].uses_cells or pair[0].uses_predicted_cells or pair[0].uses_spread)
    ]
    started = time.perf_counter()
    scores = benchmark.pedantic(score, args=(metrics, inputs), rounds=1)
    seconds = time.perf_counter() - started
    assert len(scores) == len(metrics) * N_PERTURBATIONS
    of_pairs = {spec.name for spec, _ in metrics if spec.uses_singles}
    assert all((item.value is None) == (item.metric in of_pairs) for item in scores)
    print(f"\n{len(metrics)} metrics of {size}: {seconds:.2f} s")  # noqa: T201
    started = time.perf_counter()
    cdist(inputs.predicted, inputs.truth, "cityblock")
    times = seconds / (time.perf_counter() - started)
    print(f"{times:.1f} × one L1 distance matrix by scipy")  # noqa: T201
    if IS_FULL:
        assert times < MOST_TIMES


def score_file(file: Path, names: tuple[str, ...]) -> tuple[float, int]:
    """Score noisy predictions of all conditions of a file; return seconds without reading."""
    data = read_anndata(file)
    chosen = [pair for pair in every_metric() if not names or pair[0].name in names]
    started = time.perf_counter()
    means = pseudobulk(data)
    inputs = inputs_of(data, means, de_genes(data, means), np.random.default_rng(0))
    inputs = replace(
        inputs,
        de_tests=de_tests(data, means),
        cells=cell_samples(data, means, seed=0) if not names else None,
    )
    scores = score(chosen, inputs)
    return time.perf_counter() - started, len(scores)


def write_cell_eval_files(file: Path, folder: Path) -> tuple[Path, Path]:
    """Write real cells, and as many predicted ones: control cells and a noisy delta."""
    adata = anndata.read_h5ad(file)
    data = read_anndata(file)
    means = pseudobulk(data)
    rng = np.random.default_rng(0)
    predicted = means.means + rng.normal(0, 0.05, means.means.shape)
    codes = data.condition_codes
    names = np.array([*(item.label for item in data.conditions), "ctrl"])[codes]
    cells = adata.X.toarray().astype(np.float32)
    controls = np.flatnonzero(codes < 0)
    moved = cells[rng.choice(controls, len(cells))] + (predicted - means.control_means[0])[codes]
    moved[controls] = cells[controls]
    paths = (folder / "real.h5ad", folder / "predicted.h5ad")
    for path, values in zip(paths, (cells, np.maximum(moved, 0.0)), strict=True):
        frame = pd.DataFrame({"target": names}, index=adata.obs_names)
        genes = pd.DataFrame(index=adata.var_names)
        anndata.AnnData(values.astype(np.float32), obs=frame, var=genes).write_h5ad(path)
    return paths


def test_the_same_metrics_beside_cell_eval(
    benchmark: BenchmarkFixture,
    tmp_path: Path,
    write_shape: Callable[[SimulationProfile, Path], None],
) -> None:
    python = os.environ.get("DYGENEPT_CELL_EVAL_PYTHON")
    if not python:
        pytest.skip("DYGENEPT_CELL_EVAL_PYTHON names no interpreter with cell-eval 0.8.2")
    n_singles, n_genes = (200, 2_000) if IS_FULL else (20, 200)
    file = tmp_path / "cells.h5ad"
    shape = replace(
        PROFILES["k562"],
        n_cells=25 * n_singles + 500,
        n_genes=n_genes,
        n_controls=500,
        n_singles=n_singles,
    )
    write_shape(shape, file)
    real, predicted = write_cell_eval_files(file, tmp_path)
    same, n_scores = benchmark.pedantic(score_file, args=(file, SAME), rounds=1)
    every, _ = score_file(file, ())
    done = subprocess.run(
        [python, Path(__file__).with_name("cell_eval_metrics.py"), real, predicted, tmp_path],
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    peer = json.loads(done.stdout.strip().splitlines()[-1])
    ratios = {"same": peer["same_s"] / same, "full": peer["full_s"] / every}
    benchmark.extra_info.update({"cell_eval": peer, "times_faster": ratios})
    print(  # noqa: T201
        f"\nours {same:.2f} s for {n_scores} scores of {len(SAME)} metrics, {every:.2f} s for all "
        f"metrics; cell-eval {peer}; {ratios} × faster"
    )
    if IS_FULL:
        assert ratios["same"] >= TIMES_FASTER
