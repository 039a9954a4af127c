"""Arrays of conditions × genes: in memory, or in unnamed files where a limit on memory asks for it.

An array in a file is an ordinary ``numpy`` array over a mapped file, so whoever computes with it
sees no difference. What is made of it by the functions here is in a file as well, and what is made
of an array in memory is in memory: only the first array of a run needs to know of the limit.

Pages of a mapped file count as memory of the process while they are looked at. They are given back
to the system's cache whenever more than ``RESIDENT`` bytes of them are there; values stay. Passes
in parts (``row_parts``) see to that after each part, and a thread during a long computation.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dygenept.machine.scratch import ScratchFile

N = TypeVar("N", bound=np.generic)
Array = npt.NDArray[Any]
Rows = Sequence[int] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]

# Values of a table that are looked at together.
PART_VALUES = 1 << 21
# Columns of a table are taken so many values at a time; more, since each row is a piece of a file.
COLUMN_VALUES = 1 << 23
# Most bytes of mapped files that stay with the process, and how often that is looked after.
RESIDENT = 1 << 28
LOOK_S = 0.01


def zeros(shape: tuple[int, ...], dtype: type[N], *, folder: Path | None) -> npt.NDArray[N]:
    """Return an array of zeros.

    Args:
        shape: Its shape.
        dtype: Type of its values.
        folder: Where its file is made; None keeps it in memory.

    Raises:
        DataError: If the disk has no room for it.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if folder is None or not n_bytes:
        return np.zeros(shape, dtype=dtype)
    pages = _mapped(folder, n_bytes)
    return np.ndarray(shape, dtype=dtype, buffer=pages)


def empty_like(of: Array, shape: tuple[int, ...], dtype: type[N]) -> npt.NDArray[N]:
    """Return an array to be filled, in a file where ``of`` is in one."""
    pages = _pages_of(of)
    if pages is None:
        return np.empty(shape, dtype=dtype)
    return zeros(shape, dtype, folder=_LIVE.folder_of(pages))


def in_file(array: Array) -> bool:
    """True if an array, or what it is a view of, is in a file."""
    return _pages_of(array) is not None


def rows_of(table: npt.NDArray[N], rows: Rows) -> npt.NDArray[N]:
    """Copy some rows, in this order; ``rows`` are positions or a mask."""
    if not in_file(table):
        copied: npt.NDArray[N] = table[np.asarray(rows)]
        return copied
    kept = np.arange(len(table))[np.asarray(rows)]
    found = empty_like(table, (len(kept), *table.shape[1:]), table.dtype.type)
    for part in row_parts(len(kept), math.prod(table.shape[1:])):
        found[part] = table[kept[part]]
    return found


def filled(
    of: Array, shape: tuple[int, int], compute: Callable[[slice], npt.NDArray[N]]
) -> npt.NDArray[np.float64]:
    """Compute an array some rows at a time, in a file where ``of`` is in one.

    Args:
        of: What it is made of.
        shape: Its shape.
        compute: Returns the values of a run of rows, each independent of the others.
    """
    found = empty_like(of, shape, np.float64)
    for part in row_parts(*shape):
        found[part] = compute(part)
    return found


def filled_by_columns(
    of: Array, shape: tuple[int, int], compute: Callable[[slice], npt.NDArray[N]], *, n_read: int
) -> npt.NDArray[np.float64]:
    """Compute an array some columns at a time, in a file where ``of`` is in one.

    Args:
        of: What it is made of.
        shape: Its shape.
        compute: Returns the values of a run of columns, each independent of the others.
        n_read: Rows that it reads for each.
    """
    found = empty_like(of, shape, np.float64)
    step = max(1, COLUMN_VALUES // max(1, n_read, shape[0]))
    for start in range(0, shape[1], step):
        columns = slice(start, min(start + step, shape[1]))
        found[:, columns] = compute(columns)
        give_back_pages()
    return found


def slices(n: int, size: int) -> Iterator[slice]:
    """Cut n rows into slices of so many, of which the last may be shorter."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def row_parts(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Cut the rows of a table into parts of at most ``PART_VALUES`` values, or one row.

    Between two parts, pages of files are given back where there are many.
    """
    for part in slices(n_rows, max(1, PART_VALUES // max(1, n_columns))):
        yield part
        give_back_pages()


def give_back_pages() -> None:
    """Give pages of files back where more than ``RESIDENT`` bytes are in the process."""
    _LIVE.look()


def mean_row(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the rows of a table, (n, G) to (G,)."""
    if not in_file(table):
        mean: npt.NDArray[np.float64] = table.mean(axis=0)
        return mean
    # Row after row, as numpy adds them.
    total = np.array(table[0])
    for part in row_parts(len(table) - 1, table.shape[1]):
        for row in table[1:][part]:
            total += row
    total /= len(table)
    return total


def squared_lengths(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Squared length of each row, (n, G) to (n,)."""
    found = np.empty(len(table))
    for part in row_parts(*table.shape):
        np.einsum("ng,ng->n", table[part], table[part], out=found[part])
    return found


def finite_rows(table: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Tell which rows have neither NaN nor infinite values, (n,)."""
    found = np.empty(len(table), dtype=np.bool_)
    for part in row_parts(*table.shape):
        found[part] = np.isfinite(table[part]).all(axis=1)
    return found


def _pages_of(array: Array) -> mmap.mmap | None:
    """Return the mapped file behind an array or a view of one; None for one in memory."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _mapped(folder: Path, n_bytes: int) -> mmap.mmap:
    file = ScratchFile(folder)
    file.reserve(n_bytes)
    pages = mmap.mmap(file.descriptor, n_bytes)
    _LIVE.add(pages, folder)
    return pages


class _Live:
    """Mapped files that are in use, and the thread that keeps few of their pages in the process."""

    def __init__(self) -> None:
        self._folders: weakref.WeakKeyDictionary[mmap.mmap, Path] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._process = 0
        self._before = 0

    def add(self, pages: mmap.mmap, folder: Path) -> None:
        with self._lock:
            self._folders[pages] = folder
            # A forked process has no thread of its own yet.
            if self._process == os.getpid():
                return
            self._process = os.getpid()
        self._before = _shared_bytes()
        threading.Thread(target=self._look_after, name="mapped-tables", daemon=True).start()

    def folder_of(self, pages: mmap.mmap) -> Path:
        return self._folders[pages]

    def give_back(self) -> None:
        """Take all pages out of the process; the system's cache and the files keep them."""
        with self._lock:
            live = list(self._folders)
        for pages in live:
            pages.madvise(mmap.MADV_DONTNEED)

    def look(self) -> None:
        """Give pages back where there are many."""
        if self._folders and _shared_bytes() - self._before > RESIDENT:
            self.give_back()

    def _look_after(self) -> None:
        wait = threading.Event()
        while True:
            wait.wait(LOOK_S)
            self.look()


_LIVE = _Live()


def _shared_bytes() -> int:
    """Bytes of files in the memory of this process; a lot where the system does not say."""
    try:
        fields = Path("/proc/self/statm").read_bytes().split()
    except OSError:
        return 1 << 62
    return int(fields[2]) * mmap.PAGESIZE
