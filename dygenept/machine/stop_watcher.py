"""A process beside a command, which ends it where nothing inside it can: run as a script.

A computation in C that keeps Python's lock, as HDF5 and some of scipy do, lets no handler and no
thread run. This process reads the signals that arrive, hands them on, and kills the command if it
has not ended soon after.

Usage: ``python -I -S stop_watcher.py PID SECONDS``, signals on stdin, handed on to stdout.
"""

import os
import select
import signal
import sys

CALM = 0
SAID = (
    "dygenept: interrupted in the middle of a computation that could not be stopped; files that "
    "were complete are kept; run the same command again\n"
)


def watch(parent: int, seconds: float) -> None:
    """Hand signals on until the parent ends; kill it when one has gone unanswered."""
    stops = {int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP")}
    is_asked = False
    while True:
        ready, _, _ = select.select([0], [], [], seconds if is_asked else None)
        if not ready:
            sys.stderr.write(SAID)
            sys.stderr.flush()
            os.kill(parent, signal.SIGKILL)
            return
        numbers = os.read(0, 64)
        if not numbers:
            return
        for number in numbers:
            is_asked = number != CALM and (is_asked or number in stops)
        try:
            os.write(1, bytes(number for number in numbers if number != CALM))
        except BrokenPipeError:
            # It has ended.
            return


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
