"""Cells of a file: their labels and cell types, pooled into conditions.

Cells that the owner of a file leaves out by their label, such as doublets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.encodings import Column
from dygenept.data.reading.h5ad import column_names, read_column
from dygenept.data.reading.labels import (
    LabelRules,
    ParsedLabels,
    apply_rules,
    clean_groups,
    parse_labels,
)
from dygenept.data.reading.layouts import CELL_TYPE, CELL_TYPE_COLUMNS, CONDITION, suggestion
from dygenept.data.reading.unknown_targets import short
from dygenept.errors import DataError, nearest
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.types import UNKNOWN_CELL_TYPE, Condition, IntArray, in_cell_type
from dygenept.types.mapping import DataMapping

if TYPE_CHECKING:
    import h5py

MISSING_LABEL = "nan"


def kept_rows(
    file: h5py.File, column: str, drop: Sequence[str], notes: list[str]
) -> IntArray | None:
    """Return the rows whose label is not among those to drop; None where all are kept.

    Args:
        file: The open file.
        column: Column of ``obs`` with the labels.
        drop: Labels, as they stand in the file; ``nan`` for cells without a label.
        notes: Gets a sentence on what was left out.

    Raises:
        DataError: If no cell has one of the labels, or no cell is left.
    """
    if not drop:
        return None
    labels = read_column(file, "obs", column)
    texts = [text.strip() for text in labels.categories]
    # The last place is that of the code -1, a missing label.
    is_dropped = np.asarray([*(text in drop for text in texts), MISSING_LABEL in drop])
    found = {texts[code] if code >= 0 else MISSING_LABEL for code in np.unique(labels.codes)}
    for label in drop:
        if label not in found:
            raise DataError(
                f"{file.filename}: no cell has the label {label!r} to drop in obs[{column!r}]; "
                f"{nearest(label, sorted(found))}"
            )
    rows = np.flatnonzero(~is_dropped[labels.codes]).astype(np.int32)
    if not len(rows):
        raise DataError(f"{file.filename}: every cell has a label to drop in obs[{column!r}]")
    notes.append(
        f"{len(labels.codes) - len(rows):,} cell(s) labelled {', '.join(map(repr, drop))} in "
        f"obs[{column!r}] were left out."
    )
    return rows


def of_rows(column: Column, rows: IntArray | None) -> Column:
    """Return the column of some rows; all of them where ``rows`` is None."""
    return column if rows is None else Column(column.categories, column.codes[rows])


@dataclass(frozen=True, slots=True)
class LabelledCells:
    """The raw label, cell type and condition of each cell.

    Attributes:
        labels: Raw labels.
        label_codes: Position in ``labels`` of each cell's, (N,).
        cell_types: Cell types.
        cell_type_codes: Position in ``cell_types`` of each cell's, (N,).
        conditions: Conditions, sorted.
        condition_codes: Position in ``conditions`` of each cell's, -1 for control, (N,).
    """

    labels: tuple[str, ...]
    label_codes: IntArray
    cell_types: tuple[str, ...]
    cell_type_codes: IntArray
    conditions: tuple[Condition, ...]
    condition_codes: IntArray


def read_cells(
    file: h5py.File,
    names: GeneNames,
    mapping: DataMapping,
    notes: list[str],
    rows: IntArray | None = None,
) -> tuple[ParsedLabels, LabelledCells]:
    """Read the labels and cell types of all cells and pool them into conditions.

    Args:
        file: The open file.
        names: What its genes are called.
        mapping: Its columns, and how its labels are spelt; labels are kept as ``ctrl``, ``+`` and
            genes write them.
        notes: Takes what was accepted, one sentence each.
        rows: The cells that are read; None for all.

    Raises:
        DataError: If a column is not there, a label is missing, empty or no perturbation, most
            targets are unknown, or a cell type has perturbed cells and no control.
    """
    condition = mapping.condition_column or CONDITION
    whole = read_column(file, "obs", condition, notes)
    labels = of_rows(whole, rows)
    n_missing = int((labels.codes < 0).sum())
    if n_missing:
        raise DataError(
            f"{file.filename}: {n_missing:,} cell(s) have no {condition}; drop them: --drop nan, "
            f"or adata = adata[adata.obs[{condition!r}].notna()]"
        )
    if len(labels.codes) == 0:
        raise DataError(f"{file.filename}: there are no cells; write a file with cells")
    types = of_rows(_read_cell_types(file, mapping, len(whole.codes), notes), rows)
    try:
        rules = LabelRules(
            controls=mapping.control,
            separator=mapping.separator,
            guide_pattern=mapping.guide_pattern,
            column=condition,
        )
        _check_given_controls(labels, mapping.control, condition)
        written = apply_rules(labels.categories, names, rules)
        labels = _merged(Column(tuple(written[text] for text in labels.categories), labels.codes))
        labels, types = _in_order_of_appearance(labels), _sorted(types)
        parsed = parse_labels(labels.categories, names, column=condition)
        cells = _conditions(parsed, labels, types)
        _check_controls(cells, condition, mapping.cell_type_column or CELL_TYPE)
    except DataError as error:
        other = "" if mapping.condition_column else suggestion(file, names, but=condition)
        raise DataError(f"{file.filename}: {error}{other}") from error
    _note_small_groups(cells, notes)
    return parsed, cells


def _check_given_controls(labels: Column, given: Sequence[str], column: str) -> None:
    parts = {part.strip() for label in labels.categories for part in (label, *label.split("+"))}
    for control in given:
        if control not in parts and not any(control in label for label in labels.categories):
            raise DataError(
                f"no cell has the control label {control!r} in obs[{column!r}]; "
                f"{nearest(control, labels.categories)}"
            )


def _read_cell_types(
    file: h5py.File, mapping: DataMapping, n_cells: int, notes: list[str]
) -> Column:
    name = mapping.cell_type_column or CELL_TYPE
    columns = column_names(file, "obs")
    if name not in columns and mapping.cell_type_column is None:
        other = next((column for column in CELL_TYPE_COLUMNS if column in columns), None)
        meant = f"; pass --cell-type-column {other} if that is one" if other is not None else ""
        notes.append(f"obs has no column {name!r}: all cells count as one cell type{meant}.")
        return Column((UNKNOWN_CELL_TYPE,), np.zeros(n_cells, dtype=np.int32))
    types = clean_groups(read_column(file, "obs", name, notes), name, notes)
    n_missing = int((types.codes < 0).sum())
    if not n_missing:
        return types
    notes.append(f"{n_missing:,} cell(s) without a cell type are of type {UNKNOWN_CELL_TYPE!r}.")
    names = dict.fromkeys((*types.categories, UNKNOWN_CELL_TYPE))
    place = list(names).index(UNKNOWN_CELL_TYPE)
    return Column(tuple(names), np.where(types.codes < 0, place, types.codes).astype(np.int32))


def _merged(column: Column) -> Column:
    """Give categories with the same text one code."""
    names = tuple(dict.fromkeys(column.categories))
    place = {name: code for code, name in enumerate(names)}
    codes = np.asarray([*(place[name] for name in column.categories), -1], dtype=np.int32)
    return Column(names, codes[column.codes])


def _in_order_of_appearance(column: Column) -> Column:
    used, first, inverse = np.unique(column.codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order))
    return Column(tuple(column.categories[code] for code in used[order]), place[inverse])


def _sorted(column: Column) -> Column:
    used, inverse = np.unique(column.codes, return_inverse=True)
    names = [column.categories[code] for code in used]
    kept = sorted(set(names))
    place = np.asarray([kept.index(name) for name in names], dtype=np.int32)
    return Column(tuple(kept), place[inverse])


def _conditions(parsed: ParsedLabels, labels: Column, types: Column) -> LabelledCells:
    of_label = [parsed.perturbations[label] for label in labels.categories]
    perturbations = sorted({item for item in of_label if item is not None})
    place = {perturbation: number for number, perturbation in enumerate(perturbations)}
    rows = np.asarray([-1 if item is None else place[item] for item in of_label], dtype=np.int64)
    # Perturbations and cell types are sorted, so sorted pairs are sorted conditions.
    pair = rows[labels.codes] * len(types.categories) + types.codes
    is_perturbed = rows[labels.codes] >= 0
    used, inverse = np.unique(pair[is_perturbed], return_inverse=True)
    codes = np.full(len(pair), -1, dtype=np.int32)
    codes[is_perturbed] = inverse
    return LabelledCells(
        labels=labels.categories,
        label_codes=labels.codes,
        cell_types=types.categories,
        cell_type_codes=types.codes,
        conditions=tuple(
            Condition(
                perturbations[key // len(types.categories)],
                types.categories[key % len(types.categories)],
            )
            for key in used.tolist()
        ),
        condition_codes=codes,
    )


def _check_controls(cells: LabelledCells, condition: str, cell_type: str) -> None:
    is_control = cells.condition_codes < 0
    if not is_control.any():
        shown = ", ".join(repr(short(label)) for label in cells.labels[:3])
        raise DataError(
            f"no cell is a control; label control cells 'ctrl' in obs[{condition!r}] (also read: "
            "control, non-targeting, NT), or name their label with --control; the labels begin "
            f"with {shown}"
        )
    if is_control.all():
        raise DataError(
            f"every cell is a control; label perturbed cells like 'KLF1+ctrl' in obs[{condition!r}]"
        )
    n_types = len(cells.cell_types)
    n_controls = np.bincount(cells.cell_type_codes[is_control], minlength=n_types)
    n_perturbed = np.bincount(cells.cell_type_codes[~is_control], minlength=n_types)
    for name, with_control, without in zip(cells.cell_types, n_controls, n_perturbed, strict=True):
        if without and not with_control:
            dropped = f"adata.obs[{cell_type!r}] != {name!r}"
            if name == UNKNOWN_CELL_TYPE:
                texts = ", ".join(map(repr, ("unknown", "nan", "none", "<na>", "na", "")))
                text = f"adata.obs[{cell_type!r}].astype(str).str.strip().str.lower()"
                dropped = f"~{text}.isin([{texts}])"
            which, own, them = f"cell type {name!r} has", "its", "it"
            if name == UNKNOWN_CELL_TYPE:
                which, own, them = "cells without a cell type have", "their", "them"
            raise DataError(
                f"{which} {int(without):,} perturbed cells and no control cell; add "
                f"{own} controls, or drop {them}: adata = adata[{dropped}]"
            )


def _note_small_groups(cells: LabelledCells, notes: list[str]) -> None:
    sizes = np.bincount(
        cells.condition_codes[cells.condition_codes >= 0], minlength=len(cells.conditions)
    )
    small = [cells.conditions[row].label for row in np.flatnonzero(sizes == 1)]
    if small:
        notes.append(
            f"{len(small)} condition(s) have one cell, such as {short(small[0])!r}: DE genes "
            "cannot be computed for them."
        )
    is_control = cells.condition_codes < 0
    controls = np.bincount(cells.cell_type_codes[is_control], minlength=len(cells.cell_types))
    lone = [cells.cell_types[row] for row in np.flatnonzero(controls == 1)]
    if lone:
        where = f"Cell type {lone[0]!r} has" if in_cell_type(lone[0]) else "There is"
        notes.append(f"{where} one control cell: DE genes cannot be computed with it.")
