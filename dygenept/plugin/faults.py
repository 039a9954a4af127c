"""Names the plugin when a plugin's own code fails, so that one fault does not stop the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from dygenept.errors import DygeneptError, PluginError
from dygenept.machine import processes


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
        with redirect_stdout(sys.stderr):
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
