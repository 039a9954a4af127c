"""Runs a child process with a time-out; keeps its output, wall time and peak memory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dygenept.errors import ChildError
from dygenept.machine.reading import reading
from dygenept.plugin.isolated import supervise
from dygenept.plugin.isolated.building import child_environment

TAIL_LINES = 8
REPORT = "process.json"
STDOUT, STDERR = "stdout.txt", "stderr.txt"


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a child took.

    Attributes:
        wall_s: Seconds from its start to its end.
        peak_memory_bytes: Peak resident memory of its largest process; 0 where the system does
            not tell.
    """

    wall_s: float
    peak_memory_bytes: int


def run_child(command: Sequence[str], folder: Path, *, timeout_s: float) -> Consumption:
    """Run a command in a folder; its output goes to ``stdout.txt`` and ``stderr.txt`` there.

    Args:
        command: Program and arguments.
        folder: Working folder.
        timeout_s: Seconds after which it and all that it started are killed.

    Raises:
        ChildError: If it takes too long, cannot be started, is killed or returns a failure; the
            end of its error output is quoted.
    """
    report = folder / REPORT
    with (folder / STDOUT).open("wb") as out, (folder / STDERR).open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(supervise.__file__), str(report), *command],
            cwd=folder,
            # Its end tells the supervisor that this process is gone.
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            # A group of its own, so that what the child starts is stopped with it.
            start_new_session=True,
            env=child_environment(PYTHONHASHSEED="0"),
        )
        try:
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ChildError(
                f"it took longer than {timeout_s:g} s and was stopped{tail_of(folder)}; allow it "
                "more with timeout_s"
            ) from None
        finally:
            _kill(process)
            if process.stdin is not None:
                process.stdin.close()
    if not report.is_file():
        raise ChildError(f"its process was killed (out of memory, perhaps){tail_of(folder)}")
    with reading(report, "what the supervisor left", error=ChildError, mend="run it again"):
        document = json.loads(report.read_text(encoding="utf-8"))
        code = int(document["returncode"])
        taken = Consumption(float(document["wall_s"]), int(document["peak_memory_bytes"]))
    if code < 0:
        raise ChildError(f"it was killed by {_signal_name(-code)}{tail_of(folder)}")
    if code != 0:
        raise ChildError(f"it ended with exit code {code}{tail_of(folder)}")
    return taken


def tail_of(folder: Path) -> str:
    """Return the end of a child's error output as part of a sentence; empty where it said nothing.

    Progress bars count by what they left on the last line.
    """
    path = folder / STDERR
    if not path.is_file():
        return ""
    text = path.read_bytes()[-16_384:].decode(errors="replace")
    lines = [line.rsplit("\r", 1)[-1].strip() for line in text.splitlines()]
    tail = " | ".join([line for line in lines if line][-TAIL_LINES:])
    return f": {tail}" if tail else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Stop a child and whatever it started and left behind."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
