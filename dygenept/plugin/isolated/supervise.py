"""Runs a command, waits, and writes what it took: ``supervise.py REPORT COMMAND…``.

It runs as a small process of its own, since a child's peak of memory starts at its parent's: that
of the harness would hide a smaller child's. It stops its whole process group when its standard
input ends: the harness, which has the other end, is gone then, however it went.
The standard library is all that it needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def main(report: str, *command: str) -> int:
    """Run the command and write its exit code, wall time and peak memory as JSON."""
    threading.Thread(target=_stop_with_the_harness, daemon=True).start()
    started = time.monotonic()
    try:
        code = subprocess.call(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error}\n")
        code = 127
    wall = time.monotonic() - started
    document = {"returncode": code, "wall_s": wall, "peak_memory_bytes": _peak_of_children()}
    Path(report).write_text(json.dumps(document), encoding="utf-8")
    return 0


def _stop_with_the_harness() -> None:
    # Read without Python's own buffer, whose lock would be held when this process ends.
    while os.read(0, 1):
        pass
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)


def _peak_of_children() -> int:
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
