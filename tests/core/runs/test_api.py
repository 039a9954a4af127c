from __future__ import annotations

import contextlib
import doctest
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest

import dygenept as dg
from dygenept.errors import ConfigError, DataError, ResultsError
from dygenept.model.assembly_text import AssemblyText
from dygenept.runs import api
from dygenept.testing import write_toy_h5ad
from dygenept.types import Condition, PerturbationData, Predictions, Task
from dygenept_cli.main import run
from dygenept_plugins.baselines.ridge import RidgeConfig

# The share of every model that was fitted, in order.
FITS: list[float] = []


class Scaled:
    """The mean of the train perturbations, some way from control."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def fit(self, task: Task) -> None:
        FITS.append(self.share)
        self.control = {name: task.control_mean(name) for name in task.cell_types}
        self.mean = task.means.mean(axis=0)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        rows = [
            self.control[asked.cell_type] + self.share * (self.mean - self.control[asked.cell_type])
            for asked in conditions
        ]
        return Predictions(tuple(conditions), np.array(rows))


class WithArray(Scaled):
    """What JSON cannot say cannot be recognised in a results folder."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = np.ones(2)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("toy") / "toy.h5ad"
    write_toy_h5ad(target)
    return target


@pytest.fixture(scope="module")
def data(path: Path) -> PerturbationData:
    return dg.load_dataset(path)


def quick(data: object, models: object, **given: object) -> dg.BenchResult:
    asked = {"folds": 2, "metrics": ["mse"], "progress": False, **given}
    return dg.bench(data, models, **asked)  # type: ignore[arg-type]


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Run the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["dygenept", *words])
    with contextlib.suppress(SystemExit):
        run()


def test_the_examples_in_the_docstrings_run() -> None:
    found = doctest.testmod(api, optionflags=doctest.ELLIPSIS)
    assert found.attempted >= 8
    assert found.failed == 0


def test_the_import_loads_nothing_heavy() -> None:
    heavy = "'torch', 'numpy', 'pandas', 'polars', 'pydantic', 'scipy', 'anndata', 'rich'"
    code = f"import sys, dygenept as dg; print(sorted({{{heavy}}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", dg.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(dg, name).__doc__
    assert name in dir(dg)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'benchmark'"):
        dg.benchmark  # noqa: B018


def test_the_board_is_that_of_the_command_line(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = dg.bench(path, ["perturbed_mean", "additive"], folds=2, progress=False)
    models = ("--model", "perturbed_mean", "--model", "additive", "--folds", "2")
    where = ("--results", str(tmp_path / "results"), "--json", "-q")
    command(monkeypatch, "bench", "--dataset", str(path), *models, *where)
    rows = json.loads(capsys.readouterr().out)["leaderboard"]
    key = ["metric", "model"]
    told = pl.DataFrame(rows, infer_schema_length=None).drop("new").sort(key)
    ours = result.leaderboard().select(told.columns).sort(key)
    assert ours.equals(told)


def test_a_file_and_its_object_are_the_same_data_set(path: Path, data: PerturbationData) -> None:
    adata = anndata.read_h5ad(path)
    before = adata.obs.copy()
    read = dg.load_dataset(adata, name="mine")
    assert (read.sha256, read.name) == (data.sha256, "mine")
    pd.testing.assert_frame_equal(adata.obs, before)


def test_columns_controls_and_layers_are_found_under_other_names(path: Path) -> None:
    adata = anndata.read_h5ad(path)
    labels = adata.obs["condition"].astype(str)
    adata.obs["target"] = labels.replace({"ctrl": "AAVS1"})
    adata.obs["line"] = adata.obs["cell_type"]
    adata.layers["dense"] = adata.X.toarray()
    adata.var["short"] = adata.var["gene_name"]
    adata.X = None
    other = adata.copy()
    other.obs = other.obs.drop(columns=["condition", "cell_type"])
    other.var = other.var.drop(columns=["gene_name"])
    names = {"condition": "target", "control": "AAVS1", "cell_type": "line"}
    read = dg.load_dataset(other, layer="dense", gene_symbols="short", **names)
    assert read.sha256 == dg.load_dataset(path).sha256


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"condition": "conditions"}, "did you mean 'condition'"),
        ({"control": "controls"}, "no cell has the control label 'controls'"),
        ({"drop": "doublets"}, "no cell has the label 'doublets' to drop"),
        ({"match_batches": True}, "--batch-column"),
        ({"layer": "counts"}, "no layer 'counts'"),
        ({"gene_symbols": "gene_nam"}, "did you mean 'gene_name'"),
    ],
)
def test_a_slip_in_a_name_is_answered_with_the_nearest(
    path: Path, layout: dict[str, str | bool], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        dg.load_dataset(anndata.read_h5ad(path), **layout)  # type: ignore[arg-type]


def test_a_part_of_a_mapping_of_another_kind_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="match_batches must be True or False, got 'yes'"):
        dg.load_dataset(path, match_batches="yes")
    with pytest.raises(ConfigError, match="drop must be a label or several, got True"):
        dg.load_dataset(path, drop=True)


def test_a_file_that_cannot_be_read_is_named_whether_columns_are_mapped_or_not(
    path: Path, tmp_path: Path
) -> None:
    text, cut = tmp_path / "text.h5ad", tmp_path / "cut.h5ad"
    text.write_text("not cells")
    cut.write_bytes(path.read_bytes()[:20_000])
    for wrong in (text, cut, tmp_path / "absent.h5ad", tmp_path):
        for layout in ({}, {"cell_type": "cell_type"}):
            with pytest.raises(DataError, match=str(wrong)):
                dg.load_dataset(wrong, **layout)  # type: ignore[arg-type]


def test_an_unknown_option_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown option 'kondition'"):
        dg.load_dataset(path, kondition="x")


def test_models_are_names_configurations_objects_and_classes(data: PerturbationData) -> None:
    models = {"half": Scaled(0.5), "weak ridge": RidgeConfig(alpha=0.01), "whole": Scaled}
    result = quick(data, models)
    assert not result.failures
    assert set(result.leaderboard()["model"]) == {"half", "weak ridge", "whole"}
    mean = quick(data, "perturbed_mean").leaderboard("mse")["pooled"][0]
    (whole,) = result.leaderboard("mse").filter(pl.col("model") == "whole")["pooled"]
    assert whole == pytest.approx(mean)


def test_an_assembly_of_parts_is_a_model(data: PerturbationData) -> None:
    text = AssemblyText.model_validate(
        {
            "width": 8,
            "facets": "identity",
            "cell_encoder": {"name": "none"},
            "attention": {"name": "mean"},
            "decoder": {"name": "linear"},
            "training": {"epochs": 1, "steps_per_epoch": 1},
        }
    )
    assert set(quick(data, {"tiny": text}).leaderboard()["model"]) == {"tiny"}


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([3], "int is not a model"),
        ({"other": "ridge"}, "cannot be shown as 'other'"),
        ([Scaled(), Scaled(0.5)], "two models are called 'Scaled'"),
    ],
)
def test_what_is_not_a_model_is_refused(
    data: PerturbationData, models: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        quick(data, models)


def test_each_fold_fits_a_copy_of_an_object(data: PerturbationData) -> None:
    model = Scaled()
    quick(data, [model])
    assert not hasattr(model, "mean")


def test_an_object_is_recognised_by_its_code_and_by_what_it_was_made_with(
    data: PerturbationData, tmp_path: Path
) -> None:
    def n_fits(model: object) -> int:
        before = len(FITS)
        quick(data, {"mine": model}, results=tmp_path)
        return len(FITS) - before

    assert n_fits(Scaled(0.5)) == 2
    assert n_fits(Scaled(0.5)) == 0
    assert n_fits(Scaled(0.25)) == 2
    assert n_fits(WithArray()) == 2
    assert n_fits(WithArray()) == 2


def test_an_object_that_closes_over_something_else_is_fitted_again(
    data: PerturbationData, tmp_path: Path
) -> None:
    def closing_over(share: float) -> Scaled:
        class Local(Scaled):
            def fit(self, task: Task) -> None:
                super().fit(task)
                self.share = share

        return Local()

    def score_of(share: float) -> float:
        board = quick(data, {"mine": closing_over(share)}, results=tmp_path).leaderboard()
        return float(board["mean"][0])

    assert score_of(1.0) == score_of(1.0)
    assert score_of(1.0) != score_of(0.0)


def test_an_object_that_cannot_be_copied_is_told(data: PerturbationData) -> None:
    model = Scaled()
    model.share = threading.Lock()  # type: ignore[assignment]
    result = quick(data, {"locked": model, "mean": Scaled()})
    assert len(result.failures) == 2
    assert all("the Scaled cannot be copied" in reason for reason in result.failures.values())


def test_a_temporary_results_folder_vanishes_with_the_result(data: PerturbationData) -> None:
    result = quick(data, "perturbed_mean")
    folder = result.results
    assert folder.is_dir()
    del result
    assert not folder.exists()


def test_a_failure_is_told_and_the_others_are_there(data: PerturbationData) -> None:
    class Broken(Scaled):
        def predict(self, conditions: Sequence[Condition]) -> Predictions:
            raise ValueError("no idea")

    result = quick(data, {"broken": Broken(), "mean": Scaled()})
    assert set(result.leaderboard()["model"]) == {"mean"}
    assert len(result.failures) == 2
    assert all("no idea" in reason for reason in result.failures.values())
    assert "2 failed" in repr(result)
    assert "no idea" in result._repr_html_()


def test_where_every_job_failed_the_reason_is_told(data: PerturbationData, tmp_path: Path) -> None:
    class Broken(Scaled):
        def predict(self, conditions: Sequence[Condition]) -> Predictions:
            raise ValueError("no idea")

    result = quick(data, {"broken": Broken()})
    for ask in (
        result.leaderboard,
        result.to_pandas,
        result.plot,
        lambda: result.compare("broken", "mean"),
        lambda: result.save_html(tmp_path / "page.html"),
    ):
        with pytest.raises(ResultsError, match=r"no job finished.*no idea.*\(2 failed\)"):
            ask()
    assert "no idea" in result._repr_html_()


def test_what_is_neither_data_nor_predictions_is_refused(data: PerturbationData) -> None:
    with pytest.raises(DataError, match="the data set is a ndarray; give a name, a path"):
        dg.bench(np.zeros((3, 3)), ["perturbed_mean"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the data set is a list"):
        dg.load_dataset([1, 2])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="predictions are a ndarray; give a path"):
        dg.score(np.zeros((3, 3)), data)  # type: ignore[arg-type]


def test_results_come_as_tables_and_pages(data: PerturbationData, tmp_path: Path) -> None:
    result = quick(data, ["perturbed_mean", "control_mean"], metrics=["mse", "pearson_delta"])
    scores = result.per_perturbation("mse")
    (mean,) = result.leaderboard("mse").filter(pl.col("model") == "control_mean")["pooled"]
    ours = scores.filter(pl.col("model") == "control_mean")
    assert ours["value"].mean() == pytest.approx(mean)
    assert ours["fold"].unique().sort().to_list() == [1, 2]
    undefined = result.per_perturbation("pearson_delta").filter(pl.col("value").is_null())
    assert undefined["reason"].null_count() == 0
    assert len(undefined) > 0
    compared = result.compare("perturbed_mean", "control_mean", metrics=["mse"])
    assert compared["other"].to_list() == ["control_mean"]
    assert result.leaderboard().to_pandas().shape == result.to_pandas().shape
    assert "control_mean" in result.save_html(tmp_path / "board.html").read_text()
    assert "<table" in result._repr_html_()


def test_predictions_are_scored_from_tables_objects_and_files(
    data: PerturbationData, tmp_path: Path
) -> None:
    labels = [condition.label for condition in data.conditions]
    values = np.full((len(labels), len(data.gene_ids)), 0.25)
    wide = pl.DataFrame({"perturbation": labels, **dict(zip(data.gene_ids, values.T, strict=True))})
    wide.write_csv(tmp_path / "mine.csv")
    frame = pd.DataFrame(values, index=labels, columns=list(data.gene_ids))
    obs = pd.DataFrame({"perturbation": labels}, index=[str(i) for i in range(len(labels))])
    var = pd.DataFrame(index=list(data.gene_ids))
    adata = anndata.AnnData(values, obs=obs, var=var)
    scores = [
        dg.score(form, data, name="flat", folds=2, metrics=["mse"], progress=False)
        .per_perturbation()["value"]
        .to_list()
        for form in (wide, tmp_path / "mine.csv", frame, adata)
    ]
    assert len(scores[0]) == len(labels)
    for other in scores[1:]:
        assert other == pytest.approx(scores[0])


@pytest.mark.usefixtures("few_tuning_steps")
def test_a_trained_model_predicts_as_anndata(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    options = ["facets=identity", "training.epochs=1", "training.steps_per_epoch=1"]
    sets = [word for option in options for word in ("--set", option)]
    where = ("--model", "dygenept_small", "--folds", "2", "--output", str(folder))
    command(monkeypatch, "train", "--dataset", str(path), "-q", *where, *sets)
    model = dg.load_model(folder, device="cpu")
    gene = dg.load_dataset(path).conditions[0].genes[0]
    predicted = model.predict([gene])
    assert predicted.obs["perturbation"].to_list()[0] == f"{gene}+ctrl"
    np.testing.assert_allclose(
        predicted.X, predicted.layers["control"] + predicted.layers["delta"], rtol=1e-6
    )
    assert "dygenept_small" in repr(model)


def test_knowledge_is_precomputed(tmp_path: Path) -> None:
    genes = ["KLF1", "MAPK1", "CEBPA", "GATA1"]
    done = dg.precompute(tmp_path, genes, encoder="tfidf", progress=False)
    assert [step.status for step in done] == ["done"] * len(done)
    assert (tmp_path / "knowledge.safetensors").is_file()
    again = dg.precompute(tmp_path, genes, encoder="tfidf", progress=False)
    assert {step.status for step in again} == {"kept"}


def test_a_model_whose_predictions_break_the_contract_fails_its_job(
    data: PerturbationData,
) -> None:
    class Bare(Scaled):
        def predict(self, conditions: Sequence[Condition]) -> Predictions:
            return np.zeros(3)  # type: ignore[return-value]

    failures = quick(data, [Bare()]).failures
    assert all("Predictions" in reason for reason in failures.values())
