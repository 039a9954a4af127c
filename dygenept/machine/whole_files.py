"""Files that are whole or absent, JSON lines too: written beside their place, then renamed.

What is not a regular file (stdout, a FIFO, a device) has no place to rename to: it is written in
place once all of the content is there.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from zlib import crc32

from dygenept.errors import DataError, DataUnavailableError, DygeneptError, ResultsError
from dygenept.machine.places import STDOUT, descriptor_of, followed, is_streamed

SUFFIX = ".partial"
_TOKEN_DIGITS = 8
# What a folder that may not be changed answers, and a file that is mounted over another.
_NOT_BESIDE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV)
_PROBE = bytes(1 << 20)
logger = logging.getLogger(__name__)


@contextmanager
def replaced_whole(path: Path, *, flush: bool = False, sweeps: bool = False) -> Iterator[Path]:
    """Give a path to write to, which can be sought; its content takes a place when all went well.

    Links are followed. A file that is there keeps its permissions and, where possible, its owner;
    a new one gets those that a new file of this user gets, whatever the writer gave it (some make
    files that nobody else can read).

    Args:
        path: The file, or ``-`` for stdout; its folder is made where it is missing.
        flush: Wait until the content is on the disk before it takes the place.
        sweeps: Remove first what processes that were killed left half written of this file.

    Raises:
        OSError: If it cannot be written, by whatever error a library says so; ``path`` is named.
        ResultsError: If a library names a system's error without its number.
    """
    try:
        if is_streamed(path):
            with tempfile.TemporaryDirectory(prefix="dygenept-") as folder:
                temporary = Path(folder, path.name)
                temporary.touch()
                with _disk_errors(temporary):
                    yield temporary
                _stream(temporary, path)
            return
        target = followed(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if sweeps:
            remove_leftovers(target)
        temporary = _new_file_for(target)
        try:
            made = temporary.stat()
            with _disk_errors(temporary):
                yield temporary
            _give_permissions(temporary, target, made)
            if flush:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            _take_place(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _naming(error, path) from error


@contextmanager
def _disk_errors(temporary: Path) -> Iterator[None]:
    """Turn whatever a library raises where the disk takes no more into the disk's own error."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, DygeneptError):
        raise
    except BaseException as error:
        # polars panics, torch and safetensors have errors of their own, HDF5's have no number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        with suppress(FileNotFoundError), temporary.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
        raise


def _new_file_for(target: Path) -> Path:
    """Make an empty file beside another, or elsewhere where only that file may be written."""
    name = f".{target.name}." if len(os.fsencode(target.name)) < 200 else "."
    made = f"{secrets.token_hex(_TOKEN_DIGITS // 2)}{_this_machine()}-{os.getpid()}"
    temporary = target.with_name(f"{name}{made}{SUFFIX}")
    try:
        temporary.touch()
    except OSError as error:
        if error.errno not in _NOT_BESIDE or not _is_writable_file(target):
            raise
        descriptor, elsewhere = tempfile.mkstemp(suffix=SUFFIX, prefix="dygenept-")
        os.close(descriptor)
        return Path(elsewhere)
    return temporary


def _give_permissions(temporary: Path, target: Path, made: os.stat_result) -> None:
    before = target.stat() if target.is_file() else made
    if (before.st_uid, before.st_gid) != (made.st_uid, made.st_gid):
        with suppress(OSError):
            os.chown(temporary, before.st_uid, before.st_gid)
    temporary.chmod(stat.S_IMODE(before.st_mode) & 0o777)


def _take_place(temporary: Path, target: Path) -> None:
    try:
        os.replace(temporary, target)  # noqa: PTH105
    except OSError as error:
        if error.errno not in _NOT_BESIDE or not _is_writable_file(target):
            raise
        with temporary.open("rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)


def _is_writable_file(target: Path) -> bool:
    return target.is_file() and os.access(target, os.W_OK)


def _stream(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as source:
        if str(path) == STDOUT:
            sys.stdout.flush()
            shutil.copyfileobj(source, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        number = descriptor_of(path)
        if number == 1:
            sys.stdout.flush()
        opened = os.open(path, os.O_WRONLY) if number is None else os.dup(number)
        with os.fdopen(opened, "wb") as file:
            shutil.copyfileobj(source, file)


def _naming(error: OSError, path: Path) -> OSError | ResultsError:
    """Say an error of the file that the user named, not of one that stands in for it."""
    if error.errno is None:
        return ResultsError(f"cannot write {path}: {' '.join(str(error).split())}")
    is_other = error.filename is not None and not str(error.filename).endswith(SUFFIX)
    return error if is_other else OSError(error.errno, error.strerror, str(path))


def write_whole(path: Path, content: bytes, *, flush: bool = False) -> None:
    """Write a file so that no reader ever sees half of it."""
    with replaced_whole(path, flush=flush) as temporary:
        temporary.write_bytes(content)


def remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine that were killed left half written of a file.

    The whole folder is listed, which takes a while where thousands of files are in it.
    """
    _remove_dead(path.parent.glob(f".{path.name}.*{SUFFIX}"))


def sweep_leftovers(folder: Path) -> None:
    """Remove what such processes left half written of any file in a folder."""
    _remove_dead(folder.glob(f".*{SUFFIX}"))


def _remove_dead(paths: Iterable[Path]) -> None:
    for left in paths:
        made, _, pid = left.name.removesuffix(SUFFIX).rpartition("-")
        where = made.rpartition(".")[2][_TOKEN_DIGITS:]
        # Processes of another machine, or of another container, have numbers of their own.
        is_mine = where in ("", _this_machine())
        if is_mine and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            left.unlink(missing_ok=True)


@cache
def _this_machine() -> str:
    """Return eight digits for the machine, or the container, whose process numbers these are."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        known = f"{boot}{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        known = platform.node()
    return f"{crc32(known.encode()):08x}"


def write_lines(path: Path, documents: Iterable[Mapping[str, object]]) -> None:
    """Write one document per line, atomically."""
    text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    write_whole(path, text.encode())


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """Read the documents of a file, one by one.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If a line is not a JSON document; the line is named.
    """
    if not path.is_file():
        raise DataUnavailableError(f"no file {path}")
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                document = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number} is not JSON ({error}); write it again"
                ) from (error)
            if not isinstance(document, dict):
                raise DataError(f"{path}, line {number} is not a JSON object; write it again")
            yield document
