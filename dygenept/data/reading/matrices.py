"""Matrices of an ``.h5ad`` file, read into CSR in blocks: CSR, CSC and dense alike.

No dense copy is made and CSC is not read whole beside its conversion, so that memory is in
proportion to the CSR result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.data.reading.encodings import check_size, read_array, text_attribute
from dygenept.errors import DataError
from dygenept.machine.threads import pages_touched

if TYPE_CHECKING:
    import h5py
    from scipy import sparse

    from dygenept.types import FloatArray

    Indices = npt.NDArray[np.signedinteger[Any]]

# Values that are in memory at a time beside the result.
BLOCK = 1 << 22
NUMERIC = "biuf"


def read_matrix(
    item: h5py.Group | h5py.Dataset,
    shape: tuple[int, int],
    *,
    called: str,
    notes: list[str],
    dense_type: type[np.floating[Any]] = np.float32,
) -> sparse.csr_matrix:
    """Read a matrix as CSR, float32, in canonical form: indices sorted, no explicit zero.

    Args:
        item: A sparse matrix of anndata, or a dense one.
        shape: Cells × genes that it must have.
        called: What errors call it, such as ``X``.
        notes: Gets a sentence where something was converted.
        dense_type: Type of the values that were dense.

    Raises:
        DataError: If its shape is another, its arrays disagree, or its values are not numbers.
    """
    import h5py

    where = f"{item.file.filename}: {called}"
    if isinstance(item, h5py.Dataset):
        checked_dense(item, shape, where)
        matrix = csr_of_blocks(item, shape, dense_type)
    else:
        layout = layout_of(item, shape, where)
        data, indices, indptr = checked_parts(
            item, shape if layout == "csr" else shape[::-1], where
        )
        matrix = (
            _from_csr(data, indices, indptr, shape)
            if layout == "csr"
            else _from_csc(data, indices, indptr, shape)
        )
        if layout == "csc":
            notes.append(f"{called} was CSC and was converted to CSR.")
    return canonical(matrix)


def canonical(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Sort the indices of a matrix, add up duplicates and drop explicit zeros, in place."""
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
    if np.count_nonzero(matrix.data) < matrix.nnz:
        matrix.eliminate_zeros()
    return matrix


def checked_dense(item: h5py.Dataset, shape: tuple[int, int], where: str) -> None:
    """Refuse a dense matrix that has another shape, contains no numbers or claims too much.

    Raises:
        DataError: As said; ``where`` is what it calls the matrix.
    """
    _check_shape(item.shape, shape, where)
    _check_numeric(item, where)
    check_size(item, called=where)


def csr_of_blocks(
    rows: Any, shape: tuple[int, int], dtype: type[np.floating[Any]] = np.float32
) -> sparse.csr_matrix:
    """Make CSR of anything two-dimensional that can be cut into runs of rows."""
    from scipy import sparse

    blocks = list(csr_blocks(rows, shape, dtype))
    if not blocks:
        return sparse.csr_matrix(shape, dtype=dtype)
    return sparse.vstack(blocks, format="csr", dtype=dtype)


def csr_blocks(
    rows: Any, shape: tuple[int, int], dtype: type[np.floating[Any]] = np.float32
) -> Iterator[sparse.csr_matrix]:
    """Yield CSR of its rows in order, in blocks."""
    from scipy import sparse

    size = max(1, BLOCK // max(1, shape[1]))
    for start in range(0, shape[0], size):
        with np.errstate(over="ignore"):
            yield sparse.csr_matrix(rows[start : start + size], dtype=dtype)


def _check_shape(found: object, wanted: tuple[int, int], where: str) -> None:
    sizes = tuple(found) if isinstance(found, tuple | list | np.ndarray) else ()
    if sizes != wanted:
        shown = " × ".join(map(str, sizes)) or "a single value"
        raise DataError(
            f"{where} is {shown}, but obs has {wanted[0]} rows and var {wanted[1]}; write the file "
            "again"
        )


def _check_numeric(item: h5py.Dataset, where: str) -> None:
    if item.dtype.kind not in NUMERIC:
        raise DataError(f"{where} has values of type {item.dtype}; put numbers there")


def layout_of(item: h5py.Group, shape: tuple[int, int], where: str) -> str:
    """Return ``csr`` or ``csc``, as a sparse matrix says of itself.

    Raises:
        DataError: If it says something else, lacks an array, or has another shape.
    """
    encoding = text_attribute(item, "encoding-type", "h5sparse_format")
    layout = encoding.removesuffix("_matrix")
    found = item.attrs.get("shape", item.attrs.get("h5sparse_shape"))
    if layout not in ("csr", "csc") or found is None:
        raise DataError(
            f"{where} has the unknown encoding {encoding!r}; write it as CSR: "
            "adata.X = scipy.sparse.csr_matrix(adata.X)"
        )
    absent = [part for part in ("data", "indices", "indptr") if part not in item]
    if absent:
        raise DataError(f"{where} lacks its {absent[0]}; write the file again")
    _check_shape(found, shape, where)
    return layout


def checked_parts(
    item: h5py.Group, sizes: tuple[int, int], where: str
) -> tuple[h5py.Dataset, h5py.Dataset, Indices]:
    """Return data and indices unread, and indptr checked; sizes are (major, minor)."""
    import h5py

    data, indices = item["data"], item["indices"]
    for part in (data, indices):
        if not isinstance(part, h5py.Dataset) or part.shape is None or part.ndim != 1:
            raise DataError(f"{where}: its arrays are not of one dimension; write it again")
        _check_numeric(part, where)
        check_size(part, called=where)
    n_values = data.shape[0]
    if n_values > sizes[0] * sizes[1]:
        raise DataError(f"{where} has more values than places; write it again")
    indptr = read_array(item["indptr"], called=where)
    if indices.shape[0] != n_values or len(indptr) != sizes[0] + 1:
        raise DataError(f"{where}: its arrays disagree in length; write it again")
    index_type = np.int32 if n_values < np.iinfo(np.int32).max else np.int64
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise DataError(f"{where}: its indices are not whole numbers; write it again")
    is_ordered = (
        indptr[0] == 0
        and indptr[-1] == n_values
        and bool((np.diff(indptr.astype(np.int64)) >= 0).all())
    )
    if not is_ordered:
        raise DataError(f"{where}: its indices point outside of it; write it again")
    return data, indices, indptr.astype(index_type)


def _from_csr(
    data: h5py.Dataset, indices: h5py.Dataset, indptr: Indices, shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Read from disk straight into the final arrays."""
    from scipy import sparse

    values = np.empty(data.shape[0], dtype=np.float32)
    places = np.empty(data.shape[0], dtype=indptr.dtype)
    if len(values):
        with pages_touched(places):
            data.read_direct(values)
        indices.read_direct(places)
        check_within(places, shape[1], indices)
    return sparse.csr_matrix((values, places, indptr), shape=shape, copy=False)


def _from_csc(
    data: h5py.Dataset, indices: h5py.Dataset, starts: Indices, shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Count the values of each row, then put each block of columns where its rows are."""
    from scipy import sparse

    n_rows, n_columns = shape
    sizes = np.zeros(n_rows, dtype=np.int64)
    for start in range(0, data.shape[0], BLOCK):
        rows = indices[start : start + BLOCK]
        check_within(rows, n_rows, indices)
        sizes += np.bincount(rows, minlength=n_rows)
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(starts.dtype)
    values: FloatArray = np.empty(data.shape[0], dtype=np.float32)
    places = np.empty(data.shape[0], dtype=starts.dtype)
    free = indptr[:-1].astype(np.int64)
    first = 0
    while first < n_columns:
        last = int(np.searchsorted(starts, starts[first] + BLOCK, side="right")) - 1
        last = min(max(last, first + 1), n_columns)
        part = slice(int(starts[first]), int(starts[last]))
        block = sparse.csc_matrix(
            (data[part].astype(np.float32), indices[part], starts[first : last + 1] - part.start),
            shape=(n_rows, last - first),
        ).tocsr()
        lengths = np.diff(block.indptr)
        target = np.repeat(free - block.indptr[:-1], lengths) + np.arange(len(block.data))
        values[target] = block.data
        places[target] = block.indices + first
        free += lengths
        first = last
    return sparse.csr_matrix((values, places, indptr), shape=shape, copy=False)


def runs_of_rows(indptr: Indices, n_values: int) -> list[tuple[int, int]]:
    """Cut rows into runs of about ``n_values`` stored values, each at least one row."""
    runs: list[tuple[int, int]] = []
    first, n_rows = 0, len(indptr) - 1
    while first < n_rows:
        limit = int(indptr[first]) + n_values
        last = int(np.searchsorted(indptr, limit, side="right")) - 1
        last = min(max(last, first + 1), n_rows)
        runs.append((first, last))
        first = last
    return runs


def check_within(places: Indices, size: int, item: h5py.Dataset) -> None:
    """Refuse indices that point outside of the matrix.

    Raises:
        DataError: As said.
    """
    if len(places) and not 0 <= places.min() <= places.max() < size:
        raise DataError(
            f"{item.file.filename}: the indices of {item.parent.name.strip('/')} point outside of "
            "it; write it again"
        )
