"""Options of baselines by flag, models that cannot run, interrupted and simultaneous benches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

SLOW = '''
"""Two baselines that take their time and log every fit."""

import hashlib
import os
import time
from pathlib import Path

from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import BaselineSpec, PluginConfig
from dygenept_plugins.baselines.means import PerturbedMean


class Slow(PerturbedMean):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def fit(self, task):
        fold = hashlib.sha256(repr(task.train).encode()).hexdigest()[:8]
        with Path(os.environ["FIT_LOG"]).open("a") as log:
            log.write(f"{self.name} {fold}\\n")
        directory = task.runtime.checkpoint_dir
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "half").write_text("done")
        time.sleep(0.15)
        assert (directory / "half").read_text() == "done"
        super().fit(task)


@hookimpl
def dygenept_baselines():
    return [
        BaselineSpec(
            name=name,
            summary="slow",
            source="test",
            factory=lambda config, name=name: Slow(name),
            closed_form=False,
        )
        for name in ("slow_one", "slow_two")
    ]
'''
UNBUILDABLE = """
from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.isolated.environment import EnvironmentSpec
from dygenept.plugin.isolated.model import IsolatedModel, IsolatedProgram
from dygenept.plugin.specs import BaselineSpec
from pathlib import Path

SCRIPT = Path(__file__).with_name("child.py")
NONE, BARE = EnvironmentSpec(python="<3.0"), EnvironmentSpec()


def program(name, environment):
    return lambda config: IsolatedModel(
        IsolatedProgram(
            name=name, environment=environment, script=SCRIPT, inputs=("means",), options={}
        )
    )


@hookimpl
def dygenept_baselines():
    return [
        BaselineSpec(
            name=name,
            summary="isolated",
            source="test",
            factory=program(name, environment),
            closed_form=False,
            environment=lambda config, environment=environment: environment,
            missing=(lambda config: "the folder weights/ is not there") if name == "bare" else None,
        )
        for name, environment in (("homeless", NONE), ("failing", BARE), ("bare", BARE))
    ]
"""


def models(*names: str) -> list[str]:
    return [item for name in names for item in ("--model", name)]


def test_a_baseline_takes_options_by_its_name_and_shows_them(cli, toy: Path) -> None:
    result = cli(
        "bench",
        *("--dataset", toy, "--folds", "2", "--json", *models("ridge", "knn", "ridge_go")),
        *("--set", "ridge.alpha=10", "--set", "knn.n_neighbors=2"),
        *("--set", "ridge_go.embedding=identity"),
    )
    assert result.code == 0, result.err
    names = {row["model"] for row in result.json()["leaderboard"]}
    assert names == {"ridge[alpha=10.0]", "knn[n_neighbors=2]", "ridge_go[embedding=identity]"}


def test_options_change_the_record_and_the_plain_model_keeps_its_own(
    cli, toy: Path, tmp_path: Path
) -> None:
    arguments = ("bench", "--dataset", toy, "--folds", "2", "--json", *models("ridge"))
    first = cli(*arguments).json()["leaderboard"]
    board = cli(*arguments, "--set", "ridge.alpha=1000").json()["leaderboard"]
    other = [row for row in board if row["new"]]
    assert [row["metric"] for row in other] == [row["metric"] for row in first]
    assert first[0]["pooled"] != other[0]["pooled"]
    assert first[0]["pooled"] in {row["pooled"] for row in board}
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/runs").iterdir()]
    assert Counter(record["model"] for record in records) == {"ridge": 2, "ridge[alpha=1000.0]": 2}
    assert all(record["chosen"]["alpha"] > 0 for record in records)


def test_options_may_stand_in_a_config_file_and_a_registry(cli, toy: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("models: {stiff: {baseline: ridge, alpha: 100}}")
    (tmp_path / "options.yaml").write_text("knn: {n_neighbors: 3}")
    result = cli(
        "bench",
        *("--dataset", toy, "--folds", "2", "--json", *models("stiff", "knn")),
        *("--registry", "mine.yaml", "--config", "options.yaml"),
    )
    assert result.code == 0, result.err
    names = {row["model"] for row in result.json()["leaderboard"]}
    assert names == {"stiff", "knn[n_neighbors=3]"}


def test_a_facet_set_and_a_file_serve_as_embedding(cli, toy: Path, tmp_path: Path) -> None:
    from dygenept.testing.toy import TOY_TARGETS

    rows = [f"{gene},{number},{number % 3}" for number, gene in enumerate(TOY_TARGETS)]
    (tmp_path / "vectors.csv").write_text("\n".join(["gene,a,b", *rows]))
    result = cli(
        "bench",
        *("--dataset", toy, "--folds", "2", "--json", *models("ridge", "gp", "linear")),
        *("--set", "ridge.embedding=go_tfidf", "--set", "gp.embedding=vectors.csv"),
        *("--set", "linear.embedding=go_tfidf"),
    )
    assert result.code == 0, result.err
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/runs").iterdir()]
    configs = {record["base_model"]: record["config"] for record in records}
    assert configs["ridge"]["facet_set"]["encoder"] == "tfidf"
    assert len(configs["gp"]["knowledge_sha256"]) == 64
    kinds = {plugin["kind"] for r in records for plugin in r["plugins"] if r["model"][:2] == "ri"}
    assert {"facet_writers", "text_encoders"} <= kinds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ridge.alfa=1",), "did you mean 'alpha'"),
        (("ridge.alpha=-1",), "greater than 0"),
        (("rigde.alpha=1",), "did you mean 'ridge'"),
        (("knn.n_neighbors=3",), "add --model knn"),
        (("ridge.embedding=go_minlm",), "did you mean 'go_minilm'"),
        (("ridge.embedding=none.npz",), "no file none.npz"),
        (("training.lr=1",), "none is among"),
    ],
)
def test_bad_options_are_one_line_before_anything_runs(
    cli, toy: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    sets = [item for argument in arguments for item in ("--set", argument)]
    result = cli("bench", "--dataset", toy, *models("ridge"), *sets)
    assert result.code == 2
    assert message in result.err
    assert not (tmp_path / "results" / "runs").exists()


def test_models_that_cannot_run_are_left_out_and_the_rest_goes_on(
    cli, toy: Path, tmp_path: Path
) -> None:
    (tmp_path / "isolated.py").write_text(UNBUILDABLE)
    (tmp_path / "child.py").write_text("raise SystemExit('the child is unhappy')")
    arguments = (
        "bench",
        *("--dataset", toy, "--folds", "2", "--plugin", tmp_path / "isolated.py"),
        *models("homeless", "failing", "bare", "additive"),
    )
    shown = cli(*arguments)
    assert shown.code == 2
    assert "additive" in shown.out
    assert "not in this leaderboard: homeless, all 2 folds: its environment cannot" in shown.out
    assert "not in this leaderboard: failing, fold 1: failing: it ended with exit code" in shown.out
    assert "dygenept: error: 4 job(s) failed" in shown.err
    result = cli(*arguments, "--json")
    assert result.code == 2
    document = result.json()
    assert {row["model"] for row in document["leaderboard"]} == {"additive"}
    failures = document["failures"]
    assert "dygenept env build homeless" in failures["homeless, all 2 folds"]
    assert "the child is unhappy" in failures["failing, fold 2"]
    assert failures["bare, all 2 folds"] == "the folder weights/ is not there"


def asked(toy: Path) -> list[str]:
    return [
        *("bench", "--dataset", str(toy), "--folds", "3", "--plugin", "slow.py", "--quiet"),
        *models("slow_one", "slow_two", "additive"),
        "--json",
    ]


def start(toy: Path, folder: Path) -> subprocess.Popen[str]:
    (folder / "slow.py").write_text(SLOW)
    return subprocess.Popen(
        [sys.executable, "-c", "from dygenept_cli.main import run; run()", *asked(toy)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "FIT_LOG": str(folder / "fits.log"),
            "DYGENEPT_HOME": str(folder / "home"),
            "OMP_NUM_THREADS": "1",
        },
    )


def finished(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    document = json.loads(out)
    assert isinstance(document, dict)
    return document


def fits(folder: Path) -> Counter[str]:
    log = folder / "fits.log"
    return Counter(log.read_text().split("\n")[:-1]) if log.exists() else Counter()


def leftovers(folder: Path) -> list[str]:
    # Pages read the changes that are kept beside predictions.
    kept = {".json", ".parquet", ".npz", ".lock"}
    files = (
        path for path in (folder / "results").rglob("*") if path.is_file() and path.name != ".index"
    )
    return [str(path) for path in files if path.suffix not in kept]


def test_a_bench_that_is_killed_and_repeated_computes_only_what_is_missing(
    cli, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(toy, tmp_path)
    deadline = time.monotonic() + 60
    while sum(fits(tmp_path).values()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    recorded = {path.stem for path in (tmp_path / "results" / "runs").glob("*.json")}
    stamps = {
        name: (tmp_path / "results" / "runs" / f"{name}.json").stat().st_mtime_ns
        for name in recorded
    }
    texts = [(tmp_path / "results" / "runs" / f"{name}.json").read_text() for name in recorded]
    n_slow = sum(json.loads(text)["model"].startswith("slow") for text in texts)
    assert 2 <= n_slow < 6
    before = fits(tmp_path)
    monkeypatch.setenv("FIT_LOG", str(tmp_path / "fits.log"))
    repeated = cli(*asked(toy))
    assert repeated.code == 0, repeated.err
    assert sum(fits(tmp_path).values()) - sum(before.values()) == 6 - n_slow
    for name, stamp in stamps.items():
        assert (tmp_path / "results" / "runs" / f"{name}.json").stat().st_mtime_ns == stamp
    monkeypatch.setenv("FIT_LOG", str(tmp_path / "other.log"))
    whole = cli(*asked(toy), "--results", "whole")
    assert repeated.json()["leaderboard"] == whole.json()["leaderboard"]
    assert leftovers(tmp_path) == []


def test_two_benches_on_one_results_folder_share_the_work_and_corrupt_nothing(
    toy: Path, tmp_path: Path
) -> None:
    processes = [start(toy, tmp_path), start(toy, tmp_path)]
    first, second = (finished(process) for process in processes)
    assert first == second
    assert first["failures"] == {}
    assert len(fits(tmp_path)) == 6
    assert set(fits(tmp_path).values()) == {1}
    assert len(list((tmp_path / "results" / "runs").glob("*.json"))) == 9
    assert leftovers(tmp_path) == []
    assert not any((tmp_path / "results" / "checkpoints").iterdir())
