"""Cells of a file: their labels and cell types, pooled into conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.h5ad import Column, column_names, read_column
from dygenept.data.reading.labels import (
    NO_RULES,
    LabelRules,
    ParsedLabels,
    apply_rules,
    parse_labels,
)
from dygenept.errors import DataError, nearest
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.types import Condition, IntArray

if TYPE_CHECKING:
    import h5py

CONDITION_LIKE = ("perturbation", "perturbations", "pert", "target_gene", "target", "guide", "gene")
UNKNOWN_CELL_TYPE = "unknown"


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
    file: h5py.File, names: GeneNames, notes: list[str], *, rules: LabelRules = NO_RULES
) -> tuple[ParsedLabels, LabelledCells]:
    """Read the labels and cell types of all cells and pool them into conditions.

    Args:
        file: The open file.
        names: What its genes are called.
        notes: Takes what was accepted, one sentence each.
        rules: How its labels are spelt; labels are kept as the rules write them.

    Raises:
        DataError: If there is no column ``condition``, a label is missing, empty or no
            perturbation, most targets are unknown, or a cell type has perturbed cells and no
            control.
    """
    columns = column_names(file, "obs")
    if "condition" not in columns:
        raise DataError(_no_condition(file.filename, columns))
    labels = read_column(file, "obs", "condition", notes)
    n_missing = int((labels.codes < 0).sum())
    if n_missing:
        raise DataError(
            f"{file.filename}: {n_missing:,} cell(s) have no condition; drop them: "
            "adata = adata[adata.obs['condition'].notna()]"
        )
    if len(labels.codes) == 0:
        raise DataError(f"{file.filename}: there are no cells; write a file with cells")
    types = _read_cell_types(file, columns, len(labels.codes), notes)
    try:
        written = apply_rules(labels.categories, names, rules)
        labels = _merged(Column(tuple(written[text] for text in labels.categories), labels.codes))
        labels, types = _in_order_of_appearance(labels), _sorted(types)
        parsed = parse_labels(labels.categories, names, column=rules.column)
    except DataError as error:
        raise DataError(f"{file.filename}: {error}") from error
    cells = _conditions(parsed, labels, types)
    _check_controls(cells, file.filename)
    _note_small_groups(cells, notes)
    return parsed, cells


def _no_condition(filename: str, columns: Sequence[str]) -> str:
    likely = [column for column in CONDITION_LIKE if column in columns]
    hint = nearest("condition", columns)
    if "did you mean" not in hint and likely:
        hint = f"did you mean {likely[0]!r}? {hint}"
    return (
        f"{filename}: obs has no column 'condition'; {hint}; rename yours: "
        "adata.obs = adata.obs.rename(columns={'…': 'condition'})"
    )


def _read_cell_types(
    file: h5py.File, columns: Sequence[str], n_cells: int, notes: list[str]
) -> Column:
    if "cell_type" not in columns:
        notes.append(f"obs has no column 'cell_type': all cells are of type {UNKNOWN_CELL_TYPE!r}.")
        return Column((UNKNOWN_CELL_TYPE,), np.zeros(n_cells, dtype=np.int32))
    types = read_column(file, "obs", "cell_type", notes)
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


def _check_controls(cells: LabelledCells, filename: str) -> None:
    is_control = cells.condition_codes < 0
    if not is_control.any():
        shown = ", ".join(repr(label) for label in cells.labels[:3])
        raise DataError(
            f"{filename}: no cell is a control; label control cells 'ctrl' in obs['condition'] "
            f"(also read: control, non-targeting, NT); the labels begin with {shown}"
        )
    if is_control.all():
        raise DataError(
            f"{filename}: every cell is a control; label perturbed cells like 'KLF1+ctrl' in "
            "obs['condition']"
        )
    n_types = len(cells.cell_types)
    n_controls = np.bincount(cells.cell_type_codes[is_control], minlength=n_types)
    n_perturbed = np.bincount(cells.cell_type_codes[~is_control], minlength=n_types)
    for name, with_control, without in zip(cells.cell_types, n_controls, n_perturbed, strict=True):
        if without and not with_control:
            raise DataError(
                f"{filename}: cell type {name!r} has {int(without):,} perturbed cells and no "
                "control cell; add its controls, or drop it: "
                f"adata = adata[adata.obs['cell_type'] != {name!r}]"
            )


def _note_small_groups(cells: LabelledCells, notes: list[str]) -> None:
    sizes = np.bincount(
        cells.condition_codes[cells.condition_codes >= 0], minlength=len(cells.conditions)
    )
    small = [cells.conditions[row].label for row in np.flatnonzero(sizes == 1)]
    if small:
        notes.append(
            f"{len(small)} condition(s) have one cell, such as {small[0]!r}: DE genes cannot be "
            "computed for them."
        )
    is_control = cells.condition_codes < 0
    controls = np.bincount(cells.cell_type_codes[is_control], minlength=len(cells.cell_types))
    lone = [cells.cell_types[row] for row in np.flatnonzero(controls == 1)]
    if lone:
        notes.append(
            f"Cell type {lone[0]!r} has one control cell: DE genes cannot be computed in it."
        )
