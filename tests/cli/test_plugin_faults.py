"""Plugins whose own code fails: the fault is named, and the other models of a bench go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dygenept.errors import DygeneptError
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import BenchDefaults, Registry
from dygenept.runs.default_models import default_models

BASELINES = """
import os

import numpy as np

from dygenept.errors import DygeneptError
from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import BaselineSpec
from dygenept.types import Predictions

print("imported")


class Control:
    def __init__(self, config):
        pass

    def fit(self, task):
        print("fitting")
        self.control = {name: task.control_mean(name).copy() for name in task.cell_types}

    def predict(self, conditions):
        rows = np.stack([self.control[item.cell_type] for item in conditions])
        return Predictions(tuple(conditions), rows)


class FailsToBuild(Control):
    def __init__(self, config):
        raise ValueError("no such shape")


class FailsToFit(Control):
    def fit(self, task):
        import no_such_package


class FailsToPredict(Control):
    def predict(self, conditions):
        return {}["key"]


class Leaves(Control):
    def fit(self, task):
        raise SystemExit(7)


class OwnError(DygeneptError):
    def __init__(self, what, where):
        super().__init__(f"{what} at {where}")


class RaisesItsOwn(Control):
    def fit(self, task):
        raise OwnError("trouble", "home")


class Dies(Control):
    def fit(self, task):
        os._exit(9)


class PredictsNothing(Control):
    def predict(self, conditions):
        return None


class PredictsLists(Control):
    def predict(self, conditions):
        return Predictions(tuple(conditions), [[1.0]] * len(conditions))


class PredictsObjects(Control):
    def predict(self, conditions):
        made = super().predict(conditions)
        return Predictions(made.conditions, made.expression.astype(object))


class Overwrites(Control):
    def fit(self, task):
        super().fit(task)
        task.means[:] = 0
        task.control_means[:] = 0


CLASSES = {
    "control": Control,
    "fails_to_build": FailsToBuild,
    "fails_to_fit": FailsToFit,
    "fails_to_predict": FailsToPredict,
    "leaves": Leaves,
    "raises_its_own": RaisesItsOwn,
    "dies": Dies,
    "predicts_nothing": PredictsNothing,
    "predicts_lists": PredictsLists,
    "predicts_objects": PredictsObjects,
    "overwrites": Overwrites,
}


@hookimpl
def dygenept_baselines():
    made = [
        BaselineSpec(
            name=name, summary="A test's.", source="this test", factory=of, closed_form=False
        )
        for name, of in CLASSES.items()
    ]
    needy = BaselineSpec(
        name="needy",
        summary="A test's.",
        source="this test",
        factory=Control,
        closed_form=False,
        requires=("no-such-distribution>=1",),
    )
    return [*made, needy]
"""
METRIC = """
from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import MetricSpec
from dygenept.types import MetricValues


def build(config):
    def overwriting(inputs):
        inputs.truth[:] = 0
        return MetricValues(inputs.truth.mean(axis=1))

    return overwriting


@hookimpl
def dygenept_metrics():
    return [
        MetricSpec(
            name="overwriting",
            summary="A test's.",
            source="this test",
            factory=build,
            higher_is_better=True,
        )
    ]
"""
FAULTS = {
    "fails_to_build": "fit raised ValueError: no such shape",
    "fails_to_fit": "fit raised ModuleNotFoundError: No module named 'no_such_package'",
    "fails_to_predict": "predict raised KeyError: 'key'",
    "leaves": "fit raised SystemExit: 7",
    "predicts_nothing": "predict must return Predictions(conditions, expression), got NoneType",
    "predicts_lists": "predictions must be a numpy array, got list",
    "predicts_objects": "predictions must be numbers, float64, got object",
    "needy": "pip install 'no-such-distribution>=1'",
}
Bench = Callable[..., Any]


@pytest.fixture
def bench(cli: Any, toy: Path, tmp_path: Path) -> Bench:
    """Run a bench with the plugins of this file; ``models`` are names."""
    baselines, metric = tmp_path / "faulty.py", tmp_path / "overwriting.py"
    baselines.write_text(BASELINES)
    metric.write_text(METRIC)

    def call(*arguments: str, models: tuple[str, ...]) -> Any:
        named = [part for name in models for part in ("--model", name)]
        plugins = ("--plugin", str(baselines), "--plugin", str(metric))
        options = ("--dataset", toy, "--folds", "2", "--quiet", "--json")
        return cli("bench", *options, *plugins, *named, *arguments)

    return call


# As many at a time as are named; the rest would be counted.
@pytest.mark.parametrize("first", range(0, len(FAULTS), 4))
def test_a_model_whose_code_fails_is_named_and_the_others_go_on(bench: Bench, first: int) -> None:
    faults = dict(list(FAULTS.items())[first : first + 4])
    done = bench("--metric", "mse", models=(*faults, "control", "perturbed_mean"))
    assert done.code == 2
    assert {row["model"] for row in done.json()["leaderboard"]} == {"control", "perturbed_mean"}
    told = done.err.splitlines()[-1]
    for name, fault in faults.items():
        assert name in told
        assert fault in told
    assert "Traceback" not in done.err


def test_a_worker_process_that_fails_or_dies_takes_its_own_job_along(bench: Bench) -> None:
    models = ("leaves", "dies", "raises_its_own", "control")
    done = bench("--metric", "mse", "--jobs", "2", models=models)
    assert done.code == 2
    (row,) = done.json()["leaderboard"]
    assert (row["model"], row["n_folds"]) == ("control", 2)
    for told in (
        "leaves: fit raised SystemExit: 7",
        "the process that ran dies, fold 2, ended without an answer",
        "raises_its_own, fold 1 and raises_its_own, fold 2: trouble at home",
    ):
        assert told in done.err


def test_debug_shows_where_a_model_failed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DygeneptError, match="no such shape"):
        bench("--metric", "mse", "--debug", models=("fails_to_build", "control"))
    assert 'raise ValueError("no such shape")' in caplog.text


def test_a_model_that_writes_into_its_task_is_held_against_the_same_reference(
    bench: Bench,
) -> None:
    done = bench("--metric", "pearson_delta_perturbed_ref", models=("control", "overwrites"))
    assert done.code == 0
    own, overwritten = (
        [row["mean"] for row in done.json()["leaderboard"] if row["model"] == name]
        for name in ("control", "overwrites")
    )
    assert own == overwritten


def test_a_metric_that_writes_into_what_all_metrics_see_is_named(bench: Bench) -> None:
    done = bench("--metric", "overwriting", "--metric", "mse", models=("control",))
    assert done.code == 2
    assert "metric 'overwriting' raised ValueError: assignment destination is read-only" in done.err


def test_what_a_plugin_prints_is_no_verdict_of_its_check(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(BASELINES)
    done = cli("plugins", "check", "baselines/control", "--plugin", path, "--json")
    assert [check["plugin"] for check in done.json()["checks"]] == ["baselines/control"]
    assert "fitting" in done.err


def test_a_plugin_that_ends_the_process_fails_its_check(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(BASELINES)
    done = cli("plugins", "check", "leaves", "--plugin", path)
    assert done.code == 2
    assert "failed  baselines/leaves: raised SystemExit: 7" in done.out


def test_a_baseline_that_cannot_run_with_its_defaults_is_left_out_where_none_is_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(
        BASELINES.replace("closed_form=False,\n        requires", "requires").replace(
            "    return [*made, needy]",
            "    from dygenept.plugin.specs import PluginConfig\n\n"
            "    class Needs(PluginConfig):\n"
            "        depth: int\n\n"
            "    strict = BaselineSpec(\n"
            "        name='strict', summary='A', source='a', factory=Control, config=Needs\n"
            "    )\n"
            "    plain = BaselineSpec(name='plain', summary='A', source='a', factory=Control)\n"
            "    return [*made, needy, strict, plain]",
        )
    )
    manager = PluginManager.load(files=(path,), entry_points=False)
    registry = Registry(defaults=BenchDefaults(model="control"))
    choice = default_models(Environment(registry=registry, manager=manager))
    assert choice.models == ("plain", "control")
    assert "without needy: needy needs what is not installed: pip install" in choice.reason
    assert "without strict: baselines.strict.depth must be given" in choice.reason
