"""Ends of processes: on a signal, in the middle of a computation, and with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIMIT_S = 60
STOPPABLE = """
import hashlib, os, signal, sys, time
from dygenept.machine.stopping import stoppable

def swallow():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def say():
    sys.stderr.write("kept\\n")

with stoppable(say):
    print("ready", flush=True)
    {body}
"""
CALM = "time.sleep(60)"
# In C for a minute, without Python's lock, as torch and polars compute.
COMPUTING = "hashlib.pbkdf2_hmac('sha256', b'a', b'b', 100_000_000)"
# In C as well, and with Python's lock, as HDF5 computes.
LOCKED = "import itertools; sum(itertools.repeat(0, 10**12))"
PARENT = """
import multiprocessing, os, time
from dygenept.machine.stopping import deaf_children, end_with

def work(theirs):
    end_with(theirs)
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    theirs, ours = spawn.Pipe(duplex=False)
    process = spawn.Process(target=work, args=(theirs,))
    with deaf_children():
        process.start()
    input()
    ours.close()
    time.sleep(60)
"""


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def computed_s(pid: int) -> float:
    """Return the seconds that a process has computed."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def ended(body: str, *numbers: signal.Signals, computing: bool = False) -> tuple[int, str]:
    """Send a process signals once it is ready; return its exit code and what it said.

    Args:
        body: What it does.
        *numbers: The signals.
        computing: Wait until it has computed for a while, however busy the machine is.
    """
    process = started("-c", STOPPABLE.format(body=body))
    assert line_of(process) == "ready"
    began = computed_s(process.pid) if computing else 0.0
    while computing and computed_s(process.pid) < began + 0.2:
        time.sleep(0.02)
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.1)
    _, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_process_with_a_word(number: signal.Signals, code: int) -> None:
    assert ended(CALM, number) == (code, "kept\n")


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process computed from /proc")
def test_a_computation_that_keeps_pythons_lock_is_ended_from_outside() -> None:
    code, err = ended(LOCKED, signal.SIGTERM, computing=True)
    assert code == -signal.SIGKILL
    assert err.startswith("dygenept: interrupted in the middle of a computation")


@pytest.mark.parametrize("body", [COMPUTING, "swallow()"])
def test_what_answers_no_signal_is_ended_all_the_same(body: str) -> None:
    began = time.monotonic()
    assert ended(body, signal.SIGINT) == (130, "kept\n")
    assert time.monotonic() - began < 30


def test_a_second_signal_does_not_wait() -> None:
    assert ended("swallow()", signal.SIGINT, signal.SIGINT) == (130, "kept\n")


def test_what_nohup_has_ignored_stays_ignored() -> None:
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    body = "os.kill(os.getpid(), signal.SIGHUP)"
    process = started("-c", ignoring + STOPPABLE.format(body=body))
    assert process.communicate(timeout=LIMIT_S)[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_worker_ends_with_its_parent_and_when_it_is_told(tmp_path: Path, is_killed: bool) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    process = started(str(script))
    worker = int(line_of(process))
    # Ctrl-C is for the parent, which says what happened.
    os.kill(worker, signal.SIGINT)
    if is_killed:
        process.kill()
    else:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    deadline = time.monotonic() + LIMIT_S
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(worker)
    process.kill()
    assert process.communicate(timeout=LIMIT_S)[1] == ""


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet has ended."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")
