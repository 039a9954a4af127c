"""Which columns of ``obs`` hold perturbations and cell types, judged by their values.

A column of perturbations is one of whose values nearly all are genes, combinations, guides or
controls. Where the owner names none and the file has no column ``condition``, a column that a known
tool writes is taken if its values say the same and no other does; else the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from dygenept.data.reading.column_contents import ColumnContent, contents
from dygenept.data.reading.encodings import Column
from dygenept.data.reading.h5ad import column_names, read_column
from dygenept.data.reading.label_kinds import (
    combination_of,
    guide_of,
    is_control,
    looks_like_control,
    separator_of,
)
from dygenept.errors import DataError, nearest
from dygenept.types.mapping import DataMapping, as_flags

if TYPE_CHECKING:
    import h5py

    from dygenept.knowledge.genes.identity import GeneNames

CONDITION = "condition"
CELL_TYPE = "cell_type"
# Columns that tools write, and which tool that is; the first is the default.
KNOWN_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "perturbation": "scPerturb and pertpy write it",
        "target_gene": "cell-eval and State write it",
        "gene_target": "pertpy writes it",
        "gene": "Seurat's Mixscape writes it",
        "perturbation_name": "pertpy writes it",
    }
)
CELL_TYPE_COLUMNS = ("celltype", "cell_line", "cell_type_name", "cellType", "CellType")


def find_layout(
    file: h5py.File, mapping: DataMapping, names: GeneNames, notes: list[str]
) -> DataMapping:
    """Fill in which columns of ``obs`` are read, where the owner of the file does not say it.

    Args:
        file: The open file.
        mapping: What its owner says.
        names: Its genes.
        notes: Gets one sentence on a layout that was recognised.

    Raises:
        DataError: If no column is certain; the message says what is in those that could be meant.
    """
    columns = column_names(file, "obs")
    if mapping.condition_column is not None:
        read_column(file, "obs", mapping.condition_column)
        return mapping
    if CONDITION in columns:
        return mapping
    found = contents(file, names)
    chosen = _known_one(file, found, names)
    if chosen is None:
        raise DataError(
            f"{file.filename}: obs has no column 'condition'{_question(found, columns)}"
        )
    filled = replace(
        mapping,
        condition_column=chosen.column,
        separator=mapping.separator or chosen.separator,
    )
    if mapping.cell_type_column is None and CELL_TYPE not in columns:
        filled = replace(
            filled,
            cell_type_column=next((name for name in CELL_TYPE_COLUMNS if name in columns), None),
        )
    of = f" and cell types from obs[{filled.cell_type_column!r}]" if filled.cell_type_column else ""
    notes.append(
        f"Labels were read from obs[{chosen.column!r}], which has {chosen.described()}{of}, as by "
        f"{as_flags(chosen.given())}; "
        f"{KNOWN_COLUMNS[chosen.column]}."
    )
    return filled


def suggestion(file: h5py.File, names: GeneNames, *, but: str) -> str:
    """Say which other column has perturbations, with its flags; empty where none is certain."""
    found = [of for of in contents(file, names) if of.is_certain and of.column != but]
    return f"; {_suggested(found)}" if found else ""


def words_of_labels(file: h5py.File, mapping: DataMapping) -> list[str]:
    """Return what the labels may contain as names of genes, before any rule is known."""
    wanted = (mapping.condition_column, CONDITION, *KNOWN_COLUMNS)
    columns = column_names(file, "obs")
    column = next((name for name in wanted if name is not None and name in columns), None)
    if column is None:
        return []
    labels = read_column(file, "obs", column).categories
    words = {word for label in labels for word in re.split(r"[+_,;|&/\s]+", label)}
    return sorted(words | set(labels))


def _known_one(
    file: h5py.File, found: Sequence[ColumnContent], names: GeneNames
) -> ColumnContent | None:
    """Return the one column that a known tool writes, if it is certain and no other disagrees."""
    certain = [of for of in found if of.is_certain]
    by_gene = [of for of in certain if of.n_guides <= of.n_genes] or certain
    known = [of for of in by_gene if of.column in KNOWN_COLUMNS]
    known.sort(key=lambda of: list(KNOWN_COLUMNS).index(of.column))
    if not known:
        return None
    first = read_column(file, "obs", known[0].column)
    others = (read_column(file, "obs", of.column) for of in by_gene if of is not known[0])
    agree = all(_mean_the_same(first, other, names) for other in others)
    return known[0] if agree else None


def _mean_the_same(first: Column, second: Column, names: GeneNames) -> bool:
    """Tell whether two columns name the same genes in every cell."""
    pairs = set(zip(first.codes.tolist(), second.codes.tolist(), strict=True))
    return all(
        min(pair) >= 0
        and _genes(first.categories[pair[0]], names) == _genes(second.categories[pair[1]], names)
        for pair in pairs
    )


def _genes(value: str, names: GeneNames) -> frozenset[str]:
    """Return the genes that a value names, whatever separator and guides it has."""
    found: set[str] = set()
    for part in map(str.strip, value.split("+")):
        if is_control(part) or looks_like_control(part, names):
            continue
        if names.spelling(part) is None and (separator := separator_of(part, names)) is not None:
            for gene in combination_of(part, separator, names):
                found |= _genes(gene, names)
        else:
            guide = guide_of(part, names)
            found.add((guide.gene if guide else names.spelling(part)) or part)
    return frozenset(found)


def _question(found: Sequence[ColumnContent], columns: Sequence[str]) -> str:
    if not found:
        return (
            f", and no other column has names of genes and controls; name yours with "
            f"--condition-column; {nearest(CONDITION, columns)}"
        )
    return f"; name yours: {_suggested(found)}"


def _suggested(found: Sequence[ColumnContent]) -> str:
    return "; ".join(
        f"obs[{of.column!r}] has {of.described()}: {as_flags(of.asked())}" for of in found[:3]
    )
