"""Whatever an isolated model's child does wrong: it is named, and nothing is left running."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from core.plugin.small_children import BARE, MakeModel, task_in

from dygenept.errors import ChildError
from dygenept.plugin.isolated.model import IsolatedModel, IsolatedProgram

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
