"""A matrix of a file as consecutive blocks of rows: what is kept in a file is read in this way.

Memory is that of a block. What is checked, and what comes out row by row, is as in ``matrices``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.data.reading.matrices import (
    BLOCK,
    canonical,
    check_within,
    checked_dense,
    checked_parts,
    csr_blocks,
    layout_of,
    runs_of_rows,
)
from dygenept.data.reading.stored_cells import StoredRun
from dygenept.types import FloatArray, IntArray

if TYPE_CHECKING:
    import h5py
    from scipy import sparse

    Offsets = npt.NDArray[np.signedinteger[Any]]


def matrix_blocks(
    item: h5py.Group | h5py.Dataset,
    shape: tuple[int, int],
    *,
    called: str,
    notes: list[str],
    folder: Path,
) -> Iterator[sparse.csr_matrix]:
    """Yield the rows of a matrix in order, in blocks, as ``read_matrix`` returns them at once.

    Args:
        item: A sparse matrix of anndata, or a dense one.
        shape: Cells × genes that it must have.
        called: What errors call it, such as ``X``.
        notes: Gets a sentence where something was converted.
        folder: Where a CSC matrix is sorted, in a temporary file of its size.

    Raises:
        DataError: If its shape is another, its arrays disagree, or its values are not numbers.
    """
    import h5py

    where = f"{item.file.filename}: {called}"
    if isinstance(item, h5py.Dataset):
        checked_dense(item, shape, where)
        blocks = csr_blocks(item, shape)
    else:
        layout = layout_of(item, shape, where)
        data, indices, indptr = checked_parts(
            item, shape if layout == "csr" else shape[::-1], where
        )
        if layout == "csc":
            notes.append(f"{called} was CSC and was converted to CSR.")
            blocks = _csc(data, indices, indptr, shape, folder)
        else:
            blocks = _csr(data, indices, indptr, shape)
    for block in blocks:
        yield canonical(block)


def _csr(
    data: h5py.Dataset, indices: h5py.Dataset, indptr: Offsets, shape: tuple[int, int]
) -> Iterator[sparse.csr_matrix]:
    from scipy import sparse

    for first, last in runs_of_rows(indptr, BLOCK):
        part = np.s_[int(indptr[first]) : int(indptr[last])]
        values: FloatArray = np.empty(part.stop - part.start, dtype=np.float32)
        places: IntArray = np.empty(len(values), dtype=np.int32)
        if len(values):
            data.read_direct(values, part)
            own = indices[part]
            # Before they are made 32 bits wide, which may hide what is outside.
            check_within(own, shape[1], indices)
            places[:] = own
        yield sparse.csr_matrix(
            (values, places, (indptr[first : last + 1] - part.start).astype(np.int32)),
            shape=(last - first, shape[1]),
            copy=False,
        )


def _csc(
    data: h5py.Dataset,
    indices: h5py.Dataset,
    starts: Offsets,
    shape: tuple[int, int],
    folder: Path,
) -> Iterator[sparse.csr_matrix]:
    """Put values into buckets of rows, in a file; then each bucket is small enough to be sorted."""
    from scipy import sparse

    n_rows = shape[0]
    sizes = np.zeros(n_rows, dtype=np.int64)
    for start in range(0, data.shape[0], BLOCK):
        rows = indices[start : start + BLOCK]
        check_within(rows, n_rows, indices)
        sizes += np.bincount(rows, minlength=n_rows)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    buckets = runs_of_rows(indptr, BLOCK)
    edges = [first for first, _ in buckets]
    free = indptr[edges]
    bucket_of = np.repeat(np.arange(len(buckets)), np.diff([*edges, n_rows]))
    values, places = StoredRun(folder, np.float32), StoredRun(folder, np.int32)
    own_rows = StoredRun(folder, np.int32)
    for start in range(0, data.shape[0], BLOCK):
        rows = indices[start : start + BLOCK]
        order = np.argsort(bucket_of[rows], kind="stable")
        n_each = np.bincount(bucket_of[rows], minlength=len(buckets))
        columns = np.searchsorted(starts, np.arange(start, start + len(rows)), side="right") - 1
        sorted_parts = (
            (values, data[start : start + BLOCK].astype(np.float32)[order]),
            (places, columns[order]),
            (own_rows, rows[order]),
        )
        ends = np.cumsum(n_each)
        for bucket in np.flatnonzero(n_each).tolist():
            part = np.s_[ends[bucket] - n_each[bucket] : ends[bucket]]
            for run, found in sorted_parts:
                run.place(int(free[bucket]), found[part])
            free[bucket] += n_each[bucket]
    for first, last in buckets:
        start, stop = int(indptr[first]), int(indptr[last])
        order = np.argsort(own_rows[start:stop], kind="stable")
        yield sparse.csr_matrix(
            (
                values[start:stop][order],
                places[start:stop][order],
                (indptr[first : last + 1] - start).astype(np.int32),
            ),
            shape=(last - first, shape[1]),
        )


def chosen_rows(blocks: Iterator[sparse.csr_matrix], rows: IntArray) -> Iterator[sparse.csr_matrix]:
    """Yield of consecutive blocks of rows only some rows, given by position, ascending."""
    first = 0
    for block in blocks:
        last = first + block.shape[0]
        own = rows[np.searchsorted(rows, first) : np.searchsorted(rows, last)]
        yield block[own - first]
        first = last
