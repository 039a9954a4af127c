from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dygenept.machine import places
from dygenept.machine.whole_files import replaced_whole
from dygenept.results import store

BASELINES = ("control_mean", "perturbed_mean", "matching_mean", "additive")
FIELDS = {
    "model",
    "metric",
    "mean",
    "std",
    "stderr",
    "pooled",
    "ci_low",
    "ci_high",
    "n_folds",
    "n_perturbations",
    "n_undefined",
    "rank",
}
SMALL = (
    "--model",
    "dygenept_small",
    "--facets",
    "go_tfidf",
    "--set",
    "training.epochs=1",
    "--set",
    "training.steps_per_epoch=2",
    "--set",
    "training.warm_start=false",
)


def models(*names: str) -> list[str]:
    return [item for name in names for item in ("--model", name)]


def test_bench_json_has_the_fields_of_the_contract(cli, toy: Path) -> None:
    result = cli("bench", "--dataset", toy, "--folds", "3", *models(*BASELINES), "--json")
    assert result.code == 0, result.err
    document = result.json()
    assert document["schema_version"] == 1
    assert set(document["dataset"]) >= {"name", "sha256", "n_cells", "n_genes", "n_perturbations"}
    assert set(document["split"]) == {"name", "n_folds", "seed", "sha256"}
    assert document["split"]["name"] == "kfold"
    assert (document["split"]["n_folds"], document["split"]["seed"]) == (3, 42)
    assert document["dataset"]["simulated"] is True
    for row in document["leaderboard"]:
        assert set(row) >= FIELDS
        assert row["n_folds"] == 3
        assert row["n_perturbations"] == document["dataset"]["n_perturbations"]
    assert {row["model"] for row in document["leaderboard"]} == set(BASELINES)
    results = Path(str(document["results_dir"]))
    manifest = json.loads((results / "splits" / f"{document['split']['sha256']}.json").read_text())
    assert set(manifest) == {"algorithm", "version", "seed", "dataset_sha256", "folds"}
    tested = [label for fold in manifest["folds"] for label in fold["test"]]
    assert len(tested) == len(set(tested)) == document["dataset"]["n_perturbations"]


def test_a_table_is_labelled_simulated_and_names_the_models(cli, toy: Path) -> None:
    result = cli("bench", "--dataset", toy, "--folds", "2", *models("truth", "control_mean"))
    assert result.code == 0, result.err
    assert "SIMULATED" in result.out
    assert "truth (ceiling)" in result.out
    assert "control_mean" in result.out


def test_truth_wins_every_metric_and_shuffled_does_not_beat_the_mean(cli, toy: Path) -> None:
    document = cli(
        "bench",
        *("--dataset", toy, "--folds", "3", "--json"),
        *models("truth", "technical_duplicate", "shuffled", "perturbed_mean", "additive"),
    ).json()
    rows = {(row["model"], row["metric"]): row for row in document["leaderboard"]}
    for metric in {metric for _, metric in rows}:
        assert rows["truth", metric]["rank"] == 1
        shuffled, mean = rows["shuffled", metric], rows["perturbed_mean", metric]
        if mean["n_undefined"] == mean["n_perturbations"]:
            # The metric's own reference: neutral by definition, with no interval of its own, so
            # the noise is all in what it is compared with.
            assert metric == "pearson_delta_perturbed_ref"
            assert mean["pooled"] == 0.0
            assert shuffled["ci_low"] <= mean["pooled"]
        elif shuffled["higher_is_better"]:
            assert shuffled["pooled"] <= mean["ci_high"]
        else:
            assert shuffled["pooled"] >= mean["ci_low"]


def test_a_second_run_computes_nothing_and_prints_the_same(cli, toy: Path, tmp_path: Path) -> None:
    arguments = ("bench", "--dataset", toy, "--folds", "2", *models("additive"), "--json")
    first = cli(*arguments)
    runs = {path: path.stat().st_mtime_ns for path in (tmp_path / "results/runs").iterdir()}
    assert "recorded already" not in first.err
    second = cli(*arguments)
    assert second.out == first.out
    assert "2 of 2 finished job(s) were recorded already in results;" in second.err
    assert {path: path.stat().st_mtime_ns for path in runs} == runs
    cli(*arguments, "--no-resume")
    assert any(path.stat().st_mtime_ns != stamp for path, stamp in runs.items())


def test_only_the_missing_job_is_computed_again(cli, toy: Path, tmp_path: Path) -> None:
    arguments = ("bench", "--dataset", toy, "--folds", "3", *models("additive"), "--json")
    first = cli(*arguments)
    runs = sorted((tmp_path / "results/runs").iterdir())
    kept = {path: path.stat().st_mtime_ns for path in runs[1:]}
    runs[0].unlink()
    again = cli(*arguments)
    assert again.out == first.out
    assert "2 of 3 finished job(s) were recorded already in results;" in again.err
    assert runs[0].exists()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_metric_asked_for_later_is_scored_from_kept_predictions(
    cli, toy: Path, tmp_path: Path
) -> None:
    arguments = ("bench", "--dataset", toy, "--folds", "2", *models("additive"), "--json")
    cli(*arguments, "--metric", "mse")
    predictions = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "results/predictions").iterdir()
    }
    document = cli(*arguments).json()
    assert {row["metric"] for row in document["leaderboard"]} >= {"mse", "pearson_delta"}
    assert {path: path.stat().st_mtime_ns for path in predictions} == predictions


def test_an_assembled_model_runs_and_its_swapped_parts_show(cli, toy: Path) -> None:
    result = cli(
        "bench",
        *("--dataset", toy, "--folds", "2", "--json", *SMALL),
        *("--attention", "softmax", "--cell-encoder", "none", "--decoder", "linear"),
    )
    assert result.code == 0, result.err
    (name,) = {row["model"] for row in result.json()["leaderboard"]}
    assert name.startswith("dygenept_small[attention=softmax,cell_encoder=none,decoder=linear,")
    assert "facets=go_tfidf" in name


def test_processes_give_what_one_process_gives(cli, toy: Path) -> None:
    arguments = ("bench", "--dataset", toy, "--folds", "2", *models("additive", "random_train"))
    inline = cli(*arguments, "--json", "--results", "one").json()
    spread = cli(*arguments, "--json", "--results", "two", "--jobs", "2").json()
    assert spread["leaderboard"] == inline["leaderboard"]


def test_a_saved_manifest_can_be_given_as_split(cli, toy: Path, tmp_path: Path) -> None:
    arguments = ("bench", "--dataset", toy, *models("additive"), "--json")
    first = cli(*arguments, "--folds", "2").json()
    manifest = tmp_path / "results" / "splits" / f"{first['split']['sha256']}.json"
    second = cli(*arguments, "--split", manifest).json()
    assert [row["pooled"] for row in second["leaderboard"]] == [
        row["pooled"] for row in first["leaderboard"]
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "k563"), "did you mean 'k562'"),
        (("--dataset", "nothing.h5ad"), "nothing.h5ad"),
        (("--dataset", "TOY", "--model", "aditive"), "did you mean 'additive'"),
        (("--dataset", "TOY", "--split", "kfol"), "did you mean 'kfold'"),
        (("--dataset", "TOY", "--metric", "mze"), "did you mean 'mse'"),
        (("--dataset", "TOY", *SMALL, "--attention", "sparsmax"), "did you mean 'sparsemax'"),
        (("--dataset", "TOY", *SMALL, "--set", "training.epoch=2"), "did you mean 'epochs'"),
        (("--dataset", "TOY", *SMALL, "--facets", "go_minlm"), "did you mean 'go_minilm'"),
        (("--dataset", "TOY", "--model", "additive", "--set", "training.lr=1"), "none is among"),
        (("--dataset", "TOY", "--model", "additive", "--folds", "99"), "--folds"),
        (("--dataset", "TOY", "--model", "additive", "--device", "gpu"), "unknown device"),
        (("--dataset", "TOY", "--model", "additive", "--executor", "slurm"), "unknown executor"),
        (("--dataset", "TOY", "--de-list", "top_20"), "top_non_dropout_de_20"),
        (("--suite", "quik"), "did you mean 'quick'"),
        ((), "--dataset NAME|FILE"),
        (("--dataset", "TOY", "--model", "dygenept"), "dygenept_small"),
        (("--dataset", "TOY", "--plugin", "none.py"), "none.py"),
        (("--dataset", "TOY", "--registry", "none.yaml"), "none.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    cli, toy: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("bench", *(str(toy) if item == "TOY" else item for item in arguments))
    assert result.code == 2
    lines = [line for line in result.err.splitlines() if line.startswith("dygenept: error:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in result.err
    assert result.out == ""
    assert not (tmp_path / "results" / "runs").exists()


def test_without_a_model_the_choice_is_explained(cli, toy: Path) -> None:
    result = cli(
        "bench",
        *("--dataset", toy, "--folds", "2", "--json", *SMALL[2:]),
    )
    assert result.code == 0, result.err
    assert "closed-form baselines and dygenept_small, because dygenept lacks" in result.err
    names = {row["model"].split("[")[0] for row in result.json()["leaderboard"]}
    assert names >= {*BASELINES, "linear_loo", "dygenept_small"}


def test_debug_shows_a_traceback(cli, tmp_path: Path) -> None:
    from dygenept.errors import DygeneptError

    with pytest.raises(DygeneptError):
        cli("bench", "--dataset", "k563", "--debug")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['dygenept', '--help']\n"
        "from dygenept_cli.main import run\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'anndata', 'polars', 'sklearn', 'transformers',"
        " 'scipy', 'pydantic', 'pluggy', 'omegaconf', 'httpx2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert result.stdout.splitlines()[-1] == "[]"
    assert "bench" in result.stdout


def test_a_target_without_knowledge_is_a_note_and_stops_nothing(cli, tmp_path: Path) -> None:
    import anndata

    from dygenept.testing import write_toy_h5ad

    adata = anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad"))
    labels = adata.obs["condition"].astype(str)
    adata.obs["condition"] = labels.str.replace("SLC2A1", "NOSUCHGENE")
    adata.write_h5ad(tmp_path / "strange.h5ad")
    result = cli("bench", "--dataset", tmp_path / "strange.h5ad", "--folds", "2", *SMALL)
    assert result.code == 0, result.err
    assert "NOSUCHGENE" in result.err
    assert "no known facet" in result.err


def test_an_unknown_executor_is_refused_before_anything_is_written(cli, toy: Path) -> None:
    result = cli("bench", "--dataset", toy, *models("control_mean"), "--executor", "inlin")
    assert result.code == 2
    assert "did you mean 'inline'" in result.err
    assert not Path("results").exists()


def test_the_choice_of_models_is_told_once_the_data_are_accepted(cli, toy: Path) -> None:
    refused = cli("bench", "--dataset", "nroman")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "did you mean 'norman'" in refused.err


def test_the_command_that_shows_results_again_names_their_folder(cli, toy: Path) -> None:
    asked = ("--dataset", toy, "--folds", "2", *models("control_mean"), "--results", "mine")
    assert "`dygenept leaderboard --results mine`" in cli("bench", *asked).err


@pytest.mark.parametrize(
    "command",
    [
        ("bench", "--model", "control_mean", "--results"),
        ("train", "--model", "dygenept_small", "--output"),
        ("score", "--predictions", "taken", "--results"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    cli, toy: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "taken").touch()
    result = cli(*command, "taken/folder", "--dataset", toy)
    assert result.code == 2
    assert result.err == (
        f"dygenept: error: cannot write into taken/folder: {tmp_path / 'taken'} is a file; "
        "name another folder\n"
    )


def test_what_the_system_refuses_is_one_line(cli) -> None:
    result = cli("plugins", "new", "metrics", "mine", "--output", "/dev/full")
    assert result.code == 2
    assert result.err.startswith("dygenept: error: /dev/full: No space left on device")
    assert result.err.count("\n") == 1
    with pytest.raises(OSError, match="No space left"):
        cli("plugins", "new", "metrics", "mine", "--output", "/dev/full", "--debug")


def test_a_missing_file_of_labels_is_told_before_the_data_are_read(cli) -> None:
    result = cli("bench", "--dataset", "sim:rpe1", "--split", "labels.json")
    assert result.code == 2
    assert "no file labels.json; give --split a JSON file" in result.err
    assert not Path("data").exists()


def test_a_folder_that_can_only_be_read_serves_what_is_recorded(
    cli, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("bench", "--dataset", toy, "--folds", "2", "--json", "--model")
    first = cli(*asked, "additive")
    assert first.code == 0, first.err
    monkeypatch.setattr(places.os, "access", lambda path, mode: not mode & os.W_OK)
    again = cli(*asked, "additive")
    assert again.code == 0, again.err
    assert again.json()["leaderboard"] == first.json()["leaderboard"]
    both = cli(*asked, "additive", "--model", "perturbed_mean")
    assert both.code == 2
    assert {row["model"] for row in both.json()["leaderboard"]} == {"additive"}
    assert "2 job(s) failed: perturbed_mean, fold 1 and perturbed_mean, fold 2" in both.err
    assert "is not writable; name another folder" in both.err


def test_a_job_that_cannot_be_written_fails_and_the_others_go_on(
    cli, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refuse(path: Path, *, flush: bool = False) -> Iterator[Path]:
        if path.suffix == ".parquet":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        with replaced_whole(path, flush=flush) as temporary:
            yield temporary

    monkeypatch.setattr(store, "replaced_whole", refuse)
    asked = ("bench", "--dataset", toy, "--folds", "2", "--model", "additive")
    result = cli(*asked)
    assert result.code == 2
    assert "2 job(s) failed" in result.err
    assert "No space left on device" in result.err
    assert "Traceback" not in result.err
    assert not list(Path("results/runs").glob("*"))
    assert cli(*asked, "--drop-predictions").code == 0


def test_a_lone_model_is_shown_among_those_that_the_folder_has(cli, toy: Path) -> None:
    asked = ("bench", "--dataset", toy, "--folds", "2")
    (first,) = {
        row["new"] for row in cli(*asked, *models("additive"), "--json").json()["leaderboard"]
    }
    assert first is True
    document = cli(*asked, *models("control_mean"), "--json").json()
    new = {row["model"]: row["new"] for row in document["leaderboard"]}
    assert new == {"additive": False, "control_mean": True}
    ranks = {row["rank"] for row in document["leaderboard"] if row["metric"] == "mse"}
    assert ranks == {1, 2}
    shown = cli(*asked, *models("control_mean")).out
    assert "control_mean (new)" in shown
    assert "additive (new)" not in shown
    assert "(new)" not in cli(*asked, *models("control_mean", "additive")).out
