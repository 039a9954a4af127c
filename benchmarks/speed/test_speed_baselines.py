"""Baselines on gene embeddings at K562 size, beside scikit-learn's estimators in the same run.

Ours choose hyper-parameters on validation (13 penalties, 10 numbers of neighbours, 55 kernels) and
fit anew; the peers are fitted once at one setting, the ridge by its own search over 13 penalties.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import BaselineSpec
from dygenept.types import Condition, DoubleArray, Perturbation, Task

pytestmark = pytest.mark.benchmark(group="baselines")

SCALE = float(os.environ.get("DYGENEPT_SPEED_SCALE", "0.05"))
N_PERTURBATIONS, N_GENES, WIDTH = max(40, int(1092 * SCALE)), max(100, int(5000 * SCALE)), 384


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, tuple[Condition, ...], Path]:
    """One of five folds with random means, and a file of random gene vectors."""
    rng = np.random.default_rng(0)
    genes = tuple(f"GENE{number}" for number in range(N_PERTURBATIONS))
    conditions = tuple(Condition(Perturbation(f"{g}+ctrl", (g,)), "K562") for g in genes)
    n_known = int(0.8 * N_PERTURBATIONS)
    n_train = int(0.9 * n_known)
    task = Task(
        dataset="random",
        is_simulated=True,
        gene_ids=tuple(f"ENSG{number}" for number in range(N_GENES)),
        gene_symbols=(*genes, *(f"OTHER{number}" for number in range(N_GENES)))[:N_GENES],
        target_genes=genes,
        cell_types=("K562",),
        control_means=rng.random((1, N_GENES)),
        train=conditions[:n_train],
        val=conditions[n_train:n_known],
        means=rng.random((n_known, N_GENES)),
        n_cells=np.full(n_known, 100, dtype=np.int32),
        de_indices=np.zeros((n_known, 20), dtype=np.int32),
    )
    path = tmp_path_factory.mktemp("vectors") / "vectors.npz"
    np.savez(path, genes=np.array(genes), embedding=rng.normal(size=(len(genes), WIDTH)))
    return task, conditions[n_known:], path


@pytest.mark.parametrize("name", ["linear", "ridge", "knn", "gp"])
def test_fit_and_predict_one_fold(
    benchmark: BenchmarkFixture, name: str, fold: tuple[Task, tuple[Condition, ...], Path]
) -> None:
    task, held_out, path = fold
    manager = PluginManager.load(load_registry().plugins, entry_points=False)
    spec = manager.get(BaselineSpec, name)

    def run() -> DoubleArray:
        model = spec.factory(spec.config.model_validate({"embedding": str(path)}))
        model.fit(task)
        return model.predict(held_out).expression

    predicted = benchmark.pedantic(run, rounds=2)
    assert predicted.shape == (len(held_out), N_GENES)


def _ridge() -> object:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=np.logspace(-3, 3, 13))


def _knn() -> object:
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(5, metric="cosine")


def _gp() -> object:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    return GaussianProcessRegressor(RBF(20.0), alpha=0.1, optimizer=None)


@pytest.mark.parametrize("make", [_ridge, _knn, _gp])
def test_peer_scikit_learn(
    benchmark: BenchmarkFixture,
    make: Callable[[], object],
    fold: tuple[Task, tuple[Condition, ...], Path],
) -> None:
    task, held_out, path = fold
    vectors = np.load(path)["embedding"]
    n_known = len(task.known)
    deltas = task.means - task.control_means

    def run() -> DoubleArray:
        estimator = make()
        estimator.fit(vectors[:n_known], deltas)  # type: ignore[attr-defined]
        predicted: DoubleArray = estimator.predict(vectors[n_known:])  # type: ignore[attr-defined]
        return predicted

    assert benchmark.pedantic(run, rounds=2).shape == (len(held_out), N_GENES)
