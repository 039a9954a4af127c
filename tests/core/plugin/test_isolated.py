"""Isolated models: a script in an environment of its own is a model."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from core.plugin.small_children import DOCS, MakeModel, task_in

from dygenept.plugin.isolated.environment import (
    EnvironmentSpec,
)
from dygenept.plugin.isolated.model import IsolatedModel, IsolatedProgram
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing import ConformanceError, check_baseline, check_isolated

# A whole model in the standard library: the mean of the train perturbations of each cell type.
NEAREST_MEAN = """
import csv, json
task = json.load(open("task.json"))
rows = list(csv.reader(open("means.tsv"), delimiter="\\t"))[1:]
def mean(cell_type):
    own = [[float(v) for v in row[4:]] for row in rows if row[1] == cell_type]
    return [sum(column) / len(own) for column in zip(*own)]
with open("predictions.csv", "w", newline="") as stream:
    out = csv.writer(stream)
    out.writerow(["cell_type", "perturbation", *reversed(task["gene_ids"])])
    for item in task["predict"]:
        values = mean(item["cell_type"])[::-1]
        out.writerow([item["cell_type"], item["perturbation"], *values])
open("notes.txt", "w").write(f"seed {task['seed']}\\n\\nalpha {task['options']['alpha']}\\n")
"""


def test_a_child_in_the_standard_library_is_a_model(make: MakeModel, cache: Path) -> None:
    task, held_out = task_in(cache, n_cell_types=2)
    model = make(NEAREST_MEAN, alpha=0.5)
    model.fit(task)
    predictions = model.predict(held_out)
    for row, condition in enumerate(held_out):
        own = [n for n, item in enumerate(task.known) if item.cell_type == condition.cell_type]
        np.testing.assert_allclose(
            predictions.expression[row], task.means[own].mean(axis=0), rtol=1e-6, atol=1e-6
        )
    assert model.notes == ("seed 5", "alpha 0.5")
    assert model.child is not None
    assert 0 < model.child.wall_s < 60


def test_a_given_interpreter_is_used_and_no_environment_is_built(
    tmp_path: Path, cache: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(NEAREST_MEAN)
    program = IsolatedProgram(
        name="child",
        environment=EnvironmentSpec(requirements=("no-such-package-at-all==1",)),
        script=script,
        inputs=("means",),
        options={"alpha": 0},
    )
    spec = BaselineSpec(
        name="child",
        summary="the mean of the train perturbations",
        source="test",
        factory=lambda config: IsolatedModel(program),
        environment=lambda config: program.environment,
    )
    check_isolated(spec, Path(sys.executable))
    # A child whose answer depends on how much is asked for breaks a rule.
    script.write_text(NEAREST_MEAN.replace("len(own) for", "len(task['predict']) for"))
    with pytest.raises(ConformanceError):
        check_isolated(spec, Path(sys.executable))


def test_peak_memory_is_the_childs_own_and_not_the_harness(make: MakeModel, cache: Path) -> None:
    task, held_out = task_in(cache)
    peaks = []
    for text in (NEAREST_MEAN, f"kept = bytearray(120_000_000)\n{NEAREST_MEAN}"):
        model = make(text, alpha=0)
        model.fit(task)
        model.predict(held_out)
        assert model.child is not None
        peaks.append(model.child.peak_memory_bytes)
    # This process, with numpy and pandas, takes far more than a bare Python.
    assert peaks[0] < 60_000_000
    assert 120_000_000 < peaks[1] < 200_000_000


def test_the_worked_example_of_the_docs_runs_and_keeps_the_rules(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = DOCS.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (script,) = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "awk_mean.py").write_text(code)
    (tmp_path / "awk_mean.sh").write_text(script)
    manager = PluginManager.load(files=(tmp_path / "awk_mean.py",), entry_points=False)
    spec = manager.get(BaselineSpec, "awk_mean")
    monkeypatch.setenv("DYGENEPT_HOME", str(cache))
    check_baseline(spec)
    task, held_out = task_in(cache)
    model = spec.factory(spec.config())
    model.fit(task)
    np.testing.assert_allclose(
        model.predict(held_out).expression[0], task.means.mean(axis=0), rtol=1e-4
    )
