"""The files of a knowledge graph: found in a folder and told apart by their first lines."""

from __future__ import annotations

import functools
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from dygenept.errors import DataError
from dygenept.machine.archives import BoundedGzip
from dygenept.machine.checksums import file_sha256, record_path, verify_file

logger = logging.getLogger(__name__)

HEAD_BYTES = 1 << 16
HEAD_LINES = 200
BLOCK_BYTES = 1 << 26
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class FileHead:
    """The beginning of a text file, plain or gzipped.

    Attributes:
        path: The file.
        lines: Its first whole lines, at most 200, without line ends.
    """

    path: Path
    lines: tuple[str, ...]

    @property
    def first(self) -> str:
        """The first line; empty where the file is."""
        return self.lines[0] if self.lines else ""

    @property
    def opening(self) -> str:
        """The first character that is not white space; ``{`` or ``[`` for JSON."""
        return next((line.strip()[0] for line in self.lines if line.strip()), "")


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout that a source can read.

    Attributes:
        name: Such as ``string_links_detailed``; part of the report and of the cache's key.
        matches: True for the head of a file of this layout.
        is_companion: True for the head of a file that goes with it, such as a table of names.
        takes_many: True if several such files are read together.
    """

    name: str
    matches: Callable[[FileHead], bool]
    is_companion: Callable[[FileHead], bool] | None = None
    takes_many: bool = False


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of one layout.

    Attributes:
        layout: The layout.
        main: Its files, one unless it takes many.
        companions: Files that go with them.
    """

    layout: Layout
    main: tuple[Path, ...]
    companions: tuple[Path, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """All files, the main ones first."""
        return self.main + self.companions


def find_files(path: Path, layouts: Sequence[Layout]) -> FoundFiles | None:
    """Find the files of the first layout that fits.

    Args:
        path: A file, or a folder that is searched without its sub-folders.
        layouts: Layouts, the preferred one first.

    Returns:
        The files; None if no file fits, or nothing is there.

    Raises:
        DataError: If several files fit a layout that takes one, or a file cannot be read.
    """
    heads = [read_head(file) for file in _candidates(path)]
    for layout in layouts:
        main = [head.path for head in heads if layout.matches(head)]
        if not main:
            continue
        if len(main) > 1 and not layout.takes_many:
            raise DataError(
                f"{path} contains {len(main)} files of the layout {layout.name} "
                f"({', '.join(file.name for file in main)}); give the path of one of them"
            )
        companions = _companions(layout, path, heads, main)
        return FoundFiles(layout, tuple(main), companions)
    return None


def read_head(path: Path) -> FileHead:
    """Read the first lines of a text file, plain or gzipped.

    Raises:
        DataError: If it cannot be read.
    """
    with _opened(path) as stream:
        content = stream.read(HEAD_BYTES)
    lines = content.decode("utf-8", errors="replace").splitlines()
    if len(content) == HEAD_BYTES and len(lines) > 1:
        # The last line may be cut.
        lines = lines[:-1]
    return FileHead(path, tuple(lines[:HEAD_LINES]))


def read_bytes(path: Path) -> bytes:
    """Read a whole file, plain or gzipped.

    Raises:
        DataError: If it is damaged.
    """
    with _opened(path) as stream:
        return stream.read()


def line_blocks(path: Path, *, n_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield a file in blocks of whole lines, so that it is never in memory at once.

    Raises:
        DataError: If it is damaged.
    """
    rest = b""
    with _opened(path) as stream:
        while block := stream.read(n_bytes):
            block = rest + block
            cut = block.rfind(b"\n") + 1
            rest = block[cut:]
            if cut:
                yield block[:cut]
    if rest:
        yield rest


def verified_sha256(path: Path) -> str:
    """Hash a file; a fetched one is checked against its record, and none is hashed twice.

    Raises:
        DataError: If it is another than recorded.
    """
    # A fetched file has a record, whose check also finds a file that was changed afterwards.
    if record_path(path).is_file():
        return verify_file(path)
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


# Size and time belong to the key, so that a file replaced during a run is hashed again.
@functools.lru_cache(maxsize=64)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    return file_sha256(path)


def _companions(
    layout: Layout, path: Path, heads: Sequence[FileHead], main: Sequence[Path]
) -> tuple[Path, ...]:
    """Find what goes with the main files: in the folder, or beside a single file."""
    if layout.is_companion is None:
        return ()
    if path.is_file():
        heads = [head for file in _candidates(path.parent) if (head := _head_of(file)) is not None]
    return tuple(head.path for head in heads if head.path not in main and layout.is_companion(head))


def _head_of(stranger: Path) -> FileHead | None:
    """Read the head of a file that may have nothing to do with the graph."""
    try:
        return read_head(stranger)
    except DataError as error:
        logger.debug("not looked into: %s", error)
        return None


def _candidates(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    return sorted(
        file
        for file in path.iterdir()
        if file.is_file()
        and not file.name.startswith(".")
        and not file.name.endswith((".sha256.json", ".zip"))
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            is_gzipped = stream.read(2) == _GZIP_MAGIC
        # A plain file has the same reading interface.
        with BoundedGzip(path) if is_gzipped else path.open("rb") as opened:
            yield cast(BinaryIO, opened)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; fetch it again") from error
