"""Loading, splitting, means and DE lists, each beside a public peer doing the same."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import SplitSpec
from dygenept.types import PerturbationData, Pseudobulk


@pytest.mark.benchmark(group="load")
def test_read_and_check(benchmark: BenchmarkFixture, data_path: Path) -> None:
    data = benchmark(read_anndata, data_path)
    assert data.n_cells > 0


@pytest.mark.benchmark(group="load")
def test_peer_anndata_read_h5ad(benchmark: BenchmarkFixture, data_path: Path) -> None:
    adata = benchmark(anndata.read_h5ad, data_path)
    assert adata.n_obs > 0


@pytest.mark.benchmark(group="split")
@pytest.mark.parametrize(("module", "name"), [("kfold", "kfold"), ("gears", "gears_simulation")])
def test_split(benchmark: BenchmarkFixture, data: PerturbationData, module: str, name: str) -> None:
    manager = PluginManager.load([f"dygenept_plugins.splits.{module}"], entry_points=False)
    spec = manager.get(SplitSpec, name)
    splitter = spec.factory(manager.configure(spec))
    folds = benchmark(lambda: splitter.folds(data, n_folds=5, seed=42))
    assert folds


@pytest.mark.benchmark(group="means")
def test_means_of_all_conditions(benchmark: BenchmarkFixture, data: PerturbationData) -> None:
    result = benchmark(pseudobulk, data)
    assert np.isfinite(result.means).all()


@pytest.mark.benchmark(group="means")
def test_peer_loop_over_anndata_views(
    benchmark: BenchmarkFixture, data_path: Path, means: Pseudobulk
) -> None:
    adata = anndata.read_h5ad(data_path)
    labels = [name for name in adata.obs["condition"].cat.categories if name != "ctrl"]

    def loop() -> dict[str, np.ndarray]:
        return {
            name: np.asarray(adata[adata.obs["condition"] == name].X.mean(axis=0)).ravel()
            for name in labels
        }

    assert len(benchmark(loop)) == len(means.means)


@pytest.mark.benchmark(group="de")
def test_de_lists_of_all_conditions(
    benchmark: BenchmarkFixture, data: PerturbationData, means: Pseudobulk
) -> None:
    result = benchmark(de_genes, data, means)
    assert result.origin == "computed"


@pytest.mark.benchmark(group="de")
def test_peer_scipy_welch_test_a_condition(
    benchmark: BenchmarkFixture, data: PerturbationData
) -> None:
    control = data.expression[data.condition_codes < 0].toarray()

    def loop() -> int:
        n_lists = 0
        for code in range(len(data.conditions)):
            cells = data.expression[data.condition_codes == code].toarray()
            with np.errstate(invalid="ignore", divide="ignore"):
                score = stats.ttest_ind(cells, control, equal_var=False).statistic
            n_lists += len(np.argsort(-np.abs(np.nan_to_num(score)))[:20]) == 20
        return n_lists

    assert benchmark(loop) == len(data.conditions)
