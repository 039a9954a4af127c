"""The boundary between a file that may be damaged and the rest of the program."""

from __future__ import annotations

import io
import logging
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError, DygeneptError, ShapeError
from dygenept.machine.archives import opened_zip
from dygenept.machine.stopping import Stopped

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

PASSED = (Stopped, KeyboardInterrupt, SystemExit, GeneratorExit)
# Deflate packs at most 1:1032. What claims more than this, beyond a few bytes, is not there.
UNCHECKED_BYTES = 1 << 26
MAX_EXPANSION = 2048
# Every cell of a table has a byte of its own; these many may be missing.
UNCHECKED_CELLS = 1 << 22
HEAD_LINES = 200
# More than all transcripts of a genome.
MOST_COLUMNS = 1 << 18
FETCH_AGAIN = "fetch or copy it again"


@contextmanager
def reading(
    path: Path,
    what: str,
    *,
    error: type[DygeneptError] = DataError,
    mend: str = FETCH_AGAIN,
) -> Iterator[None]:
    """Turn whatever a library raises while it reads a file into one line that names the file.

    What ends the process passes through, and so do checks inside, which say better what is wrong;
    where they name no file, they get its name, and where they say no mend, this one.

    Args:
        path: The file or folder.
        what: What it should be, with an article, such as ``a table of genes``.
        error: What is raised.
        mend: What the user can do.

    Raises:
        DygeneptError: Of the type ``error``, for anything that is raised inside.
    """
    try:
        yield
    except PASSED:
        raise
    except DygeneptError as fault:
        text = str(fault) if path.name in str(fault) else f"{path}: {fault}"
        if isinstance(fault, DataError | ShapeError) and ";" not in text:
            text = f"{text}; {mend}"
        is_other = isinstance(fault, DataError | ShapeError) and not isinstance(fault, error)
        if text == str(fault) and not is_other:
            raise
        raise (error if is_other else type(fault))(text) from fault
    # Not only Exception: polars panics with a BaseException.
    except BaseException as fault:
        logger.debug("%s cannot be read as %s", path, what, exc_info=True)
        if isinstance(fault, OSError) and fault.errno is not None and fault.filename is not None:
            raise error(f"{path} cannot be read: {fault.strerror}") from fault
        reason = reason_of(fault)
        raise error(f"{path} cannot be read as {what} ({reason}); {mend}") from fault


def reason_of(fault: BaseException) -> str:
    """Say in a few words what a library found, without line ends or control characters."""
    if isinstance(fault, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, KeyError) and " " not in str(fault):
        return f"it lacks {str(fault)[:200]}"
    text = " ".join(str(fault).split())[:200]
    return (
        "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
        or type(fault).__name__
    )


def check_claim(n_bytes: int, size: int, called: str) -> None:
    """Refuse what claims far more bytes than its file could hold, before memory is asked for.

    Args:
        n_bytes: Bytes that it claims.
        size: Bytes of the file.
        called: What to call it.

    Raises:
        DataError: If it does.
    """
    if n_bytes > UNCHECKED_BYTES and n_bytes > MAX_EXPANSION * size:
        raise DataError(
            f"{called} claims {n_bytes:,} bytes, more than the file can hold, which has {size:,}; "
            "it is damaged: fetch or copy it again"
        )


def check_cells(content: bytes | Path, separator: str, called: str) -> None:
    """Refuse a table that is far wider than tall data are, or whose rows are mostly not there.

    Readers fill all rows up to the widest one.

    Args:
        content: The table, or its file.
        separator: What stands between cells.
        called: What to call it.

    Raises:
        DataError: If it has more columns than a genome has transcripts, or its cells, filled up,
            would be more than its bytes.
    """
    size, n_lines, width, mark = 0, 0, 0, separator.encode()
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        while block := stream.read(1 << 24):
            if not size:
                head = block.split(b"\n", maxsplit=HEAD_LINES)[:HEAD_LINES]
                # Comments may contain anything.
                counts = (line.count(mark) for line in head if line[:1] not in b"#!")
                width = 1 + max(counts, default=0)
            size += len(block)
            n_lines += block.count(b"\n")
    if width > MOST_COLUMNS:
        raise DataError(
            f"{called} has a line of {width:,} cells, more than any table of genes; end its lines "
            "with line feeds, and write one cell per column"
        )
    if width * n_lines > size + UNCHECKED_CELLS:
        raise DataError(
            f"{called} has {n_lines:,} lines, most of them far shorter than its widest one of "
            f"{width:,} cells; write one cell per column in every line"
        )


def read_arrays(path: Path, *, mend: str = FETCH_AGAIN) -> Mapping[str, npt.NDArray[Any]]:
    """Read the arrays of an ``.npz`` file by name; no array of objects, which would be code.

    Args:
        path: The file.
        mend: What the user can do where it is damaged.

    Raises:
        DataError: If it is damaged, holds objects, or claims more than it can hold.
    """
    with reading(path, "an .npz file of plain arrays", mend=mend):
        check_arrays(path)
        with np.load(path, allow_pickle=False) as opened:
            read = {name: opened[name] for name in opened.files}
        # A member that is not an array comes as its bytes.
        arrays = {name: array for name, array in read.items() if isinstance(array, np.ndarray)}
        for name, array in arrays.items():
            if array.dtype.kind == "U":
                _check_texts(array, f"{path}: array {name!r}")
        return arrays


def _check_texts(array: npt.NDArray[Any], called: str) -> None:
    """Refuse numbers that stand for no character, on which Python itself fails later."""
    if array.size and array.dtype.itemsize:
        kind = np.dtype("u4").newbyteorder(array.dtype.byteorder)
        codes = np.ascontiguousarray(array).reshape(-1).view(kind)
        if bool(((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any()):
            raise DataError(f"{called} contains something that is not text; fetch or copy it again")


def check_arrays(path: Path) -> None:
    """Refuse an ``.npz`` file whose arrays hold objects or claim more than it can hold.

    Raises:
        DataError: If one does; other errors are those of ``zipfile`` and numpy.
    """
    size = path.stat().st_size
    with opened_zip(path, called=str(path)) as archive:
        members = archive.infolist()
        check_claim(sum(member.file_size for member in members), size, str(path))
        for member in members:
            if member.filename.endswith(".npy"):
                with archive.open(member) as stream:
                    _check_array(stream, member, path)


def _check_array(stream: Any, member: zipfile.ZipInfo, path: Path) -> None:
    name = member.filename.removesuffix(".npy")
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise DataError(f"{path}: array {name!r} is of version {version}, which is not read")
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise DataError(
            f"{path}: array {name!r} contains Python objects, which may run code and are not read; "
            "write texts as np.array(names, dtype=str)"
        )
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes > member.file_size:
        raise DataError(
            f"{path}: array {name!r} claims {n_bytes:,} bytes and holds "
            f"{member.file_size:,}, so it is damaged; fetch or copy it again"
        )


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a Parquet table, after its claims were checked.

    Args:
        path: The file.
        columns: Names of the columns that are read, in this order; None for all.

    Raises:
        DataError: If it is damaged, lacks a column, or claims more than it can hold.
    """
    import polars as pl
    import pyarrow as pa
    from pyarrow import parquet

    with reading(path, "a Parquet table"):
        # In memory: a file that changes while it is mapped would end the process.
        content = path.read_bytes()
        # Polars ends the process on some damaged files; this reader raises.
        file = parquet.ParquetFile(pa.BufferReader(content))
        footer = file.metadata
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        claimed = sum(max(group.total_byte_size, 0) for group in groups)
        # A column of one value takes no room in the file, and much in memory.
        n_values = max(footer.num_rows, 0) * max(footer.num_columns, 1)
        check_claim(max(claimed, 8 * n_values), len(content), str(path))
        table = file.read(columns=None if columns is None else list(columns))
        table.validate(full=True)
        # Columns that are not there are left out without a word.
        return pl.DataFrame(table if columns is None else table.select(list(columns)))
