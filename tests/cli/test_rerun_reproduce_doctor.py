"""Running a record again, comparing with a paper, explaining, and a look at the machine."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.testing import write_toy_h5ad

SMALL = (
    *("--model", "dygenept_small", "--facets", "go_tfidf", "--cell-encoder", "none"),
    *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=2"),
    *("--set", "training.warm_start=false"),
)


def records(folder: Path) -> dict[str, Path]:
    found = {}
    for path in (folder / "runs").iterdir():
        record = json.loads(path.read_text())
        found[f"{record['model'].split('[')[0]} {record['fold']}"] = path
    return found


@pytest.fixture(scope="module")
def benched(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two baselines, computed once."""
    folder = tmp_path_factory.mktemp("benched")
    request = BenchRequest(
        dataset=str(toy),
        models=("additive", "random_train"),
        n_folds=2,
        metrics=("mse", "pearson_delta"),
        results=folder,
    )
    environment = Environment.load(data_dir=folder, cache_dir=folder)
    assert not run_bench(request, environment).failures
    return folder


@pytest.fixture
def results(benched: Path, tmp_path: Path) -> dict[str, Path]:
    shutil.copytree(benched, tmp_path / "results")
    return records(tmp_path / "results")


@pytest.mark.parametrize("job", ["additive 1", "random_train 0"])
def test_a_recorded_baseline_gives_the_same_metrics_again(
    cli, toy: Path, results, job: str
) -> None:
    before = {path: path.read_bytes() for path in results.values()}
    result = cli("rerun", results[job], "--dataset", toy, "--json")
    assert result.code == 0, result.err
    document = result.json()
    assert document["agrees"] is True
    assert [item["metric"] for item in document["metrics"]] == ["mse", "pearson_delta"]
    assert all(item["largest"] == 0.0 for item in document["metrics"])
    assert {path: path.read_bytes() for path in results.values()} == before


def test_a_recorded_assembly_gives_the_same_metrics_again(cli, toy: Path, tmp_path: Path) -> None:
    metrics = ("--metric", "mse", "--metric", "pearson_delta")
    outcome = cli("bench", "--dataset", toy, "--folds", "2", *SMALL, *metrics, "--json")
    assert outcome.code == 0, outcome.err
    path = records(tmp_path / "results")["dygenept_small 0"]
    result = cli("rerun", path, "--dataset", toy, "--json")
    assert result.code == 0, result.err
    assert all(item["largest"] == 0.0 for item in result.json()["metrics"])


def test_a_record_that_was_altered_does_not_agree(cli, toy: Path, results) -> None:
    path = results["additive 0"]
    record = json.loads(path.read_text())
    metric = record["metrics"][0]
    metric["values"][0]["value"] += 0.01
    path.write_text(json.dumps(record))
    result = cli("rerun", path, "--dataset", toy, "--json")
    assert result.code == 1
    verdicts = {item["metric"]: item["agrees"] for item in result.json()["metrics"]}
    assert [name for name, agrees in verdicts.items() if not agrees] == ["mse"]
    assert "differs" in cli("rerun", path, "--dataset", toy).out


def test_rerun_says_that_other_code_or_several_processes_trained_the_recorded_model(
    cli, toy: Path, results
) -> None:
    path = results["additive 0"]
    record = json.loads(path.read_text())
    record["chosen"] = {"trained_in_processes.1": 2, "trained_in_processes.2": 2}
    now = record["code"]["sha256"][:12]
    record["code"] = {"version": "0.0.9", "sha256": "1" * 64, "commit": None, "dirty": None}
    path.write_text(json.dumps(record))
    changed = cli("rerun", path, "--dataset", toy, "--json").json()["changed"]
    assert changed == [
        f"code: dygenept 0.0.9, code 111111111111 then, {now} now",
        "processes that trained it: 2 then, 1 now; each draws dropout of its own",
    ]


def test_rerun_refuses_other_data_and_other_files(cli, tmp_path: Path, toy: Path, results) -> None:
    import anndata

    adata = anndata.read_h5ad(toy)
    adata[1:].write_h5ad(tmp_path / "other.h5ad")
    result = cli("rerun", results["additive 0"], "--dataset", tmp_path / "other.h5ad")
    assert (result.code, "is not the data set of this record" in result.err) == (2, True)
    assert "no file" in cli("rerun", tmp_path / "none.json").err


def test_reproduce_names_the_files_that_are_missing(cli) -> None:
    result = cli("reproduce", "langpert", "--json")
    assert result.code == 2
    document = json.loads(result.out)
    assert document["matches"] is None
    assert [item["dataset"] for item in document["missing"]] == ["k562", "rpe1"]
    assert "replogle_k562_essential" in document["missing"][0]["path"]
    assert "dygenept data fetch k562 rpe1" in result.err
    assert "did you mean 'langpert'" in cli("reproduce", "langprt").err


def test_reproduce_compares_what_is_on_disk(cli, tmp_path: Path) -> None:
    import anndata

    for name in ("replogle_k562_essential", "replogle_rpe1_essential"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        path = write_toy_h5ad(folder / "perturb_processed.h5ad")
        adata = anndata.read_h5ad(path)
        adata.uns.pop("dygenept")
        adata.write_h5ad(path)
    result = cli("reproduce", "langpert", "--json")
    assert result.code == 1, result.err
    document = result.json()
    assert document["missing"] == []
    assert document["matches"] is False
    published = {
        (item["dataset"], item["metric"]): item["published"] for item in document["comparisons"]
    }
    assert published == {
        ("replogle_k562_essential", "mae_top20"): 0.332,
        ("replogle_k562_essential", "mse_top20"): 0.176,
        ("replogle_k562_essential", "pearson_delta_top20"): 0.671,
        ("replogle_rpe1_essential", "mae_top20"): 0.434,
        ("replogle_rpe1_essential", "mse_top20"): 0.308,
        ("replogle_rpe1_essential", "pearson_delta_top20"): 0.743,
    }
    assert all(item["model"] == "perturbed_mean" for item in document["comparisons"])
    assert all(item["ours"] is not None for item in document["comparisons"])
    assert "does not match" in cli("reproduce", "langpert").out


def test_reproduce_compares_nothing_with_simulated_cells(cli, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "replogle_k562_essential"
    folder.mkdir(parents=True)
    write_toy_h5ad(folder / "perturb_processed.h5ad")
    result = cli("reproduce", "langpert", "--json")
    assert json.loads(result.out)["comparisons"] == []


def test_explain_shows_the_facets_of_each_gene(cli, toy: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    trained = cli("train", "--dataset", toy, "--folds", "2", *SMALL, "--output", model)
    assert trained.code == 0, trained.err
    arguments = ("explain", "--checkpoint", model, "--perturbation", "KLF1+NOSUCHGENE")
    result = cli(*arguments, "--json")
    assert result.code == 0, result.err
    known, unknown = result.json()["explanations"]
    assert (known["gene"], known["is_known"]) == ("KLF1", True)
    assert len(known["facets"]) == 8
    assert sum(item["weight"] for item in known["facets"]) == pytest.approx(1.0, abs=1e-5)
    assert all(item["weight"] == 0 for item in known["facets"] if item["confidence"] == 0)
    assert (unknown["gene"], unknown["is_known"]) == ("NOSUCHGENE", False)
    assert not any(item["weight"] for item in unknown["facets"])
    contribution = result.json()["contribution"]
    assert 0 <= contribution["prediction_moved_by_cells"] <= 1
    assert 0 <= contribution["attention_moved_by_cells"] <= 1
    shown = cli(*arguments)
    assert "Transcriptional Regulation" in shown.out
    assert "of the attention moves with the cell's state" in shown.err
    assert "nothing is known of NOSUCHGENE" in shown.err


def test_doctor_finds_no_problem_here_and_stays_off_the_network(
    cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    def refused(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was tried")

    monkeypatch.setattr(httpx2, "head", refused)
    result = cli("doctor", "--json")
    document = result.json()
    areas = {check["area"] for check in document["checks"]}
    assert areas == {"python", "packages", "device", "plugins", "data", "cache", "models"}
    problems = [check for check in document["checks"] if check["status"] == "problem"]
    assert document["n_problems"] == len(problems)
    assert result.code == (1 if problems else 0)
    assert not [check for check in problems if check["area"] in ("plugins", "data", "models")]


def test_doctor_names_a_plugin_that_fails_and_a_host_that_does_not_answer(
    cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    def unreachable(*arguments: object, **options: object) -> None:
        raise httpx2.ConnectError("no route")

    monkeypatch.setattr(httpx2, "head", unreachable)
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_package\n")
    result = cli("doctor", "--plugin", broken, "--network", "--json")
    assert result.code == 1
    found = {
        check["area"]: check["detail"]
        for check in result.json()["checks"]
        if check["status"] == "problem"
    }
    assert "no_such_package" in found["plugins"]
    assert "ConnectError" in found["network"]
    assert "PROBLEM" in cli("doctor", "--plugin", broken).out


def test_ray_that_is_not_installed_is_said_plainly(
    cli, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = cli("bench", "--dataset", toy, "--model", "additive", "--executor", "ray")
    assert result.code == 2
    assert "pip install 'ray>=2.9'" in result.err


def test_a_record_of_a_file_finds_it_again_and_else_asks_where_it_is(
    cli, results, toy: Path
) -> None:
    assert cli("rerun", results["additive 1"]).code == 0
    away = toy.rename(toy.with_suffix(".away"))
    try:
        _asks_where_the_file_is(cli, results)
    finally:
        away.rename(toy)


def _asks_where_the_file_is(cli, results) -> None:
    result = cli("rerun", results["additive 1"])
    assert result.code == 2
    assert "the record is of 'toy', which is not a registered data set" in result.err
    assert "--dataset FILE" in result.err
    result = cli("export", "cell-eval", "--model", "additive", "--output", "out")
    assert result.code == 2
    assert "--cells FILE" in result.err
    assert not Path("out").exists()
