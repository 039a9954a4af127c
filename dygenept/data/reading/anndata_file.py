"""Reads an AnnData file into a checked ``PerturbationData``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.data.reading.carried_lists import read_de_lists
from dygenept.data.reading.cells import LabelledCells, read_cells
from dygenept.data.reading.expression import check_values, normalize_counts
from dygenept.data.reading.fingerprint import Content, fingerprint
from dygenept.data.reading.h5ad import (
    column_names,
    open_h5ad,
    read_column,
    read_index,
    says_simulated,
)
from dygenept.data.reading.matrices import read_matrix
from dygenept.data.reading.places import find_place
from dygenept.errors import DataError
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.types import SYMBOL_COLUMNS, PerturbationData

if TYPE_CHECKING:
    import h5py


def read_anndata(
    path: Path, *, name: str | None = None, normalize: bool = False
) -> PerturbationData:
    """Read and check an ``.h5ad`` file of perturbed and control cells.

    Args:
        path: The file; ``X`` is CSR log1p expression, ``obs['condition']`` has the labels,
            ``obs['cell_type']`` the cell types (one, ``unknown``, where there is no such column),
            and ``var`` may have gene symbols beside its index.
        name: Name of the data set; the file's stem by default.
        normalize: ``X`` is raw counts: scale each cell to the median total and take log1p.

    Returns:
        The data set; what was accepted or mended is in its ``notes``.

    Raises:
        DataError: If the file is missing or damaged, has no conditions or controls, or has
            expression that is dense, raw, negative or not finite, or a gene twice. The message
            says what to do.
    """
    with open_h5ad(path) as file:
        return read_opened(file, path, name=name or path.stem, normalize=normalize)


def read_opened(file: h5py.File, path: Path, *, name: str, normalize: bool) -> PerturbationData:
    """Read and check an open file, as ``read_anndata`` does; ``path`` is what errors call it."""
    notes: list[str] = []
    place = find_place(file, None)
    cell_ids = read_index(file, "obs")
    gene_ids = tuple(str(gene) for gene in read_index(file, "var"))
    _check_genes(gene_ids, path)
    symbols = _symbols(file, gene_ids, notes)
    parsed, cells = read_cells(file, GeneNames(symbols, gene_ids), notes)
    shape = (len(cell_ids), len(gene_ids))
    expression = read_matrix(place.item, shape, called=place.called, notes=notes)
    de_lists = read_de_lists(file, cells, gene_ids, notes)
    is_simulated = says_simulated(file)
    notes += check_values(expression, place, normalize=normalize)
    sha256 = fingerprint(
        Content(
            expression=expression,
            gene_ids=gene_ids,
            gene_symbols=symbols,
            cell_labels=(cells.labels, cells.label_codes),
            cell_types=(cells.cell_types, cells.cell_type_codes),
            de_lists=de_lists,
            normalized=normalize,
        )
    )
    if normalize:
        target = normalize_counts(expression)
        notes.append(f"Counts were scaled to {target:g} per cell (the median total), then log1p.")
    _note_repeated(symbols, notes)
    _note_targets(cells, symbols, notes)
    label_of = {
        raw: found.label for raw in cells.labels if (found := parsed.perturbations[raw]) is not None
    }
    return PerturbationData(
        name=name,
        source=str(path),
        sha256=sha256,
        is_simulated=is_simulated,
        expression=expression,
        gene_ids=gene_ids,
        gene_symbols=symbols,
        cell_ids=cell_ids,
        conditions=cells.conditions,
        condition_codes=cells.condition_codes,
        cell_types=cells.cell_types,
        cell_type_codes=cells.cell_type_codes,
        raw_labels=tuple(label_of),
        raw_to_label=label_of,
        de_lists=de_lists,
        notes=(*parsed.notes, *notes),
    )


def _check_genes(gene_ids: Sequence[str], path: Path) -> None:
    if not gene_ids:
        raise DataError(f"{path}: var is empty; write a file with genes")
    if len(set(gene_ids)) < len(gene_ids):
        twice = [gene for gene, n_times in Counter(gene_ids).items() if n_times > 1]
        raise DataError(
            f"{path}: {len(twice)} gene id(s) occur more than once in var, such as {twice[0]!r}; "
            "keep the first of each: adata = adata[:, ~adata.var_names.duplicated()].copy()"
        )


def _symbols(file: h5py.File, gene_ids: tuple[str, ...], notes: list[str]) -> tuple[str, ...]:
    columns = column_names(file, "var")
    found = [column for column in SYMBOL_COLUMNS if column in columns]
    if not found:
        notes.append("var has no column of gene symbols: its index is used instead.")
        return gene_ids
    column = read_column(file, "var", found[0])
    if found[0] != SYMBOL_COLUMNS[0]:
        notes.append(f"Gene symbols were read from var[{found[0]!r}].")
    texts = (*column.categories, "")
    return tuple(
        texts[code] or gene_id for code, gene_id in zip(column.codes, gene_ids, strict=True)
    )


def _note_repeated(symbols: Sequence[str], notes: list[str]) -> None:
    repeated = [symbol for symbol, n_times in Counter(symbols).items() if n_times > 1]
    if repeated:
        shown = ", ".join(repeated[:3]) + (", …" if len(repeated) > 3 else "")
        notes.append(
            f"{len(repeated)} gene symbols name more than one output gene, told apart by their "
            f"ids: {shown}."
        )


def _note_targets(cells: LabelledCells, symbols: Sequence[str], notes: list[str]) -> None:
    targets = sorted({gene for condition in cells.conditions for gene in condition.genes})
    absent = sorted(set(targets) - set(symbols))
    if absent:
        shown = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
        notes.append(
            f"{len(absent)} of {len(targets)} target genes are not among the output genes: {shown}."
        )
