"""Reads an AnnData file into a checked ``PerturbationData``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dygenept.data.batches import match_batches
from dygenept.data.memory import MemoryLimit
from dygenept.data.reading.carried_lists import read_de_lists
from dygenept.data.reading.cell_batches import decide_matching, note_few_controls
from dygenept.data.reading.cells import LabelledCells
from dygenept.data.reading.expression import check_values, normalize_counts
from dygenept.data.reading.fingerprint import Content, fingerprint
from dygenept.data.reading.h5ad import (
    genes_chosen_on,
    open_h5ad,
    planted_shares,
    says_simulated,
    simulated_draw,
    wanted_of,
)
from dygenept.data.reading.labelled import LabelledFile, read_labelled
from dygenept.data.reading.matrices import read_matrix
from dygenept.data.reading.matrix_blocks import chosen_rows, matrix_blocks
from dygenept.data.reading.outline import size_of
from dygenept.data.reading.stored_cells import stored_cells
from dygenept.data.reading.unknown_targets import short
from dygenept.errors import DataError
from dygenept.types import PerturbationData
from dygenept.types.mapping import NO_MAPPING, DataMapping

if TYPE_CHECKING:
    import h5py


def read_anndata(
    path: Path,
    *,
    name: str | None = None,
    normalize: bool = False,
    mapping: DataMapping = NO_MAPPING,
    limit: MemoryLimit | None = None,
) -> PerturbationData:
    """Read and check an ``.h5ad`` file, or a zarr store, of perturbed and control cells.

    Args:
        path: The file, or the folder of a store; ``X`` is log1p expression, sparse or dense,
            ``obs['condition']`` has the labels, ``obs['cell_type']`` the cell types (one,
            ``unknown``, where there is no such column), and ``var`` may have gene symbols beside
            its index.
        name: Name of the data set; the file's stem by default.
        normalize: The expression is raw counts: scale each cell to the median total and take
            log1p.
        mapping: Where the file keeps these parts instead, and how its labels are spelt.
        limit: Most memory; the matrix is kept in a temporary file where it takes more. None for no
            limit.

    Returns:
        The data set; what was accepted or mended is in its ``notes``.

    Raises:
        DataError: If the file is missing or damaged, has no conditions or controls, or has
            expression that is raw, on another scale, negative or not finite, or a gene twice; or
            if it needs more memory than the limit. The message says what to do.
    """
    with open_h5ad(path, wanted=wanted_of(mapping.layer)) as file:
        return read_opened(
            file,
            name=name or path.stem,
            normalize=normalize,
            mapping=mapping,
            limit=limit,
        )


def read_opened(
    file: h5py.File,
    *,
    name: str,
    normalize: bool = False,
    mapping: DataMapping = NO_MAPPING,
    limit: MemoryLimit | None = None,
    matrix: h5py.Group | h5py.Dataset | None = None,
) -> PerturbationData:
    """Read and check an open file, as ``read_anndata`` does.

    Args:
        file: The file; errors call it by its name.
        name: Name of the data set.
        normalize: The expression is raw counts.
        mapping: Where the file keeps what is needed.
        limit: Most memory; None for no limit.
        matrix: The expression where it is in another file.

    Raises:
        DataError: As ``read_anndata`` says.
    """
    path = Path(file.filename)
    if mapping.control_cells is not None:
        raise DataError(
            f"{path} has cells of its own; --control-cells goes with a table of effects, leave it "
            "out"
        )
    notes: list[str] = []
    found = read_labelled(file, path, mapping, notes, matrix=matrix)
    place, cells, symbols, gene_ids = found.place, found.cells, found.genes.symbols, found.gene_ids
    later: list[str] = []
    de_lists = read_de_lists(file, cells, gene_ids, later)
    mapping, matches = decide_matching(found.mapping, tuple(de_lists), later)
    in_file = limit is not None and limit.streams(name, size_of(found, matches=matches))
    expression = _expression(found, limit.folder if limit and in_file else None, notes)
    notes += later
    if matches:
        de_lists = {}
    if matches and found.batches is not None:
        note_few_controls(found.batches, cells, notes)
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
            batches=(found.batches.categories, found.batches.codes)
            if found.batches is not None and matches
            else None,
        )
    )
    if normalize:
        target = normalize_counts(expression)
        notes.append(f"Counts were scaled to {target:g} per cell (the median total), then log1p.")
    _note_repeated(symbols, notes)
    if found.genes.has_symbols:
        _note_targets(cells, symbols, notes)
    return replace(
        found.data(name=name, source=str(path), expression=expression),
        sha256=sha256,
        is_simulated=is_simulated,
        de_lists=de_lists,
        notes=(*found.parsed.notes, *notes),
        mapping=mapping,
        is_normalized=normalize,
        planted=planted_shares(file) if is_simulated else {},
        draw=simulated_draw(file) if is_simulated else None,
        genes_chosen_on=genes_chosen_on(file, cells.conditions),
        batches=None
        if found.batches is None or not matches
        else match_batches(
            expression,
            found.batches.categories,
            found.batches.codes,
            condition_codes=cells.condition_codes,
            cell_type_codes=cells.cell_type_codes,
        ),
    )


def _expression(found: LabelledFile, folder: Path | None, notes: list[str]) -> Any:
    """Read the cells that are kept: into memory, or into a temporary file in a folder."""
    place, shape = found.place, (found.n_rows, len(found.gene_ids))
    if folder is None:
        expression = read_matrix(place.item, shape, called=place.called, notes=notes)
        return expression if found.rows is None else expression[found.rows]
    blocks = matrix_blocks(place.item, shape, called=place.called, notes=notes, folder=folder)
    if found.rows is not None:
        blocks = chosen_rows(blocks, found.rows)
    return stored_cells(blocks, n_genes=shape[1], folder=folder)


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
        shown = ", ".join(map(short, absent[:3])) + (", …" if len(absent) > 3 else "")
        notes.append(
            f"{len(absent)} of {len(targets)} target genes are not among the output genes: {shown}."
        )
