"""Products and decompositions of large arrays: in blocks, in place, and in files where these are.

What has at most ``BLOCK_VALUES`` values is computed by one call. Anything larger is cut into blocks
that depend on its shape alone, so that an array in a file gives bit for bit what one in memory
gives. Arrays in files are those of ``dygenept.machine.tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.machine.tables import empty_like, filled, give_back_pages, row_parts

Doubles = npt.NDArray[np.float64]

# Values of the larger of two blocks that are multiplied: 64 MiB.
BLOCK_VALUES = 1 << 23


def blocks(n_along: int, n_across: int) -> Iterator[slice]:
    """Cut rows or columns into runs of at most ``BLOCK_VALUES`` values, or one.

    Between two runs, pages of files are given back where there are many.

    Args:
        n_along: Rows or columns to cut.
        n_across: Values of each.
    """
    step = max(1, BLOCK_VALUES // max(1, n_across))
    for start in range(0, n_along, step):
        yield slice(start, min(start + step, n_along))
        give_back_pages()


def is_large(array: npt.NDArray[Any]) -> bool:
    """True if an array is computed with in blocks."""
    return array.size > BLOCK_VALUES


def product(left: Doubles, right: Doubles) -> Doubles:
    """Multiply, (m, n) by (n, c) to (m, c), in a file where ``right`` is in one."""
    shape = left.shape[0], right.shape[1]
    found = empty_like(right, shape, np.float64)
    for columns in blocks(shape[1], max(left.shape)):
        np.matmul(left, right[:, columns], out=found[:, columns])
    return found


def add_row(table: Doubles, row: Doubles) -> Doubles:
    """Add a row, (c,), to each row of a table in place, and return the table."""
    for part in row_parts(*table.shape):
        table[part] += row
    return table


def without_row(table: Doubles, row: Doubles) -> Doubles:
    """Copy a table without what each of its rows has in common, (n, c) less (c,)."""
    return filled(table, table.shape, lambda part: table[part] - row)


def of_rows(table: Doubles, compute: Callable[[Doubles], Doubles]) -> Doubles:
    """Compute a number of each row, (n, c) to (n,), some rows at a time."""
    found = np.empty(len(table))
    for rows in blocks(*table.shape):
        found[rows] = compute(table[rows])
    return found


def gram(table: Doubles) -> Doubles:
    """Inner products of all rows, (n, c) to (n, n), always in memory."""
    if not is_large(table):
        return table @ table.T
    from scipy.linalg.blas import dsyrk

    n, width = table.shape
    summed = np.zeros((n, n), order="F")
    for columns in blocks(width, n):
        part = np.ascontiguousarray(table[:, columns])
        summed = dsyrk(1.0, part.T, beta=1.0, c=summed, trans=1, lower=1, overwrite_c=1)
    # The lower triangle is what was summed.
    for rows in blocks(n, n):
        summed[rows, rows.stop :] = summed[rows.stop :, rows].T
        corner = np.tril(summed[rows, rows], -1)
        summed[rows, rows] = np.tril(summed[rows, rows]) + corner.T
    return summed


def eigen(kernel: Doubles) -> tuple[Doubles, Doubles]:
    """Decompose a symmetric array, which must not be used any more: a large one is overwritten.

    Beside it two more of its size are in memory for the while.

    Returns:
        Eigenvalues, ascending, (n,), and vectors as columns, (n, n).
    """
    if not is_large(kernel):
        values, vectors = np.linalg.eigh(kernel)
        return values, vectors
    return _overwritten(kernel, driver="evd")


def leading_vectors(kernel: Doubles, n_vectors: int) -> Doubles:
    """Return the eigenvectors of the largest eigenvalues, the largest first, (n, n_vectors).

    A large kernel is overwritten, and nothing of its size is beside it.
    """
    n_vectors = min(n_vectors, len(kernel))
    if not is_large(kernel):
        return eigen(kernel)[1][:, ::-1][:, :n_vectors]
    last = [len(kernel) - n_vectors, len(kernel) - 1]
    return _overwritten(kernel, driver="evr", subset_by_index=last)[1][:, ::-1]


def _overwritten(kernel: Doubles, **how: object) -> tuple[Doubles, Doubles]:
    from scipy.linalg import eigh

    symmetric = kernel if kernel.flags.f_contiguous else kernel.T
    values, vectors = eigh(symmetric, lower=True, overwrite_a=True, check_finite=False, **how)
    return values, vectors


def coordinates(table: Doubles) -> Doubles:
    """Return rows in an orthonormal basis of their span, (n, c) to (n, min(n, c)).

    Inner products are kept, so that n coordinates tell as much as c values do.
    """
    n, width = table.shape
    if width <= n:
        return table
    if not is_large(table):
        upper = np.asarray(np.linalg.qr(table.T, mode="r"), dtype=np.float64)
        return upper.T
    kernel = _root(table)
    return filled(table, (n, n), lambda part: kernel[part])


def _root(table: Doubles) -> Doubles:
    """Return L with L·Lᵀ the inner products of the rows."""
    lower = _triangle(gram(table))
    if lower is not None:
        return lower
    values, vectors = eigen(gram(table))
    vectors *= np.sqrt(np.maximum(values, 0.0))
    return vectors


def _triangle(products: Doubles) -> Doubles | None:
    """Return their lower triangular root, in their place; None for rows that depend on each other.

    An error that is caught where more is computed would keep them in memory meanwhile.
    """
    from scipy.linalg import LinAlgError, cholesky

    try:
        lower: Doubles = cholesky(products, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return None
    return lower
