"""Isolated models: what a child is handed, what it may leave, and how it may fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest

from dygenept.errors import ChildError, EnvironmentBuildError, PluginError
from dygenept.plugin.isolated.building import (
    build_environment,
    find_environment,
    list_environments,
    remove_environment,
)
from dygenept.plugin.isolated.environment import (
    EnvironmentSpec,
    Interpreter,
    environment_digest,
    find_interpreter,
)
from dygenept.plugin.isolated.handover import write_cells
from dygenept.plugin.isolated.model import IsolatedModel, IsolatedProgram
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing import ConformanceError, check_baseline, check_isolated
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept.types import Condition, Progress, Runtime, Task

DOCS = Path(__file__).parents[3] / "docs" / "isolated.md"
BARE = EnvironmentSpec()

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
BAD_TABLE = """
import json
task = json.load(open("task.json"))
genes, items = task["gene_ids"], task["predict"]
{change}
with open("predictions.tsv", "w") as stream:
    stream.write("\\t".join(["perturbation", *genes]) + "\\n")
    for item in items:
        stream.write("\\t".join([item["perturbation"], *[value] * len(genes)]) + "\\n")
"""

MakeModel = Callable[..., IsolatedModel]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make(tmp_path: Path) -> MakeModel:
    """Return a maker of models from the text of a script."""

    def model(text: str, *, timeout_s: float = 60.0, **options: object) -> IsolatedModel:
        script = tmp_path / "child.py"
        script.write_text(text)
        return IsolatedModel(
            IsolatedProgram(
                name="child",
                environment=BARE,
                script=script,
                inputs=("means",),
                options=options,
                timeout_s=timeout_s,
            )
        )

    return model


def task_in(
    cache: Path, checkpoints: Path | None = None, n_cell_types: int = 1
) -> tuple[Task, tuple[Condition, ...]]:
    from dataclasses import replace

    task, held_out = toy_task(toy_data(ToyShape(n_cell_types=n_cell_types)))
    runtime = Runtime(seed=5, cache_dir=cache, checkpoint_dir=checkpoints)
    return replace(task, runtime=runtime), held_out


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


def test_cells_handed_over_are_those_of_train_validation_and_control(tmp_path: Path) -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    task, held_out = toy_task(data)
    write_cells(task, tmp_path / "train.h5ad")
    cells = anndata.read_h5ad(tmp_path / "train.h5ad")
    known = {item.label for item in task.known}
    assert set(cells.obs["condition"]) == known | {"ctrl"}
    assert not {item.label for item in held_out} & set(cells.obs["condition"])
    parts = cells.obs.groupby("condition", observed=True)["part"].unique()
    assert {parts[item.label][0] for item in task.train} == {"train"}
    assert {parts[item.label][0] for item in task.val} == {"val"}
    assert cells.var["gene_name"].tolist() == list(task.gene_symbols)
    for row, item in enumerate(task.known):
        own = (cells.obs["condition"] == item.label) & (cells.obs["cell_type"] == item.cell_type)
        np.testing.assert_allclose(
            np.asarray(cells.X[np.flatnonzero(own)].mean(axis=0)).ravel(),
            task.means[row],
            atol=1e-5,
        )


def test_a_child_that_reads_cells_needs_a_task_with_cells(tmp_path: Path) -> None:
    task, _ = toy_task(needs_cells=False)
    with pytest.raises(PluginError, match="must declare needs_cells"):
        write_cells(task, tmp_path / "train.h5ad")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit('no such gene')", r"exit code 1: no such gene"),
        ("raise ValueError('broken')", r"exit code 1: .*ValueError: broken"),
        ("import os; os.kill(os.getpid(), 9)", r"killed by SIGKILL"),
        ("", r"must leave one file of .*and left none"),
        ("open('predictions.csv','w'); open('predictions.npz','w')", r"left predictions.npz, pred"),
        ("open('predictions.npz','w').write('x')", r"predictions.npz is not a zip archive"),
        (BAD_TABLE.format(change="value = 'nan'"), r"NaN or infinite values for \d+ cond"),
        (BAD_TABLE.format(change="value = ''"), r"NaN or infinite values for \d+ cond"),
        (BAD_TABLE.format(change="value = 'much'"), r"predictions.tsv cannot be read"),
        (BAD_TABLE.format(change="value = '1'; items = items[1:]"), r"lacks 1 of the \d+ cond"),
        (BAD_TABLE.format(change="value = '1'; items += items"), r"twice"),
        (BAD_TABLE.format(change="value = '1'; genes = genes[2:]"), r"lacks 2 of 60 genes: TOYG0"),
    ],
)
def test_whatever_a_child_does_wrong_is_said(
    text: str, message: str, make: MakeModel, cache: Path, tmp_path: Path
) -> None:
    task, held_out = task_in(cache, tmp_path / "checkpoints")
    model = make(text)
    model.fit(task)
    with pytest.raises(ChildError, match=message) as raised:
        model.predict(held_out)
    assert str(raised.value).startswith("child: ")
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert str(kept) in str(raised.value)
    assert {path.name for path in kept.iterdir()} == {"task.json", "stdout.txt", "stderr.txt"}


def test_an_array_of_the_wrong_shape_is_refused(
    make: MakeModel, cache: Path, tmp_path: Path
) -> None:
    task, held_out = task_in(cache)
    np.savez(
        tmp_path / "ready.npz",
        perturbation=np.array([item.label for item in held_out]),
        expression=np.zeros((len(held_out), 59)),
    )
    model = make(f"import shutil; shutil.copy({str(tmp_path / 'ready.npz')!r}, 'predictions.npz')")
    model.fit(task)
    with pytest.raises(ChildError, match=rf"shape \({len(held_out)}, 59\).*expected .* 60\)"):
        model.predict(held_out)


def test_a_time_out_stops_the_child_and_what_it_started(
    make: MakeModel, cache: Path, tmp_path: Path
) -> None:
    task, held_out = task_in(cache)
    beat = tmp_path / "beat"
    grandchild = f"import time\nwhile True: open({str(beat)!r}, 'a').write('.'); time.sleep(0.02)"
    model = make(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {grandchild!r}])",
        timeout_s=1.5,
    )
    model.fit(task)
    with pytest.raises(ChildError, match=r"longer than 1\.5 s and was stopped.*timeout_s"):
        model.predict(held_out)
    size = beat.stat().st_size
    assert size > 0
    time.sleep(0.2)
    assert beat.stat().st_size == size


def test_packages_of_the_harness_do_not_reach_the_child(
    make: MakeModel, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    task, held_out = task_in(cache)
    model = make("import numpy")
    model.fit(task)
    with pytest.raises(ChildError, match="No module named 'numpy'"):
        model.predict(held_out)


def test_an_environment_is_built_once_and_found_again(tmp_path: Path) -> None:
    assert find_environment(BARE, tmp_path) is None
    reports: list[Progress] = []
    threads = [
        threading.Thread(target=build_environment, args=(BARE, tmp_path, reports.append))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("building" in report.message for report in reports) == 1
    found = find_environment(BARE, tmp_path)
    assert found is not None
    assert [item.digest for item in list_environments(tmp_path)] == [found.digest]
    visible = [path.name for path in (tmp_path / "environments").iterdir()]
    assert sorted(visible) == [f".{found.digest}.lock", found.digest]
    assert remove_environment(found.digest, tmp_path)
    assert not remove_environment(found.digest, tmp_path)
    assert find_environment(BARE, tmp_path) is None


def test_half_an_environment_is_built_anew(tmp_path: Path) -> None:
    built = build_environment(BARE, tmp_path)
    (built.path / "dygenept-environment.json").unlink()
    assert find_environment(BARE, tmp_path) is None
    assert build_environment(BARE, tmp_path).python.exists()


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    digest = environment_digest(BARE, find_interpreter(BARE))
    left = tmp_path / "environments" / f".{digest}.k1ll3d" / "bin"
    left.mkdir(parents=True)
    built = build_environment(BARE, tmp_path)
    assert [path for path in built.path.parent.iterdir() if path.is_dir()] == [built.path]


def test_requirements_python_and_platform_decide_the_name() -> None:
    here = find_interpreter(BARE)
    digests = {
        environment_digest(BARE, here),
        environment_digest(BARE, Interpreter("python", "3.8.1")),
        environment_digest(EnvironmentSpec(requirements=("a==1",)), here),
        environment_digest(EnvironmentSpec(no_deps=("a==1",)), here),
    }
    assert len(digests) == 4
    assert environment_digest(EnvironmentSpec(python=">=3.10"), here) in digests


def test_a_python_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"needs Python <3\.0.*PATH"):
        build_environment(EnvironmentSpec(python="<3.0"), tmp_path)


def test_a_constraint_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentBuildError, match="constraint 'three' cannot be read"):
        build_environment(EnvironmentSpec(python="three"), tmp_path)


@pytest.mark.slow
def test_a_package_that_cannot_be_had_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    spec = EnvironmentSpec(requirements=("dygenept-no-such-package==1",))
    with pytest.raises(EnvironmentBuildError, match=r"network.*ERROR.*dygenept-no-such-package"):
        build_environment(spec, tmp_path)
    assert [path.suffix for path in (tmp_path / "environments").iterdir()] == [".lock"]
    assert list_environments(tmp_path) == ()


def test_the_task_document_says_all_that_is_promised(
    make: MakeModel, cache: Path, tmp_path: Path
) -> None:
    task, held_out = task_in(cache, tmp_path / "checkpoints")
    model = make("import sys; sys.exit(1)", depth=3)
    model.fit(task)
    with pytest.raises(ChildError):
        model.predict(held_out)
    (kept,) = (tmp_path / "checkpoints").iterdir()
    document = json.loads((kept / "task.json").read_text())
    text = DOCS.read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in document)
    assert document["options"] == {"depth": 3}
    assert [item["perturbation"] for item in document["predict"]] == [c.label for c in held_out]
    assert document["predict"][0]["genes"] == list(held_out[0].genes)


def test_the_supervisor_reports_a_command_that_does_not_exist(cache: Path, tmp_path: Path) -> None:
    task, held_out = task_in(cache)
    script = tmp_path / "child.R"
    script.write_text("")
    program = IsolatedProgram(
        name="r_model",
        environment=BARE,
        script=script,
        command=("no-such-program", "{script}"),
        inputs=("means",),
        options={},
    )
    model = IsolatedModel(program)
    model.fit(task)
    with pytest.raises(ChildError, match="exit code 127: cannot start no-such-program"):
        model.predict(held_out)


def test_a_harness_that_is_killed_takes_its_child_along(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    child = f"import time\nwhile True: open({str(beat)!r}, 'a').write('.'); time.sleep(0.02)"
    harness = (
        "import sys; from pathlib import Path\n"
        "from dygenept.plugin.isolated.child import run_child\n"
        f"run_child([sys.executable, '-c', {child!r}], Path({str(tmp_path)!r}), timeout_s=60)"
    )
    process = subprocess.Popen([sys.executable, "-c", harness])
    deadline = time.monotonic() + 30
    while not beat.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    time.sleep(0.3)
    size = beat.stat().st_size
    time.sleep(0.2)
    assert beat.stat().st_size == size
