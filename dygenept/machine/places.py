"""Where a file is to go: is it a place of its own, a stream or a folder, and can it be written?"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dygenept.errors import ResultsError

STDOUT = "-"
_MOST_LINKS = 40


def descriptor_of(path: Path) -> int | None:
    """Return the descriptor of this process that a path names, such as ``-`` or /dev/stdout."""
    if str(path) == STDOUT:
        return 1
    open_files = f"/proc/{os.getpid()}/fd"
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder == open_files and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder, path.readlink())
    return None


def is_streamed(path: Path) -> bool:
    """Tell whether a place is written in place, from start to end: stdout, a FIFO, a device."""
    return descriptor_of(path) is not None or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def is_stdout(path: Path) -> bool:
    """Tell whether what is written there goes to this process's stdout."""
    return descriptor_of(path) == 1


def followed(path: Path) -> Path:
    """Follow links to the file that they name, which may be still to be made.

    Raises:
        OSError: If links lead in a circle.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def check_can_write_file(path: Path) -> None:
    """Refuse a file that cannot be written, before any work; nothing is made here.

    Raises:
        ResultsError: If it is a folder, or it or its folder cannot be made or written.
    """
    if is_streamed(path):
        return
    target = followed(path)
    if target.is_dir():
        raise ResultsError(f"cannot write {path}: it is a folder; name a file in it")
    if not target.exists():
        _check(target.parent, str(path), "file")
    elif not os.access(target, os.W_OK):
        raise ResultsError(f"cannot write {path}: it is not writable; name another file")


def check_can_write(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, before any work; it is not made here.

    Raises:
        ResultsError: If it is a file or cannot be written.
    """
    if descriptor_of(folder) is not None:
        raise ResultsError(f"cannot write into {folder}: it is not a folder; name one")
    _check(followed(folder), f"into {folder}", "folder")


def _check(folder: Path, wanted: str, kind: str) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ResultsError(f"cannot write {wanted}: {existing} is a file; name another {kind}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ResultsError(
            f"cannot write {wanted}: {existing} is not writable; name another {kind}"
        )
