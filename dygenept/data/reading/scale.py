"""The scale that expression is on: counts, scaled counts, or a logarithm of them.

Counts of one cell are whole numbers, and whatever scales a cell multiplies all of them by one
factor. So once the right transformation is undone, the values of a cell are whole multiples of a
step; on a wrong scale, or after a correction for batches, they are not. This is exact, and a look
at a few hundred cells suffices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from dygenept.types import DoubleArray
from dygenept.types.cells import CellMatrix

Scale = Literal["counts", "scaled counts", "log1p", "log2", "log10", "square root", "log1p twice"]

# Tried in this order: whole numbers are also multiples after 2^x - 1 and after squaring.
_UNDO: Mapping[Scale, Callable[[DoubleArray], DoubleArray]] = MappingProxyType(
    {
        "scaled counts": lambda values: values,
        "log1p": np.expm1,
        "log2": lambda values: np.exp2(values) - 1,
        "log10": lambda values: np.power(10.0, values) - 1,
        "square root": np.square,
        "log1p twice": lambda values: np.expm1(np.expm1(values)),
    }
)
N_CELLS = 300
# A cell tells something if it has as many different values; scales are told by as many such cells.
MIN_VALUES = 4
MIN_CELLS = 5
MIN_SHARE = 0.8
# The smallest count of a cell may be 2 or 3. Beyond such multiples float32 is too coarse.
MAX_SMALLEST = 3
MAX_MULTIPLE = 200.0
# The step is the same in all cells, while their totals vary by as much (as a share of their mean).
SAME_STEP = 1e-3
MIN_SPREAD = 0.05
# scanpy.pp.scale without centring leaves each gene with a standard deviation of exactly 1.
UNIT_DEVIATION = 1e-3
MIN_GENES = 10
# Values that are looked at together.
CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class ScaleFinding:
    """What the values of single cells say of their scale.

    Attributes:
        scale: The scale; None where the cells fit none, as after a correction for batches.
        common_step: The factor that the counts of all cells were multiplied by, where it is one
            for all while their totals differ: nothing was scaled cell by cell. None otherwise.
    """

    scale: Scale | None
    common_step: float | None = None


def find_scale(matrix: CellMatrix) -> ScaleFinding:
    """Tell the scale of positive, finite expression, cells × genes, from a sample of cells."""
    cells = [values for values in _cells(matrix) if len(np.unique(values)) >= MIN_VALUES]
    if len(cells) < MIN_CELLS:
        return ScaleFinding(None)
    for scale, undo in _UNDO.items():
        steps = np.array([_step(values, undo) for values in cells])
        is_stepped = steps > 0
        if is_stepped.mean() < MIN_SHARE:
            continue
        if scale == "scaled counts" and np.allclose(steps[is_stepped], 1.0, rtol=1e-6):
            return ScaleFinding("counts")
        totals = np.array([undo(values).sum() for values in cells])
        return ScaleFinding(scale, _common(steps[is_stepped], totals[is_stepped]))
    return ScaleFinding(None)


def has_unit_variance(matrix: CellMatrix) -> bool:
    """Tell whether every gene was divided by its standard deviation, as for a PCA."""
    n_cells = matrix.shape[0]
    if n_cells < 2:
        return False
    # A sample settles most files without a look at all values.
    sample = matrix[sampled_rows(n_cells)]
    sums, squares = gene_sums(sample)
    if not _deviates_by_one(sums, squares, sample.shape[0], tolerance=0.5, most=0.8):
        return False
    return has_unit_sums(*gene_sums(matrix), n_cells)


def has_unit_sums(sums: DoubleArray, squares: DoubleArray, n_cells: int) -> bool:
    """Tell the same from each gene's sum and sum of squares over all cells, (G,) each."""
    return n_cells > 1 and _deviates_by_one(
        sums, squares, n_cells, tolerance=UNIT_DEVIATION, most=0.2
    )


def sampled_rows(n_rows: int) -> np.ndarray:
    """Return the rows of the cells that are looked at, in order."""
    return np.unique(np.linspace(0, n_rows - 1, min(n_rows, N_CELLS)).astype(np.int64))


def _cells(matrix: CellMatrix) -> list[DoubleArray]:
    return [
        matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]].astype(np.float64)
        for row in sampled_rows(matrix.shape[0])
    ]


def _step(values: DoubleArray, undo: Callable[[DoubleArray], DoubleArray]) -> float:
    """Return the largest step of which all values are whole multiples; 0 where there is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        undone = undo(np.unique(values))
        ratios = undone / undone[0]
    ratios = ratios[ratios <= MAX_MULTIPLE]
    if len(ratios) < MIN_VALUES:
        return 0.0
    for smallest in range(1, MAX_SMALLEST + 1):
        multiples = ratios * smallest
        if (np.abs(multiples - np.rint(multiples)) <= 1e-3 + 1e-4 * multiples).all():
            return float(undone[0] / smallest)
    return 0.0


def _common(steps: DoubleArray, totals: DoubleArray) -> float | None:
    is_same = steps.max() <= steps.min() * (1 + SAME_STEP)
    return (
        float(np.median(steps)) if is_same and totals.std() > MIN_SPREAD * totals.mean() else None
    )


def _deviates_by_one(
    sums: DoubleArray, squares: DoubleArray, n_cells: int, *, tolerance: float, most: float
) -> bool:
    """Tell whether more than a share of the genes that vary have a standard deviation near 1.

    Args:
        sums: Sum of each gene over cells, (G,).
        squares: Sum of its squares, (G,).
        n_cells: Number of cells.
        tolerance: What counts as near.
        most: The share.
    """
    variance = (squares - sums**2 / n_cells) / (n_cells - 1)
    deviation = np.sqrt(variance[variance > 0])
    return len(deviation) >= MIN_GENES and bool((np.abs(deviation - 1) < tolerance).mean() > most)


def gene_sums(matrix: CellMatrix) -> tuple[DoubleArray, DoubleArray]:
    """Return the sum of each gene and that of its squares, (G,) each."""
    n_genes = matrix.shape[1]
    sums, squares = np.zeros(n_genes), np.zeros(n_genes)
    for start in range(0, matrix.nnz, CHUNK):
        genes = matrix.indices[start : start + CHUNK]
        values = matrix.data[start : start + CHUNK].astype(np.float64)
        sums += np.bincount(genes, weights=values, minlength=n_genes)
        squares += np.bincount(genes, weights=values**2, minlength=n_genes)
    return sums, squares
