"""Expression of cells × genes: read into CSR without a second copy, checked, normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import DataError
from dygenept.types import FloatArray

if TYPE_CHECKING:
    import h5py
    from scipy import sparse

# Values are looked at in pieces of this many, so that no check allocates an array of their size.
CHUNK = 1 << 20
# log1p of the largest plausible scaled count is near 14; log1p of a cell's whole total below 20.
MAX_LOG_VALUE = 50.0


@dataclass(frozen=True, slots=True)
class ValueSummary:
    """What a look at all stored values found.

    Attributes:
        lowest: Smallest value; NaN if any is NaN.
        highest: Largest value; NaN if any is NaN.
        is_integral: True if every value is a whole number.
    """

    lowest: float
    highest: float
    is_integral: bool

    @property
    def is_finite(self) -> bool:
        """True if no value is NaN or infinite."""
        return bool(np.isfinite(self.lowest) and np.isfinite(self.highest))

    @property
    def looks_raw(self) -> bool:
        """True if the values are counts, or scaled counts without a logarithm."""
        return self.is_integral or self.highest > MAX_LOG_VALUE


def read_expression(file: h5py.File, notes: list[str]) -> sparse.csr_matrix:
    """Read ``X`` as CSR, float32, in canonical form: indices sorted, no explicit zero.

    A CSR matrix goes from disk straight into its final arrays. CSC is converted, which takes
    memory for a second copy and is reported in ``notes``.

    Raises:
        DataError: If ``X`` is dense, or its arrays disagree.
    """
    import h5py
    from scipy import sparse

    item = file["X"]
    if isinstance(item, h5py.Dataset):
        raise DataError(
            f"{file.filename}: X is dense; make it sparse and write the file again: "
            "adata.X = scipy.sparse.csr_matrix(adata.X)"
        )
    encoding = str(item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", "")))
    shape_of = item.attrs.get("shape", item.attrs.get("h5sparse_shape"))
    layout = encoding.removesuffix("_matrix")
    if layout not in ("csr", "csc") or shape_of is None:
        raise DataError(
            f"{file.filename}: X has the unknown encoding {encoding!r}; write it as CSR: "
            "adata.X = scipy.sparse.csr_matrix(adata.X)"
        )
    absent = [part for part in ("data", "indices", "indptr") if part not in item]
    if absent:
        raise DataError(f"{file.filename}: X lacks its {absent[0]}; write the file again")
    n_rows, n_columns = (int(size) for size in shape_of)
    n_major, n_minor = (n_rows, n_columns) if layout == "csr" else (n_columns, n_rows)
    data, indices, indptr = _arrays(item, n_major, n_minor)
    kind = sparse.csr_matrix if layout == "csr" else sparse.csc_matrix
    matrix = kind((data, indices, indptr), shape=(n_rows, n_columns), copy=False)
    if layout == "csc":
        matrix = matrix.tocsr()
        notes.append("X was CSC and was converted to CSR.")
    if not matrix.has_canonical_format:
        matrix.sum_duplicates()
    if not _is_all_nonzero(matrix.data):
        matrix.eliminate_zeros()
    return matrix


def check_values(matrix: sparse.csr_matrix, *, where: str, normalize: bool) -> None:
    """Refuse values that cannot be log1p expression (or counts, where these are to be normalised).

    Raises:
        DataError: If there is no value, or one is NaN, infinite or negative, or the values are
            raw counts and ``normalize`` is False, or they are not and it is True.
    """
    if matrix.nnz == 0:
        raise DataError(f"{where}: X contains only zeros; put log1p expression there")
    summary = summarise(matrix.data)
    if not summary.is_finite:
        raise DataError(
            f"{where}: X contains NaN or infinite values, {_count(matrix, finite=False)}; mend "
            "them before writing the file: adata.X.data = numpy.nan_to_num(adata.X.data, posinf=0)"
        )
    if summary.lowest < 0:
        raise DataError(
            f"{where}: X contains negative values, {_count(matrix, finite=True)}; z-scored or "
            "residual expression cannot be used: put log1p of scaled counts in X"
        )
    if summary.looks_raw and not normalize:
        what = "only whole numbers" if summary.is_integral else f"values up to {summary.highest:g}"
        raise DataError(
            f"{where}: X contains {what}, so it looks like raw counts, not log1p expression; pass "
            "--normalize, or run scanpy.pp.normalize_total(adata) and scanpy.pp.log1p(adata)"
        )
    if normalize and not summary.looks_raw:
        raise DataError(
            f"{where}: X is not raw counts (largest value {summary.highest:g}, not whole "
            "numbers), so it is already log1p expression; leave --normalize out"
        )


def summarise(values: FloatArray) -> ValueSummary:
    """Look at all values once, piece by piece."""
    lowest, highest, is_integral = np.inf, -np.inf, True
    for start in range(0, len(values), CHUNK):
        piece = values[start : start + CHUNK]
        with np.errstate(invalid="ignore"):
            lowest = float(np.minimum(lowest, piece.min()))
            highest = float(np.maximum(highest, piece.max()))
            is_integral = is_integral and bool((piece == np.rint(piece)).all())
    return ValueSummary(lowest, highest, is_integral)


def normalize_counts(matrix: sparse.csr_matrix) -> float:
    """Scale each cell to the median total of the cells with counts and take log1p, in place.

    Returns:
        The total that every cell was scaled to.

    Source: scanpy ``pp.normalize_total`` with ``target_sum=None``, then ``pp.log1p``.
    """
    n_rows = matrix.shape[0]
    totals = np.zeros(n_rows)
    blocks = row_blocks(matrix)
    for first, last in blocks:
        start, stop = matrix.indptr[first], matrix.indptr[last]
        lengths = np.diff(matrix.indptr[first : last + 1])
        rows = np.repeat(np.arange(last - first), lengths)
        totals[first:last] = np.bincount(
            rows, weights=matrix.data[start:stop], minlength=last - first
        )
    target = float(np.median(totals[totals > 0]))
    # A cell without counts stays without.
    scale = target / np.where(totals > 0, totals, target)
    for first, last in blocks:
        start, stop = matrix.indptr[first], matrix.indptr[last]
        lengths = np.diff(matrix.indptr[first : last + 1])
        piece = matrix.data[start:stop] * np.repeat(scale[first:last], lengths)
        matrix.data[start:stop] = np.log1p(piece)
    return target


def row_blocks(matrix: sparse.csr_matrix, n_values: int = CHUNK) -> list[tuple[int, int]]:
    """Cut rows into runs of about ``n_values`` stored values, each at least one row."""
    n_rows = matrix.shape[0]
    blocks: list[tuple[int, int]] = []
    first = 0
    while first < n_rows:
        limit = int(matrix.indptr[first]) + n_values
        last = int(np.searchsorted(matrix.indptr, limit, side="right")) - 1
        last = min(max(last, first + 1), n_rows)
        blocks.append((first, last))
        first = last
    return blocks


def _arrays(
    item: h5py.Group, n_major: int, n_minor: int
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.signedinteger]], np.ndarray]:
    n_values = item["data"].shape[0]
    if n_values > n_major * n_minor:
        raise DataError(f"{item.file.filename}: X has more values than places; write it again")
    index_type = np.int32 if n_values < np.iinfo(np.int32).max else np.int64
    data = np.empty(n_values, dtype=np.float32)
    indices = np.empty(n_values, dtype=index_type)
    indptr = item["indptr"][:].astype(index_type)
    if item["indices"].shape[0] != n_values or len(indptr) != n_major + 1:
        raise DataError(f"{item.file.filename}: the arrays of X disagree in length; write it again")
    if n_values:
        item["data"].read_direct(data)
        item["indices"].read_direct(indices)
    is_ordered = indptr[0] == 0 and indptr[-1] == n_values and bool((np.diff(indptr) >= 0).all())
    if not is_ordered or (n_values and not _within(indices, n_minor)):
        raise DataError(
            f"{item.file.filename}: the indices of X point outside of it; write it again"
        )
    return data, indices, indptr


def _within(indices: np.ndarray, size: int) -> bool:
    return bool(indices.min() >= 0 and indices.max() < size)


def _is_all_nonzero(values: FloatArray) -> bool:
    starts = range(0, len(values), CHUNK)
    with np.errstate(invalid="ignore"):
        return all(bool(values[start : start + CHUNK].all()) for start in starts)


def _count(matrix: sparse.csr_matrix, *, finite: bool) -> str:
    n_bad, first = 0, -1
    for start in range(0, matrix.nnz, CHUNK):
        piece = matrix.data[start : start + CHUNK]
        bad = np.flatnonzero(piece < 0 if finite else ~np.isfinite(piece))
        if len(bad) and first < 0:
            first = start + int(bad[0])
        n_bad += len(bad)
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    return f"{n_bad:,} in all, the first in row {row}, column {int(matrix.indices[first])}"
