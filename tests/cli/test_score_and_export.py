"""Scoring a file of predictions, and exporting kept ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata.io
import h5py
import numpy as np
import pytest

from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.plugin.environment import Environment
from dygenept.results.cell_eval import shifted
from dygenept.results.store import ResultsStore
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.testing import ToyShape, write_toy_h5ad

METRICS = ("--metric", "mse", "--metric", "pearson_delta")


@pytest.fixture(scope="module")
def computed(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a baseline and the truth, computed once."""
    folder = tmp_path_factory.mktemp("benched")
    request = BenchRequest(
        dataset=str(toy),
        models=("additive", "truth"),
        n_folds=2,
        metrics=("mse", "pearson_delta"),
        results=folder,
    )
    environment = Environment.load(data_dir=folder, cache_dir=folder)
    assert not run_bench(request, environment).failures
    return folder


@pytest.fixture
def benched(computed: Path, tmp_path: Path) -> dict[tuple[str, str], LeaderboardRow]:
    shutil.copytree(computed, tmp_path / "results")
    rows = leaderboard_rows(list(ResultsStore(computed).records()))
    return {(row.model, row.metric): row for row in rows}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "h5ad"])
def test_exported_predictions_score_as_the_model_that_made_them(
    cli, toy: Path, tmp_path: Path, benched, suffix: str
) -> None:
    path = tmp_path / f"mine.{suffix}"
    assert cli("export", "predictions", "--model", "additive", "--output", path).code == 0
    result = cli(
        *("score", "--predictions", path, "--dataset", toy, "--folds", "2", "--json", *METRICS)
    )
    assert result.code == 0, result.err
    document = result.json()
    assert document["match"]["missing_perturbations"] == []
    # The others are those that the folder had.
    assert {row["model"] for row in document["leaderboard"] if row["new"]} == {"mine"}
    for row in (row for row in document["leaderboard"] if row["new"]):
        assert row["role"] == "submitted"
        own = benched["additive", row["metric"]]
        assert row["pooled"] == pytest.approx(own.total.pooled, abs=1e-6)
        assert row["n_perturbations"] == own.total.n_perturbations
    (board,) = json.loads(cli("leaderboard", "--format", "json").out)
    assert {row["model"] for row in board["leaderboard"]} == {"additive", "truth", "mine"}


def test_a_file_that_lacks_something_is_refused_unless_it_is_filled_in(
    cli, toy: Path, tmp_path: Path, benched
) -> None:
    import polars as pl

    path = tmp_path / "some.csv"
    cli("export", "predictions", "--model", "additive", "--output", path)
    table = pl.read_csv(path)
    left_out = table["perturbation"][0]
    table[1:].drop(table.columns[-1]).write_csv(path)
    arguments = ("score", "--predictions", path, "--dataset", toy, "--folds", "2", "--name", "some")
    arguments = (*arguments, *METRICS)
    result = cli(*arguments)
    assert result.code == 2
    assert f"lacks held-out perturbation(s): 1 ({left_out}); gene(s): 1" in result.err
    assert "--fill" in result.err
    filled = cli(*arguments, "--fill", "--json")
    assert filled.code == 0, filled.err
    assert filled.json()["match"]["missing_perturbations"] == [left_out]
    records = [json.loads(item.read_text()) for item in (tmp_path / "results/runs").iterdir()]
    notes = [record["notes"] for record in records if record["model"] == "some"]
    assert all(any("filled in" in note for note in of) for of in notes)


def test_another_file_under_a_taken_name_is_a_new_version(
    cli, toy: Path, tmp_path: Path, benched
) -> None:
    import polars as pl

    path, other = tmp_path / "mine.csv", tmp_path / "other.csv"
    cli("export", "predictions", "--model", "additive", "--output", path)
    pl.read_csv(path).drop("fold").with_columns(pl.selectors.float() + 0.01).write_csv(other)
    asked = ("score", "--dataset", toy, "--folds", "2", "--metric", "mse", "--json")

    def called(file: Path, name: str) -> str:
        result = cli(*asked, "--predictions", file, "--name", name)
        assert result.code == 0, result.err
        assert ("boards call it" in result.err) == (result.json()["name"] != name)
        return result.json()["name"]

    assert [called(path, "mine"), called(other, " Mine"), called(path, "mine")] == [
        *("mine", "mine v2", "mine"),
    ]
    (board,) = json.loads(cli("leaderboard", "--format", "json").out)
    rows = {row["model"]: row for row in board["leaderboard"] if row["metric"] == "mse"}
    assert {name: row["role"] for name, row in rows.items() if "mine" in name} == {
        **{"mine": "submitted", "mine v2": "submitted"}
    }
    assert rows["mine"]["pooled"] != rows["mine v2"]["pooled"]
    # Another seed is another leaderboard, on which the name is free.
    result = cli(*asked, "--predictions", other, "--name", "mine", "--seed", "7")
    assert result.json()["name"] == "mine"


def test_a_models_own_name_cannot_be_taken(cli, toy: Path, tmp_path: Path, benched) -> None:
    path = tmp_path / "additive.csv"
    cli("export", "predictions", "--model", "additive", "--output", path)
    result = cli("score", "--predictions", path, "--dataset", toy)
    assert result.code == 2
    assert "a model of the harness is called so" in result.err


def test_cell_eval_files_keep_its_rules(cli, toy: Path, tmp_path: Path, benched) -> None:
    import anndata

    result = cli(
        *("export", "cell-eval", "--model", "truth", "--cells", toy, "--n-cells", "7"),
        *("--output", tmp_path / "ce", "--json"),
    )
    assert result.code == 0, result.err
    document = result.json()
    assert "--pert-col target_gene --control-pert non-targeting" in document["command"]
    real, predicted = (
        anndata.read_h5ad(document["real"]), anndata.read_h5ad(document["predicted"])
    )  # fmt: skip
    assert list(real.var_names) == list(predicted.var_names)
    assert real.var_names.is_unique
    assert set(real.obs["target_gene"]) == set(predicted.obs["target_gene"])
    assert "non-targeting" in set(real.obs["target_gene"])
    assert "KLF1" in set(real.obs["target_gene"])
    assert "KLF1" in real.var_names
    for adata in (real, predicted):
        assert adata.X.min() >= 0
        assert adata.X.max() < 15
    controls = [adata[adata.obs["target_gene"] == "non-targeting"].X for adata in (real, predicted)]
    assert (controls[0] != controls[1]).nnz == 0
    for label in set(real.obs["target_gene"]) - {"non-targeting"}:
        mean, made = (
            np.asarray(adata[adata.obs["target_gene"] == label].X.mean(axis=0)).ravel()
            for adata in (real, predicted)
        )
        assert np.allclose(made, mean, atol=1e-5)
        assert (predicted.obs["target_gene"] == label).sum() == 7


def test_cell_eval_files_say_where_predictions_are_without_batch_effects(
    cli, toy: Path, tmp_path: Path
) -> None:
    import anndata

    adata = anndata.read_h5ad(toy)
    adata.obs["plate"] = [f"p{row % 2}" for row in range(adata.n_obs)]
    path = tmp_path / "plates.h5ad"
    adata.write_h5ad(path)
    for flag, is_said in (("--match-batches", True), ("--no-match-batches", False)):
        results = tmp_path / flag
        asked = ("--dataset", path, "--batch-column", "plate", flag, "--results", results)
        benched = cli("bench", *asked, "--model", "additive", "--metric", "mse")
        assert benched.code == 0, benched.err
        result = cli(
            *("export", "cell-eval", "--model", "additive", "--results", results),
            *("--output", tmp_path / f"ce{flag}"),
        )
        assert result.code == 0, result.err
        said = " ".join(result.err.split())
        assert ("controls are matched by batch in these predictions" in said) is is_said


def test_pseudobulk_level_writes_one_row_a_perturbation(
    cli, toy: Path, tmp_path: Path, benched
) -> None:
    import anndata

    arguments = ("export", "cell-eval", "--model", "additive", "--output", tmp_path / "ce")
    assert cli(*arguments, "--cells", toy, "--level", "pseudobulk", "--fold", "1").code == 0
    predicted = anndata.read_h5ad(tmp_path / "ce" / "predicted.h5ad")
    counts = predicted.obs["target_gene"].value_counts().drop("non-targeting")
    assert set(counts) == {1}
    assert len(counts) == 8


def test_export_says_what_it_cannot_find(cli, toy: Path, tmp_path: Path, benched) -> None:
    output = ("--output", tmp_path / "x.csv")
    result = cli("export", "predictions", "--model", "aditive", *output)
    assert (result.code, "did you mean 'additive'" in result.err) == (2, True)
    result = cli("export", "predictions", "--model", "additive", "--fold", "9", *output)
    assert "no result of 'additive' on fold 9; folds there: 1, 2" in result.err
    away = toy.rename(toy.with_suffix(".away"))
    result = cli("export", "cell-eval", "--model", "additive", "--output", tmp_path / "ce")
    away.rename(toy)
    assert (result.code, f"was read from {toy}" in result.err) == (2, True)
    other = write_toy_h5ad(tmp_path / "other.h5ad", ToyShape(seed=9))
    result = cli(
        *("export", "cell-eval", "--model", "additive", "--cells", other),
        *("--output", tmp_path / "ce"),
    )
    assert "is not the data set that was predicted" in result.err


def test_shifted_cells_have_the_wanted_mean_and_are_never_negative() -> None:
    rng = np.random.default_rng(0)
    cells = (rng.random((9, 50)) * (rng.random((9, 50)) < 0.5)).astype(np.float32)
    mean = rng.random(50) * 2 * (rng.random(50) < 0.8)
    moved = shifted(cells, mean)
    assert moved.min() >= 0
    assert np.allclose(moved.mean(axis=0), mean, atol=1e-12)
    order = np.argsort(cells, axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(moved, order, axis=0), axis=0) >= 0).all()
    assert np.allclose(shifted(cells, cells.mean(axis=0, dtype=np.float64)), cells, atol=1e-7)


@pytest.mark.parametrize("form", ["predictions", "cell-eval"])
def test_an_export_that_ends_early_leaves_no_file(
    cli, toy: Path, tmp_path: Path, benched, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    def half(file: h5py.File, key: str, element: object) -> None:
        file["half"] = np.zeros(100)
        raise KeyboardInterrupt

    monkeypatch.setattr(anndata.io, "write_elem", half)
    output = tmp_path / ("out/mine.h5ad" if form == "predictions" else "out")
    cells = () if form == "predictions" else ("--cells", toy)
    result = cli("export", form, "--model", "additive", "--output", output, *cells)
    assert result.code == 130
    assert list((tmp_path / "out").iterdir()) == []
