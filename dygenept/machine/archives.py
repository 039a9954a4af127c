"""Zip and gzip, within bounds: what a packed file says of itself is not trusted."""

from __future__ import annotations

import gzip
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from dygenept.errors import DataError
from dygenept.types import Progress, no_report

BLOCK_BYTES = 1 << 20
# Tables and expression shrink five- to fifty-fold; what grows beyond this is made to fill a disk.
MAX_RATIO = 100
# What any packed file may grow to, however small it is.
ALWAYS_BYTES = 64 << 20
MAX_MEMBERS = 10_000
# Everything that a damaged packed file makes the readers of Python raise.
DAMAGE = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, MemoryError, IndexError),
)


def most_bytes(packed: int) -> int:
    """Return the bytes that a packed file of so many bytes may grow to."""
    return max(ALWAYS_BYTES, MAX_RATIO * packed)


class BoundedGzip(gzip.GzipFile):
    """A gzip file that refuses to grow beyond reason.

    Raises:
        DataError: On reading beyond the bound.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._most = most_bytes(path.stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        """Read some bytes, all of them without a size."""
        whole = size is None or size < 0
        return self._bounded(super().read(self._most + 1 - self.tell() if whole else size))

    def read1(self, size: int = -1) -> bytes:
        """Read what comes at once, as readers of text do."""
        return self._bounded(super().read1(size))

    def _bounded(self, block: bytes) -> bytes:
        if self.tell() > self._most:
            raise DataError(
                f"{self._path} grows to more than {self._most:,} bytes when it is unpacked, more "
                f"than {MAX_RATIO} times its size; it is damaged or made to fill a disk"
            )
        return block


@contextmanager
def opened_zip(path: Path, *, called: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; whatever is wrong with it becomes one kind of error.

    Raises:
        DataError: If it is damaged, encrypted, or contains links or paths that lead outside.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            if len(opened.infolist()) > MAX_MEMBERS:
                raise DataError(f"{called} contains more than {MAX_MEMBERS:,} files")
            for item in opened.infolist():
                _check_entry(item, called)
            yield opened
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{called} is not a zip archive or is damaged: {reason}") from error


def extract_member(
    archive: Path,
    member: str,
    destination: Path,
    *,
    size: int | None = None,
    report: Callable[[Progress], None] = no_report,
    called: str | None = None,
) -> None:
    """Take one file out of a zip archive, wherever in it the file lies.

    The archive's own paths are never used as paths on disk.

    Args:
        archive: The zip file.
        member: The file's path in it, or the last part of that path.
        destination: Where it goes; replaced.
        size: Bytes that it must have.
        report: Gets the bytes so far, as stage ``extract``.
        called: What errors call the archive; None takes its name.

    Raises:
        DataError: If the archive is damaged or encrypted, contains no such file or several, or one
            that is a link or too large.
    """
    called = called or archive.name
    most = size or most_bytes(archive.stat().st_size)
    with opened_zip(archive, called=called) as opened:
        found = [item for item in opened.infolist() if _is_named(item, member)]
        if len(found) != 1:
            raise DataError(f"{called} contains {len(found)} files named {member}, expected one")
        declared = found[0].file_size
        if declared > most or declared != (size or declared):
            raise DataError(
                f"{member} in {called} has {declared:,} bytes, "
                f"{'expected' if size else 'and at most'} {most:,}"
                f"{'' if size else '; name its size in the registry (size:) if that is right'}"
            )
        with opened.open(found[0]) as source, destination.open("wb") as target:
            written = 0
            # A member never gives more than it declares, whatever it really contains.
            while block := source.read(BLOCK_BYTES):
                target.write(block)
                written += len(block)
                report(Progress("extract", written, declared, member))
        if written != declared:
            raise DataError(f"{member} in {called} has {written:,} bytes and declares {declared:,}")


def unpack_gzip(
    archive: Path,
    destination: Path,
    *,
    size: int | None = None,
    report: Callable[[Progress], None] = no_report,
    called: str | None = None,
) -> None:
    """Unpack a gzip file.

    Args:
        archive: The file.
        destination: Where it goes; replaced.
        size: Bytes that it must have unpacked; without it, it may grow 100-fold at most.
        report: Gets the bytes so far, as stage ``extract``.
        called: What errors call the archive; None takes its name.

    Raises:
        DataError: If it is damaged, cut short, too large or of another size.
    """
    called = called or archive.name
    most = size or most_bytes(archive.stat().st_size)
    written = 0
    try:
        with gzip.open(archive, "rb") as source, destination.open("wb") as target:
            while block := source.read(BLOCK_BYTES):
                written += len(block)
                if written > most:
                    raise DataError(
                        f"{called} grows to more than {most:,} bytes when it is unpacked"
                        + ("" if size else "; name its size in the registry (unpacked_size:)")
                    )
                target.write(block)
                report(Progress("extract", written, size or 0, destination.name))
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise DataError(f"{called} is damaged or cut short: {error}") from error
    if size is not None and written != size:
        raise DataError(f"{called} has {written:,} bytes unpacked, expected {size:,}")


def check_zip(path: Path, *, called: str) -> None:
    """Read every file of an archive and compare its checksum; nothing is written.

    Raises:
        DataError: If one is damaged, or all together are too large.
    """
    with opened_zip(path, called=called) as opened:
        if sum(item.file_size for item in opened.infolist()) > most_bytes(path.stat().st_size):
            raise DataError(f"{called} grows more than {MAX_RATIO}-fold when it is unpacked")
        if (damaged := opened.testzip()) is not None:
            raise DataError(f"{called} is damaged: {damaged} has another checksum")


def check_gzip(path: Path, *, called: str) -> bytes:
    """Read a gzip file to its end and return its first bytes, unpacked.

    Raises:
        DataError: If it is damaged, cut short or too large.
    """
    try:
        with BoundedGzip(path) as opened:
            head = opened.read(BLOCK_BYTES)
            while opened.read(BLOCK_BYTES):
                pass
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise DataError(f"{called} is damaged or cut short: {error}") from error
    return head


def _check_entry(item: zipfile.ZipInfo, called: str) -> None:
    path = PurePosixPath(item.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{called} contains the path {item.filename!r}, which leads outside of it")
    if stat.S_ISLNK(item.external_attr >> 16):
        raise DataError(f"{called} contains a symbolic link, {item.filename!r}; expected files")


def _is_named(item: zipfile.ZipInfo, member: str) -> bool:
    if item.is_dir() or item.filename.startswith("__MACOSX/"):
        return False
    if item.flag_bits & 1 and item.filename.rpartition("/")[2] == member.rpartition("/")[2]:
        raise RuntimeError(f"{item.filename} is encrypted")
    return member in (item.filename, item.filename.rpartition("/")[2])
