"""What a command says when it is stopped, and that its command line goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dygenept_cli.interruption import resumption

SLOW = """
import time

from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl


class Slow:
    def __init__(self, config):
        pass

    def fit(self, task):
        open("fits.log", "a").write("fit\\n")
        time.sleep(60)


@hookimpl
def dygenept_baselines():
    return [
        BaselineSpec(name="slow", summary="s", source="s", config=PluginConfig, factory=Slow)
    ]
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["bench", "--suite", "quick"], "are recorded; resume with: dygenept bench --suite quick"),
        (
            ["train", "--no-resume", "--output", "my model"],
            "the last checkpoint is kept; resume with: dygenept train --output 'my model'",
        ),
        (
            ["data", "fetch", "k562"],
            "were complete are kept; resume with: dygenept data fetch k562",
        ),
        (["data", "verify", "k562"], "nothing was written; start again with: dygenept data verify"),
        (
            ["rerun", "a.json", "-q"],
            "nothing was written; start again with: dygenept rerun a.json -q",
        ),
    ],
)
def test_a_command_says_what_was_kept_and_what_resumes(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    program = tmp_path / "dygenept"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    resumption([str(program), *given])()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("dygenept: interrupted; ")
    assert said in line


def test_a_program_that_the_shell_does_not_find_is_named_by_its_path(
    capsys: pytest.CaptureFixture[str],
) -> None:
    resumption(["/opt/my env/bin/dygenept", "doctor"])()
    assert "start again with: '/opt/my env/bin/dygenept' doctor" in capsys.readouterr().err


def test_ctrl_c_in_a_bench_of_two_processes_is_one_line(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    command = ["bench", "--dataset", str(toy), "--folds", "2", "--plugin", "slow.py", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "dygenept_cli", *command, "--model", "slow", "--jobs", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A group of its own, which is interrupted as a terminal does it: all of it.
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    log = tmp_path / "fits.log"
    deadline = time.monotonic() + 120
    while not log.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == [
        "dygenept: interrupted; jobs that had finished are recorded; resume with: python -m "
        f"dygenept_cli {' '.join(command)} --model slow --jobs 2"
    ]
