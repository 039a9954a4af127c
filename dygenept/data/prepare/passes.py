"""Passes over the cells of a file, each in blocks: sums of cells, of genes, and of targets.

In the first pass the values are looked at, and what cannot be used is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.prepare.filters import CellSums
from dygenept.data.prepare.row_blocks import row_blocks
from dygenept.data.reading.expression import (
    ValueSummary,
    bad_values,
    check_scale,
    no_values,
    summarise,
)
from dygenept.data.reading.labelled import LabelledFile
from dygenept.data.reading.places import Place
from dygenept.data.reading.scale import find_scale, gene_sums, has_unit_sums, sampled_rows
from dygenept.types import BoolArray, DoubleArray, IntArray, Progress

if TYPE_CHECKING:
    from scipy import sparse

MITOCHONDRIAL = "MT-"
Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How the values of a cell become those of the ready file.

    Attributes:
        cells: Factor of each cell before the logarithm, (N,); None where there is no logarithm.
        batches: Factor of each gene in each batch after it, (n_rows, G); None for none.
        rows: Row in ``batches`` of each cell, -1 for none, (N,).
    """

    cells: DoubleArray | None
    batches: DoubleArray | None = None
    rows: IntArray | None = None

    def apply(self, block: sparse.csr_matrix, cells: IntArray) -> sparse.csr_matrix:
        """Scale a block of the cells at these positions, in place."""
        lengths = np.diff(block.indptr)
        if self.cells is not None:
            block.data = np.log1p(block.data * np.repeat(self.cells[cells], lengths)).astype(
                np.float32
            )
        if self.batches is not None and self.rows is not None:
            own = np.repeat(self.rows[cells], lengths)
            factors = np.where(own < 0, 1.0, self.batches[own, block.indices])
            block.data = (block.data * factors).astype(np.float32)
        return block


@dataclass(frozen=True, slots=True)
class GeneSums:
    """What one pass over the kept cells gives of each gene.

    Attributes:
        n_cells: Kept cells with a value, (G,).
        n_choosing: Choosing cells with a value, (G,).
        sums: Sum of normalised counts over the choosing cells, (G,).
        squares: Sum of their squares, (G,).
        controls: Sum over each cell type's control cells, log1p, (n_types, G).
        control_squares: Sum of their squares, (n_types, G).
        targets: Sum over each condition's cells of its only target, (n_conditions,).
        target_squares: Sum of their squares, (n_conditions,).
    """

    n_cells: IntArray
    n_choosing: IntArray
    sums: DoubleArray
    squares: DoubleArray
    controls: DoubleArray
    control_squares: DoubleArray
    targets: DoubleArray
    target_squares: DoubleArray


def blocks_of(
    found: LabelledFile, kept: BoolArray, report: Report, stage: str
) -> Iterator[tuple[IntArray, sparse.csr_matrix]]:
    """Yield the positions and values of the kept cells, block by block."""
    shape = (found.n_rows, len(found.gene_ids))
    position = np.full(found.n_rows, -1, dtype=np.int32)
    rows = np.arange(found.n_rows) if found.rows is None else found.rows
    position[rows] = np.arange(len(rows))
    for first, block in row_blocks(found.place.item, shape, called=found.place.called):
        cells = position[first : first + block.shape[0]]
        chosen = np.flatnonzero((cells >= 0) & kept[cells])
        report(Progress(stage, min(first + block.shape[0], found.n_rows), found.n_rows))
        if len(chosen):
            taken = block if len(chosen) == block.shape[0] else block[chosen]
            yield cells[chosen], taken


def sum_cells(
    found: LabelledFile, report: Report, *, normalize: bool
) -> tuple[CellSums, tuple[str, ...]]:
    """Sum the values of each cell, and check them.

    Args:
        found: The file.
        report: Gets the cells so far.
        normalize: The values are counts.

    Returns:
        The sums, and what the user should know of the values' scale.

    Raises:
        DataError: If values are missing, not finite or negative, or their scale cannot be used.
    """
    n_cells = len(found.cell_ids)
    totals, mito = np.zeros(n_cells), np.zeros(n_cells)
    n_genes = np.zeros(n_cells, dtype=np.int32)
    is_mito = np.asarray([name.upper().startswith(MITOCHONDRIAL) for name in found.genes.symbols])
    checks = ValueChecks(n_cells, len(found.gene_ids))
    for cells, block in blocks_of(found, np.ones(n_cells, dtype=np.bool_), report, "cells"):
        totals[cells] = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
        n_genes[cells] = np.diff(block.indptr)
        if is_mito.any():
            mito[cells] = np.asarray(block @ is_mito.astype(np.float64)).ravel()
        checks.add(cells, block)
    said = checks.finish(found.place, normalize=normalize)
    return CellSums(totals, n_genes, mito, bool(is_mito.any())), said


def sum_groups(
    found: LabelledFile,
    kept: BoolArray,
    scaling: Scaling,
    groups: tuple[IntArray, int],
    report: Report,
) -> DoubleArray:
    """Sum the scaled values of groups of cells, (n_groups, G); -1 is a cell of none."""
    codes, n_groups = groups
    sums = np.zeros((n_groups, len(found.gene_ids)))
    for cells, block in blocks_of(found, kept & (codes >= 0), report, "batches"):
        sums += _by_group(scaling.apply(block, cells), codes[cells], n_groups)
    return sums


def sum_genes(
    found: LabelledFile,
    kept: BoolArray,
    scaling: Scaling,
    chooses: BoolArray,
    columns: IntArray,
    report: Report,
) -> GeneSums:
    """Sum the scaled values of each gene.

    Args:
        found: The file.
        kept: Cells that are kept, (N,).
        scaling: How values are scaled.
        chooses: Cells that choose variable genes, (N,).
        columns: Column of each condition's only target, -1 for none, (n_conditions,).
        report: Gets the cells so far.
    """
    n_genes, n_types = len(found.gene_ids), len(found.cells.cell_types)
    codes = found.cells.condition_codes
    n_cells, n_choosing = np.zeros(n_genes, dtype=np.int32), np.zeros(n_genes, dtype=np.int32)
    sums, squares = np.zeros(n_genes), np.zeros(n_genes)
    controls, control_squares = np.zeros((n_types, n_genes)), np.zeros((n_types, n_genes))
    targets, target_squares = np.zeros(len(columns)), np.zeros(len(columns))
    for cells, raw in blocks_of(found, kept, report, "genes"):
        block = scaling.apply(raw, cells)
        n_cells += np.bincount(block.indices, minlength=n_genes).astype(np.int32)
        chosen = block[np.flatnonzero(chooses[cells])]
        n_choosing += np.bincount(chosen.indices, minlength=n_genes).astype(np.int32)
        linear = np.expm1(chosen.data.astype(np.float64))
        sums += np.bincount(chosen.indices, linear, n_genes)
        squares += np.bincount(chosen.indices, np.square(linear), n_genes)
        is_control = codes[cells] < 0
        types = np.where(is_control, found.cells.cell_type_codes[cells], -1)
        controls += _by_group(block, types, n_types)
        squared = block.copy()
        squared.data = np.square(squared.data.astype(np.float64))
        control_squares += _by_group(squared, types, n_types)
        own = np.flatnonzero(~is_control & (columns[codes[cells]] >= 0))
        if len(own):
            of = codes[cells[own]]
            values = np.asarray(block[own, columns[of]], dtype=np.float64).ravel()
            targets += np.bincount(of, values, len(columns))
            target_squares += np.bincount(of, np.square(values), len(columns))
    return GeneSums(
        n_cells,
        n_choosing,
        *(sums, squares, controls, control_squares, targets, target_squares),
    )


def _by_group(block: sparse.csr_matrix, codes: IntArray, n_groups: int) -> DoubleArray:
    from scipy import sparse

    used = np.flatnonzero(codes >= 0)
    indicator = sparse.csr_matrix(
        (np.ones(len(used)), (codes[used], used)), shape=(n_groups, block.shape[0])
    )
    summed: DoubleArray = (indicator @ block).toarray()
    return summed


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
