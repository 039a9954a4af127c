"""The cells of a matrix in a file, a block of rows at a time: CSR, CSC and dense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.encodings import text_attribute
from dygenept.data.reading.matrices import BLOCK, checked_parts
from dygenept.errors import DataError

if TYPE_CHECKING:
    import h5py
    from scipy import sparse

# Values of a CSC matrix that are gathered in one pass over it.
GATHERED = 1 << 26


def row_blocks(
    item: h5py.Group | h5py.Dataset, shape: tuple[int, int], *, called: str
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield the first row and the values, CSR float32, of each block of rows, in order.

    Memory is that of a block. A CSC matrix is gone through once per ``GATHERED`` values.

    Raises:
        DataError: If the matrix is damaged or of another shape.
    """
    import h5py

    where = f"{item.file.filename}: {called}"
    if isinstance(item, h5py.Dataset):
        if item.shape != shape or item.dtype.kind not in "biuf":
            raise DataError(f"{where} is not a matrix of {shape[0]} × {shape[1]} numbers")
        yield from _dense(item, shape)
    elif text_attribute(item, "encoding-type", "h5sparse_format").startswith("csc"):
        yield from _csc(item, shape, where)
    else:
        yield from _csr(item, shape, where)


def _dense(item: h5py.Dataset, shape: tuple[int, int]) -> Iterator[tuple[int, sparse.csr_matrix]]:
    from scipy import sparse

    size = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], size):
        yield start, sparse.csr_matrix(item[start : start + size], dtype=np.float32)


def _csr(
    item: h5py.Group, shape: tuple[int, int], where: str
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    from scipy import sparse

    data, indices, indptr = checked_parts(item, shape, where)
    first = 0
    while first < shape[0]:
        last = int(np.searchsorted(indptr, indptr[first] + BLOCK, side="right")) - 1
        last = min(max(last, first + 1), shape[0])
        part = slice(int(indptr[first]), int(indptr[last]))
        places = np.asarray(indices[part])
        _check(places, shape[1], where)
        block = sparse.csr_matrix(
            (
                np.asarray(data[part], dtype=np.float32),
                places,
                indptr[first : last + 1] - part.start,
            ),
            shape=(last - first, shape[1]),
        )
        block.sum_duplicates()
        yield first, block
        first = last


def _csc(
    item: h5py.Group, shape: tuple[int, int], where: str
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    from scipy import sparse

    data, indices, starts = checked_parts(item, shape[::-1], where)
    n_blocks = max(1, -(-data.shape[0] // GATHERED))
    edges = np.linspace(0, shape[0], n_blocks + 1).astype(np.int64)
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        gathered: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for start in range(0, data.shape[0], BLOCK):
            rows = np.asarray(indices[start : start + BLOCK])
            _check(rows, shape[0], where)
            kept = np.flatnonzero((rows >= first) & (rows < last))
            if len(kept):
                values = np.asarray(data[start : start + BLOCK], dtype=np.float32)[kept]
                own = np.searchsorted(starts, start + kept, side="right") - 1
                gathered.append((values, rows[kept] - first, own.astype(np.int32)))
        block = sparse.csr_matrix((last - first, shape[1]), dtype=np.float32)
        if gathered:
            values, rows, own = (np.concatenate(part) for part in zip(*gathered, strict=True))
            block = sparse.csr_matrix((values, (rows, own)), shape=block.shape)
        for row in range(0, last - first, max(1, BLOCK // max(1, shape[1]))):
            stop = min(row + max(1, BLOCK // max(1, shape[1])), last - first)
            yield first + row, block[row:stop]


def _check(places: np.ndarray, size: int, where: str) -> None:
    if len(places) and not 0 <= places.min() <= places.max() < size:
        raise DataError(f"{where}: its indices point outside of it; write it again")
