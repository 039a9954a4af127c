"""How a process ends early: on a signal, within seconds and with a word, or with its parent.

A computation in C answers no signal until it returns. A thread that the operating system wakes is
the second line of defence: it ends the process when the first has not, a moment after the signal.
Where the computation keeps Python's lock, no thread runs either: ``stop_watcher``, a process of its
own, is the third. Files are written whole or not at all, so that no end can leave half of one.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import FrameType

from dygenept.machine import stop_watcher
from dygenept.machine.stop_watcher import CALM

GRACE_S = 0.9
POLL_S = 0.5
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# prctl(2): the signal that the kernel sends to a process when its parent ends.
PR_SET_PDEATHSIG = 1


class Stopped(KeyboardInterrupt):
    """The user, or the system, asked this process to end."""


@contextmanager
def stoppable(say: Callable[[], None]) -> Iterator[None]:
    """End the process when Ctrl-C, SIGTERM or a hang-up asks for it while the body runs.

    The body is left by ``Stopped``, so that it can tidy up, whatever becomes of that exception on
    its way; after ``GRACE_S`` seconds, or at a
    second signal, the process ends wherever it is. Signals that whoever started the process had it
    ignore, as ``nohup`` does, stay ignored.

    Args:
        say: Tells the user what was kept; called once, before the process ends.

    Raises:
        SystemExit: After a signal, with 128 plus the signal's number: 130 for Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise Stopped(number)

    def is_meant(number: int) -> bool:
        # Another part of the program may have a use of its own for a signal.
        return bool(received) or signal.getsignal(number) is stop

    first = threading.Lock()

    def say_once() -> None:
        if first.acquire(blocking=False):
            say()

    known = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in known}
    watch = _watch()
    watch.begin(is_meant, say_once)
    old_wake = signal.set_wakeup_fd(watch.wake, warn_on_full_buffer=False)
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            # After the first signal, another one ends the process at once.
            if handler is not None:
                signal.signal(number, signal.SIG_DFL if received else handler)
        signal.set_wakeup_fd(old_wake)
        if received:
            say_once()
            sys.exit(128 + received[0])
        watch.rest()


class _Watch:
    """The thread that reads the signals of this process, and the process beside it.

    Attributes:
        wake: Descriptor that Python writes the numbers of signals to.
    """

    def __init__(self) -> None:
        """Start both."""
        woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        self._is_meant: Callable[[int], bool] | None = None
        self._say: Callable[[], None] = lambda: None
        self._n_signals = 0
        handed_on = _handed_on(woken)
        threading.Thread(target=self._read, args=(handed_on,), daemon=True).start()

    def begin(self, is_meant: Callable[[int], bool], say: Callable[[], None]) -> None:
        """Act on signals from now on."""
        self._is_meant, self._say, self._n_signals = is_meant, say, 0

    def rest(self) -> None:
        """Act on none."""
        self._is_meant = None

    def _read(self, woken: int) -> None:
        """End the process soon after the first signal, at once at the second."""
        while numbers := os.read(woken, 64):
            for number in numbers:
                if number == CALM:
                    continue
                is_meant = self._is_meant
                if self._n_signals == 0 and (is_meant is None or not is_meant(number)):
                    os.write(self.wake, bytes([CALM]))
                    continue
                self._n_signals += 1
                code = 128 + number
                if self._n_signals == 1:
                    threading.Thread(target=self._end_later, args=(code,), daemon=True).start()
                else:
                    self._say()
                    os._exit(code)

    def _end_later(self, code: int) -> None:
        time.sleep(GRACE_S)
        self._say()
        sys.stderr.flush()
        os._exit(code)


@cache
def _watch() -> _Watch:
    return _Watch()


def _handed_on(woken: int) -> int:
    """Start the process that reads a descriptor; return where it hands on what it reads."""
    if os.name != "posix" or not sys.executable:
        return woken
    handed_on, hand_on = os.pipe()
    command = [sys.executable, "-I", "-S", stop_watcher.__file__]
    try:
        os.posix_spawn(
            sys.executable,
            [*command, str(os.getpid()), str(2 * GRACE_S)],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, woken, 0), (os.POSIX_SPAWN_DUP2, hand_on, 1)],
            # Out of the reach of Ctrl-C.
            setpgroup=0,
        )
    except OSError:
        os.close(handed_on)
        return woken
    finally:
        os.close(hand_on)
    os.close(woken)
    return handed_on


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C, which a terminal sends to all: their parent does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Its start, which would come with the first process, lets signals through again.
    _start_quiet_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_quiet_tracker() -> None:
    """Start the process that tidies up after ``multiprocessing``; it warns of it otherwise."""
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    # Python hands these options on to the processes that it starts.
    sys.warnoptions.append(quiet)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(quiet)


def end_with(parent: Connection) -> None:
    """End this process when the other end of a pipe is closed, or its process gone.

    On Linux the kernel also kills it then, if it is in the middle of a computation in C.
    """

    def watch() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def end_with_launcher() -> None:
    """End this process when the one that started it has gone, as when torchrun was killed."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
