"""The cells and genes of a file by name: everything but the values of its matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.data.reading.cell_batches import own_batch_column, read_batches
from dygenept.data.reading.cells import LabelledCells, kept_rows, read_cells
from dygenept.data.reading.encodings import Column
from dygenept.data.reading.h5ad import read_index
from dygenept.data.reading.labels import ParsedLabels
from dygenept.data.reading.layouts import CONDITION, find_layout, words_of_labels
from dygenept.data.reading.places import Place, find_place
from dygenept.data.reading.symbols import NamedGenes, check_gene_names, name_genes
from dygenept.errors import DataError
from dygenept.types import IntArray, PerturbationData
from dygenept.types.mapping import DataMapping

if TYPE_CHECKING:
    import h5py

    from dygenept.types.cells import CellMatrix


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFile:
    """What a file says of its cells and genes.

    Attributes:
        place: Which matrix holds the expression.
        cell_ids: Index of ``obs`` of the cells that are read, (N,).
        gene_ids: Index of ``var``, (G,).
        genes: What the genes are called.
        mapping: Which columns are read, as said or recognised.
        parsed: What each label names.
        cells: Label, cell type and condition of each cell that is read.
        rows: Rows of these cells in the file; None for all.
        n_rows: Rows of the file.
        batches: Batch of each cell that is read; None where no column is named.
    """

    place: Place
    cell_ids: npt.NDArray[np.object_]
    gene_ids: tuple[str, ...]
    genes: NamedGenes
    mapping: DataMapping
    parsed: ParsedLabels
    cells: LabelledCells
    rows: IntArray | None
    n_rows: int
    batches: Column | None

    @property
    def label_of(self) -> dict[str, str]:
        """Return the perturbation label of each raw label that is not control."""
        found = ((raw, self.parsed.perturbations[raw]) for raw in self.cells.labels)
        return {raw: item.label for raw, item in found if item is not None}

    def data(
        self, *, name: str, source: str, expression: CellMatrix | None = None
    ) -> PerturbationData:
        """Return the data set that these names belong to; the caller adds what else it has read.

        Args:
            name: Name of the data set.
            source: Where it was read from, for people.
            expression: Values of the cells that are read, (N, G); None for a matrix without one.
        """
        from scipy import sparse

        if expression is None:
            shape = (len(self.cell_ids), len(self.gene_ids))
            expression = sparse.csr_matrix(shape, dtype=np.float32)
        cells = self.cells
        return PerturbationData(
            name=name,
            source=source,
            sha256="",
            is_simulated=False,
            expression=expression,
            gene_ids=self.gene_ids,
            gene_symbols=self.genes.symbols,
            cell_ids=self.cell_ids,
            conditions=cells.conditions,
            condition_codes=cells.condition_codes,
            cell_types=cells.cell_types,
            cell_type_codes=cells.cell_type_codes,
            raw_labels=tuple(self.label_of),
            raw_to_label=self.label_of,
        )


def read_labelled(
    file: h5py.File,
    path: Path,
    mapping: DataMapping,
    notes: list[str],
    *,
    matrix: h5py.Group | h5py.Dataset | None = None,
) -> LabelledFile:
    """Read cells and genes by name; no value of the matrix is read.

    Args:
        file: The open file.
        path: What errors call it.
        mapping: Where it keeps what is needed.
        notes: Gets a sentence for what was accepted or mended.
        matrix: The expression where it is in another file.

    Raises:
        DataError: If a column or layer is missing, a label or gene breaks a rule, or a cell type
            has no control.
    """
    place = find_place(file, mapping.layer, matrix)
    cell_ids = read_index(file, "obs")
    gene_ids = tuple(str(gene) for gene in read_index(file, place.frame))
    _check_genes(gene_ids, path)
    genes = name_genes(
        file,
        place.frame,
        gene_ids,
        given=mapping.symbol_column,
        labels=words_of_labels(file, mapping),
        notes=notes,
    )
    mapping = find_layout(file, mapping, genes.names, notes)
    if mapping.batch_column is None and (own := own_batch_column(file)) is not None:
        mapping = replace(mapping, batch_column=own)
    rows = kept_rows(file, mapping.condition_column or CONDITION, mapping.drop, notes)
    parsed, cells = read_cells(file, genes.names, mapping, notes, rows)
    return LabelledFile(
        place=place,
        cell_ids=cell_ids if rows is None else cell_ids[rows],
        gene_ids=gene_ids,
        genes=genes,
        mapping=mapping,
        parsed=parsed,
        cells=cells,
        rows=rows,
        n_rows=len(cell_ids),
        batches=read_batches(file, mapping, cells, rows, notes),
    )


def _check_genes(gene_ids: Sequence[str], path: Path) -> None:
    if not gene_ids:
        raise DataError(f"{path}: var is empty; write a file with genes")
    check_gene_names(gene_ids, path)
    if len(set(gene_ids)) < len(gene_ids):
        twice = [gene for gene, n_times in Counter(gene_ids).items() if n_times > 1]
        raise DataError(
            f"{path}: {len(twice)} gene id(s) occur more than once in var, such as {twice[0]!r}; "
            "keep the first of each: adata = adata[:, ~adata.var_names.duplicated()].copy()"
        )
