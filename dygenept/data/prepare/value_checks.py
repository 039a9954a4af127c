"""The values of a file, looked at block by block: what cannot be used is refused before a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.expression import (
    ValueSummary,
    bad_values,
    check_scale,
    no_values,
    summarise,
)
from dygenept.data.reading.places import Place
from dygenept.data.reading.scale import find_scale, gene_sums, has_unit_sums, sampled_rows
from dygenept.types import IntArray

if TYPE_CHECKING:
    from scipy import sparse


class ValueChecks:
    """Collects what ``check_values`` looks at in a matrix that is in memory.

    Args:
        n_cells: Cells that are read.
        n_genes: Genes.
    """

    def __init__(self, n_cells: int, n_genes: int) -> None:
        self._n_cells = n_cells
        self._sums, self._squares = np.zeros(n_genes), np.zeros(n_genes)
        self._sampled = sampled_rows(n_cells)
        self._sample: list[sparse.csr_matrix] = []
        self._n_values = 0
        self._summary = ValueSummary(np.inf, -np.inf, is_integral=True)
        # Values that are not finite, and negative ones: how many, and row and column of the first.
        self._bad = {False: (0, (0, 0)), True: (0, (0, 0))}

    def add(self, cells: IntArray, block: sparse.csr_matrix) -> None:
        """Look at a block of the cells at these positions."""
        self._n_values += block.nnz
        if not block.nnz:
            return
        found, so_far = summarise(block.data), self._summary
        self._summary = ValueSummary(
            float(np.minimum(so_far.lowest, found.lowest)),
            float(np.maximum(so_far.highest, found.highest)),
            so_far.is_integral and found.is_integral,
        )
        if not found.is_finite or found.lowest < 0:
            for finite in (False, True):
                self._count(cells, block, finite=finite)
            return
        sums, squares = gene_sums(block)
        self._sums += sums
        self._squares += squares
        mine = np.flatnonzero(np.isin(cells, self._sampled))
        if len(mine):
            self._sample.append(block[mine])

    def finish(self, place: Place, *, normalize: bool) -> tuple[str, ...]:
        """Return what the user should know of the scale, one sentence each.

        Raises:
            DataError: As ``check_values``.
        """
        from scipy import sparse

        if not self._n_values:
            raise no_values(place)
        summary = self._summary
        if not summary.is_finite or summary.lowest < 0:
            n, (row, column) = self._bad[summary.is_finite]
            count = f"{n:,} in all, the first in row {row}, column {column}"
            raise bad_values(place, summary, count)
        return check_scale(
            place,
            summary,
            find_scale(sparse.vstack(self._sample, format="csr")),
            normalize=normalize,
            is_unit=lambda: has_unit_sums(self._sums, self._squares, self._n_cells),
        )

    def _count(self, cells: IntArray, block: sparse.csr_matrix, *, finite: bool) -> None:
        bad = np.flatnonzero(block.data < 0 if finite else ~np.isfinite(block.data))
        n, first = self._bad[finite]
        if len(bad) and not n:
            row = int(np.searchsorted(block.indptr, bad[0], side="right")) - 1
            first = int(cells[row]), int(block.indices[bad[0]])
        self._bad[finite] = n + len(bad), first
