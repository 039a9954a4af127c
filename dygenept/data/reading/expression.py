"""Expression of cells × genes: its values and their scale checked, counts normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.matrices import runs_of_rows
from dygenept.data.reading.places import Place
from dygenept.data.reading.scale import Scale, ScaleFinding, find_scale, has_unit_variance
from dygenept.errors import DataError
from dygenept.types import FloatArray

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.data.reading.stored_cells import StoredCells
    from dygenept.types.cells import CellMatrix, StoredValues

# Values are looked at in pieces of this many, so that no check allocates an array of their size.
CHUNK = 1 << 20
# log1p of the largest plausible scaled count is near 14; log1p of a cell's whole total below 20.
MAX_LOG_VALUE = 50.0
_NORMALIZE = "pass --normalize, or run scanpy.pp.normalize_total(adata) and scanpy.pp.log1p(adata)"
# What else a logarithm may be, and what makes log1p of it.
_MENDS: Mapping[Scale | None, tuple[str, str]] = MappingProxyType(
    {
        "log2": ("log2(1 + x)", "convert it: {x} = {x} * numpy.log(2)"),
        "log10": ("log10(1 + x)", "convert it: {x} = {x} * numpy.log(10)"),
        "square root": ("a square root of counts", "convert it: {x} = numpy.log1p({x} ** 2)"),
        "log1p twice": ("log1p taken twice", "undo one: {x} = numpy.expm1({x})"),
    }
)


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


def check_values(matrix: CellMatrix, place: Place, *, normalize: bool) -> tuple[str, ...]:
    """Refuse values that cannot be log1p expression (or counts, where these are to be normalised).

    Args:
        matrix: Expression, cells × genes.
        place: Where it was read from; what errors call it, and where other matrices are.
        normalize: The values are counts, to be scaled and put on the log1p scale afterwards.

    Returns:
        What the user should know of the scale, one sentence each.

    Raises:
        DataError: If there is no value, or one is NaN, infinite or negative; if the values are on
            another scale than log1p and ``normalize`` is False; if they are neither counts nor
            scaled counts and it is True.
    """
    if matrix.nnz == 0:
        raise no_values(place)
    summary = summarise(matrix.data)
    if not summary.is_finite or summary.lowest < 0:
        raise bad_values(place, summary, _count(matrix, finite=summary.is_finite))
    return check_scale(
        place,
        summary,
        find_scale(matrix),
        normalize=normalize,
        is_unit=lambda: has_unit_variance(matrix),
    )


def no_values(place: Place) -> DataError:
    """Return the error of a matrix without values."""
    return DataError(
        f"{place.where}: {place.called} contains only zeros; put log1p expression there"
        + place.others()
    )


def bad_values(place: Place, summary: ValueSummary, count: str) -> DataError:
    """Return the error of values that no expression has.

    Args:
        place: Where they were read from.
        summary: What was found.
        count: How many of them, and where the first is.
    """
    x, mend = f"{place.where}: {place.called}", place.code
    if not summary.is_finite:
        return DataError(
            f"{x} contains NaN or infinite values, {count}; mend them before writing the file: "
            f"{mend} = numpy.nan_to_num({mend}, posinf=0)"
        )
    return DataError(
        f"{x} contains negative values, {count}; z-scored or residual expression cannot be used: "
        "put log1p of scaled counts there" + place.others()
    )


def check_scale(
    place: Place,
    summary: ValueSummary,
    found: ScaleFinding,
    *,
    normalize: bool,
    is_unit: Callable[[], bool],
) -> tuple[str, ...]:
    """Refuse a scale that cannot be used.

    Args:
        place: Where the values were read from.
        summary: Their range.
        found: What a sample of cells says of their scale.
        normalize: They are counts.
        is_unit: Tells whether every gene has a standard deviation of 1.

    Returns:
        What the user should know of the scale, one sentence each.

    Raises:
        DataError: As ``check_values``.
    """
    x, mend = f"{place.where}: {place.called}", place.code
    if normalize:
        return _checked_counts(x, summary, found)
    if summary.is_integral or found.scale == "counts":
        raise DataError(
            f"{x} contains only whole numbers, so it looks like raw counts, not log1p expression; "
            f"{_NORMALIZE}"
        )
    if found.scale == "scaled counts":
        raise DataError(
            f"{x} contains scaled counts without a logarithm, values up to {summary.highest:g} (in "
            f"each cell they are whole multiples of one step); {_NORMALIZE}"
        )
    if found.scale in _MENDS:
        what, code = _MENDS[found.scale]
        raise DataError(f"{x} is {what}, not log1p of scaled counts; {code.format(x=mend)}")
    if summary.looks_raw:
        raise DataError(
            f"{x} contains values up to {summary.highest:g}, so it looks like raw counts, not "
            f"log1p expression; {_NORMALIZE}"
        )
    if is_unit():
        raise DataError(
            f"{x} has a standard deviation of 1 in each gene, so it was scaled gene by gene (as "
            "scanpy.pp.scale does); put log1p of scaled counts there" + place.others()
        )
    if found.common_step is not None:
        return (
            f"{place.called} is log1p of counts that were not scaled cell by cell (they are whole "
            f"multiples of {found.common_step:.4g} in every cell), so deeper cells seem to express "
            "more; if that is not intended, pass the counts with --normalize.",
        )
    return ()


def _checked_counts(x: str, summary: ValueSummary, found: ScaleFinding) -> tuple[str, ...]:
    """Refuse what is neither counts nor scaled counts."""
    if found.scale == "log1p":
        raise DataError(
            f"{x} is not raw counts (largest value {summary.highest:g}): it is already log1p "
            "expression; leave --normalize out"
        )
    if found.scale in _MENDS:
        raise DataError(
            f"{x} is not raw counts: it is {_MENDS[found.scale][0]}; undo that before --normalize"
        )
    if found.scale == "scaled counts":
        return (f"The counts had been scaled already (largest value {summary.highest:g}).",)
    if not summary.looks_raw:
        raise DataError(
            f"{x} is not raw counts (largest value {summary.highest:g}, not whole numbers, nor "
            "multiples of one step in any cell); leave --normalize out if it is log1p expression"
        )
    return ()


def summarise(values: FloatArray | StoredValues) -> ValueSummary:
    """Look at all values once, piece by piece."""
    lowest, highest, is_integral = np.inf, -np.inf, True
    for start in range(0, len(values), CHUNK):
        piece = values[start : start + CHUNK]
        with np.errstate(invalid="ignore"):
            lowest = float(np.minimum(lowest, piece.min()))
            highest = float(np.maximum(highest, piece.max()))
            is_integral = is_integral and bool((piece == np.rint(piece)).all())
    return ValueSummary(lowest, highest, is_integral)


def normalize_counts(matrix: sparse.csr_matrix | StoredCells) -> float:
    """Scale each cell to the median total of the cells with counts and take log1p, in place.

    Returns:
        The total that every cell was scaled to.

    Source: scanpy ``pp.normalize_total`` with ``target_sum=None``, then ``pp.log1p``.
    """
    n_rows = matrix.shape[0]
    totals = np.zeros(n_rows)
    blocks = runs_of_rows(matrix.indptr, CHUNK)
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


def row_blocks(matrix: CellMatrix, n_values: int = CHUNK) -> list[tuple[int, int]]:
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


def _count(matrix: CellMatrix, *, finite: bool) -> str:
    """Say how many values are negative (of finite ones) or not finite, and where the first is."""
    n_bad, first = 0, -1
    for start in range(0, matrix.nnz, CHUNK):
        piece = matrix.data[start : start + CHUNK]
        bad = np.flatnonzero(piece < 0 if finite else ~np.isfinite(piece))
        if len(bad) and first < 0:
            first = start + int(bad[0])
        n_bad += len(bad)
    row = int(np.searchsorted(matrix.indptr, first, side="right")) - 1
    column = int(matrix.indices[first : first + 1][0])
    return f"{n_bad:,} in all, the first in row {row}, column {column}"
