"""Looks an HDF5 file over before it is trusted: it must stay within itself, and come to an end.

The HDF5 library may follow a damaged structure for ever, or crash on it, and nothing in the same
process can stop it. So a child process looks first, with a limit of processor time: a slow disk is
no fault. What the child cannot read is left to the readers, which say it better.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import resource
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import DataError

if TYPE_CHECKING:
    import h5py

# The child looks no longer than this of its own accord, and is ended after so many seconds.
LOOK_S = 0.4
CPU_S = 4
# Of time on the clock; then the file is read unlooked.
WAIT_S = 60
# Beyond what this process has mapped.
MEMORY_BYTES = 1 << 30
# Arrays up to this size are read; of a small file all of them together.
ARRAY_BYTES = 1 << 20
SMALL_BYTES = 1 << 24
_FOREIGN = "which is outside of it and is not read; copy it into the file"


def look_over(path: Path) -> None:
    """Refuse an HDF5 file that refers to other files, or on which the HDF5 library does not end.

    Raises:
        DataError: If it is so.
    """
    file = path.stat()
    found = _looked_over(path.absolute(), (file.st_ino, file.st_size, file.st_mtime_ns))
    if found:
        raise DataError(f"{path}{found}")


@functools.lru_cache(maxsize=64)
def _looked_over(path: Path, stamp: tuple[int, int, int]) -> str:
    """Look a file over once a process, as long as its stamp stays."""
    return _findings_of_child(path) if sys.platform == "linux" else _findings(path)


def _findings_of_child(path: Path) -> str:
    # Loaded before the child is made: loading it must not be counted as looking.
    import h5py  # noqa: F401

    receive, send = os.pipe()
    with warnings.catch_warnings():
        # The child runs on one thread and takes no lock that another could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            _be_bounded()
            os.write(send, _findings(path).encode("utf-8", "replace")[:2000])
        finally:
            os._exit(0)
    os.close(send)
    try:
        with os.fdopen(receive, "rb") as said:
            found = said.read().decode()
        _, status = os.waitpid(pid, 0)
    except BaseException:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGALRM:
        ends = "never ends on it" if os.WTERMSIG(status) == signal.SIGXCPU else "crashes on it"
        return f" is damaged (the HDF5 library {ends}); fetch or copy it again"
    return found


def _be_bounded() -> None:
    # Collecting the garbage of a large parent would be counted as looking.
    gc.disable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    # A slow disk is not a fault, nor is a lock that another thread held when this child was made.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(WAIT_S)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _findings(path: Path) -> str:
    """Return the end of a sentence about the file; empty where nothing is wrong."""
    import h5py

    until = time.process_time() + LOOK_S
    try:
        with h5py.File(path, "r") as file:
            items = []
            for name, item in _objects(file, until):
                if isinstance(item, str):
                    return f": {name} refers to {item}, {_FOREIGN}"
                if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
                    return f": {name} refers to values in another file, {_FOREIGN}"
                items.append(item)
            _touch(items, until)
    # What cannot be read is named by who wants it.
    except Exception:  # noqa: BLE001
        return ""
    return ""


def _touch(items: Sequence[h5py.Group | h5py.Dataset], until: float) -> None:
    """Read what is small, so that a damaged part is met here first."""
    import h5py

    budget = SMALL_BYTES
    for item in items:
        if time.process_time() > until:
            return
        with contextlib.suppress(Exception):
            for attribute in item.attrs:
                item.attrs[attribute]
        if isinstance(item, h5py.Dataset):
            size = (item.size or 0) * item.dtype.itemsize
            if size <= min(ARRAY_BYTES, budget):
                budget -= size
                with contextlib.suppress(Exception):
                    item[()]


def _objects(
    file: h5py.File, until: float
) -> Iterator[tuple[str, h5py.Group | h5py.Dataset | str]]:
    """Yield every object once, by its path; a link to another file as the name of that file.

    The outermost come first, so that those that are read are among them.
    """
    import h5py

    seen: set[object] = set()
    groups: deque[tuple[str, h5py.Group]] = deque([("", file)])
    yield "/", file
    while groups and time.process_time() < until:
        where, group = groups.popleft()
        with contextlib.suppress(Exception):
            for name in group:
                path = f"{where}/{name}"
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    yield path, str(link.filename)
                elif isinstance(link, h5py.HardLink):
                    item = group.get(name)
                    place = h5py.h5o.get_info(item.id).addr
                    if place in seen:
                        continue
                    seen.add(place)
                    if isinstance(item, h5py.Group):
                        groups.append((path, item))
                    if isinstance(item, h5py.Group | h5py.Dataset):
                        yield path, item
