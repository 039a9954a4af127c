"""``dygenept env`` with a plugin whose environment needs no package."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

PLUGIN = """
from pathlib import Path

from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.isolated.environment import EnvironmentSpec
from dygenept.plugin.isolated.model import IsolatedModel, IsolatedProgram
from dygenept.plugin.specs import BaselineSpec

ENVIRONMENT = EnvironmentSpec()


@hookimpl
def dygenept_baselines():
    program = IsolatedProgram(
        name="alone", environment=ENVIRONMENT, script=Path(__file__), options={}
    )
    return [
        BaselineSpec(
            name="alone",
            summary="isolated",
            source="test",
            factory=lambda config: IsolatedModel(program),
            environment=lambda config: ENVIRONMENT,
        )
    ]
"""


@pytest.fixture
def plugin(tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path / "own_home"))
    path = tmp_path / "alone.py"
    path.write_text(PLUGIN)
    return path


def test_an_environment_is_listed_built_and_removed(cli, plugin: Path) -> None:
    def listed() -> dict[str, dict[str, object]]:
        document = cli("env", "list", "--plugin", plugin, "--json").json()
        assert document["schema_version"] == 1
        return {str(row["plugin"]): row for row in document["environments"]}  # type: ignore[attr-defined]

    before = listed()
    assert {"gears", "scgpt_finetune", "alone"} <= set(before)
    assert not any(row["is_built"] for row in before.values())
    built = cli("env", "build", "alone", "--plugin", plugin, "--json")
    assert built.code == 0, built.err
    (row,) = built.json()["environments"]  # type: ignore[misc]
    assert listed()["alone"] == row
    assert Path(str(row["path"])).is_dir()
    assert "alone" in cli("env", "list", "--plugin", plugin).out
    # Without the plugin nobody asks for it any more, and it can still be removed by name.
    orphans = cli("env", "list", "--json").json()["environments"]
    assert [item["plugin"] for item in orphans if item["is_built"]] == [None]  # type: ignore[attr-defined]
    removed = cli("env", "remove", row["environment"], "--json").json()
    assert removed["removed"] == [row["environment"]]
    assert not Path(str(row["path"])).exists()


def test_all_environments_are_removed_at_once(cli, plugin: Path) -> None:
    cli("env", "build", "alone", "--plugin", plugin)
    assert "removed 1 environment" in cli("env", "remove", "--all").err
    assert "removed 0 environment" in cli("env", "remove", "--all").err


def test_removing_all_takes_along_what_killed_builds_left_and_spares_a_running_one(
    cli, plugin: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own_home" / "environments"
    for name in (".0123.dead", ".4567.alive"):
        (folder / name / "bin").mkdir(parents=True)
    with FileLock(folder / ".4567.lock"):
        assert cli("env", "remove", "--all").code == 0
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [".4567.alive"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "gaers"), "did you mean 'gears'"),
        (("build", "ridge"), "'ridge' is not an isolated baseline"),
        (("remove", "gears"), "no environment 'gears' is built"),
        (("remove",), "--all"),
    ],
)
def test_bad_names_are_one_line_and_exit_code_2(
    cli, plugin: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("env", *arguments)
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize("named", ["alone", None])
def test_a_broken_environment_is_listed_and_can_be_removed(
    cli, plugin: Path, named: str | None
) -> None:
    (row,) = cli("env", "build", "alone", "--plugin", plugin, "--json").json()["environments"]
    path = Path(row["path"])
    for python in path.glob("bin/python*"):
        python.unlink()
    rows = cli("env", "list", "--plugin", plugin, "--json").json()["environments"]
    (shown,) = [item for item in rows if item["plugin"] == "alone"]
    assert not shown["is_built"]
    assert shown["problem"].startswith("broken: ")
    assert "broken" in cli("env", "list").out
    given = (named, "--plugin", plugin) if named else ("--all",)
    assert cli("env", "remove", *given, "--json").json()["removed"] == [path.name]
    assert not path.exists()


COUNTS = """
import json
from pathlib import Path

import csv

task = json.loads(Path("task.json").read_text())
genes = task["gene_ids"]
with open("predictions.csv", "w", newline="") as stream:
    rows = csv.writer(stream)
    rows.writerow(["perturbation", "cell_type", *genes])
    for asked in task["predict"]:
        rows.writerow([asked["perturbation"], asked["cell_type"], *[VALUE] * len(genes)])
"""


def test_a_script_that_was_edited_is_run_again(cli, plugin: Path, toy: Path) -> None:
    script = plugin.with_name("child.py")
    body = PLUGIN.replace("script=Path(__file__)", f"script=Path({str(script)!r})")
    plugin.write_text(body.replace("options={}", "options={}, inputs=('means',)"))

    def mean() -> float:
        bench = ("bench", "--dataset", toy, "--folds", "2", "--metric", "mse", "--model", "alone")
        done = cli(*bench, "--plugin", plugin, "--json")
        assert done.code == 0, done.err
        (row,) = done.json()["leaderboard"]
        return float(row["mean"])

    script.write_text(COUNTS.replace("VALUE", "0.5"))
    first = mean()
    assert mean() == first
    script.write_text(COUNTS.replace("VALUE", "1.5"))
    assert mean() != first
