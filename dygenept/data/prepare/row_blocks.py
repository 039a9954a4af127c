"""The cells of a matrix in a file, a block of rows at a time: CSR, CSC and dense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.matrices import (
    BLOCK,
    canonical,
    check_within,
    checked_dense,
    checked_parts,
    layout_of,
)

if TYPE_CHECKING:
    import h5py
    from scipy import sparse

# Values of a CSC matrix that are gathered in one pass over it.
GATHERED = 1 << 26


def row_blocks(
    item: h5py.Group | h5py.Dataset, shape: tuple[int, int], *, called: str
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield the first row and the values, CSR float32, of each block of rows, in order.

    Indices are sorted and no zero is stored, as where a matrix is read whole: a stored zero is no
    value. Memory is that of a block. A CSC matrix is gone through once per ``GATHERED`` values.

    Raises:
        DataError: If the matrix is damaged, of another shape, or contains no numbers.
    """
    import h5py

    where = f"{item.file.filename}: {called}"
    if isinstance(item, h5py.Dataset):
        checked_dense(item, shape, where)
        blocks = _dense(item, shape)
    elif layout_of(item, shape, where) == "csc":
        blocks = _csc(item, shape, where)
    else:
        blocks = _csr(item, shape, where)
    for first, block in blocks:
        yield first, canonical(block)


def _dense(item: h5py.Dataset, shape: tuple[int, int]) -> Iterator[tuple[int, sparse.csr_matrix]]:
    from scipy import sparse

    size = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], size):
        with np.errstate(over="ignore"):
            block = sparse.csr_matrix(item[start : start + size], dtype=np.float32)
        yield start, block


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
        check_within(places, shape[1], indices)
        block = sparse.csr_matrix(
            (
                np.asarray(data[part], dtype=np.float32),
                places,
                indptr[first : last + 1] - part.start,
            ),
            shape=(last - first, shape[1]),
        )
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
            check_within(rows, shape[0], indices)
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
