"""Names the plugin when a plugin's own code fails, so that one fault does not stop the others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from dygenept.errors import DygeneptError, PluginError
from dygenept.machine import processes

_LOCK = threading.Lock()
# What stdout was before the first thread came in, once for each that is inside.
_BEFORE: list[TextIO] = []


@contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """Send what is printed to stderr until the last of all threads that are inside has left.

    ``contextlib.redirect_stdout`` restores what its own thread found, which with two threads may
    be the other's redirection, for good.
    """
    with _LOCK:
        _BEFORE.append(_BEFORE[0] if _BEFORE else sys.stdout)
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        with _LOCK:
            before = _BEFORE.pop()
            if not _BEFORE:
                sys.stdout = before


@contextmanager
def plugin_code(what: str) -> Iterator[None]:
    """Run a plugin's code: what it raises is an error with its name, what it prints goes to stderr.

    Where several processes share a job, an error is passed on as it is: the others would wait in
    vain for a process that goes on to the next job.

    Args:
        what: Names the plugin and the step, such as ``ridge: fit``.

    Raises:
        PluginError: If the code raises anything but an error of the harness.
    """
    try:
        with _printing_to_stderr():
            yield
    except DygeneptError:
        raise
    # A plugin may raise anything at all, even SystemExit; the cause is chained.
    except (Exception, SystemExit) as error:
        if processes.current().size > 1:
            raise
        raise PluginError(
            f"{what} raised {type(error).__name__}: {error}; add --debug for a traceback, or see "
            "`dygenept plugins check`"
        ) from error
