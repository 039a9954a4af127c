"""A table of effects as a data set: conditions by genes, most pairs missing, no cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from scipy import sparse

from dygenept.data.effects.columns import Pairs, numbers, pairs_of
from dygenept.data.effects.controls import ReadControls, read_controls
from dygenept.data.effects.frames import read_frame
from dygenept.data.effects.kinds import MISSING, kind_of_values
from dygenept.data.reading.labels import LabelRules, apply_rules, parse_labels
from dygenept.data.reading.symbols import check_gene_names
from dygenept.errors import DataError
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.types import (
    NO_MAPPING,
    UNKNOWN_CELL_TYPE,
    BoolArray,
    Condition,
    DataMapping,
    DoubleArray,
    EffectTable,
    IntArray,
    PerturbationData,
)
from dygenept.types.effects import Part

if TYPE_CHECKING:
    import polars as pl

PART_NAMES: dict[str, Part] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test", "held_out": "test", "heldout": "test",
}  # fmt: skip


def read_effects(
    path: Path,
    *,
    name: str | None = None,
    mapping: DataMapping = NO_MAPPING,
    normalize: bool = False,
) -> PerturbationData:
    """Read and check a table of labels or values per perturbation and gene.

    Args:
        path: A csv, tsv or Parquet file, packed with gzip or not.
        name: Name of the data set; None takes the file's stem.
        mapping: Which column is what; ``condition_column`` has the perturbations,
            ``symbol_column`` the genes and ``value_column`` the labels or values; ``cells`` is a
            file whose control cells belong to the table.
        normalize: That file has raw counts.

    Raises:
        DataError: If it is damaged, lacks a column, contradicts itself, names no genes, or has
            nothing to predict; the message says the row and what mends it. Likewise of the file of
            control cells.
    """
    if normalize and mapping.control_cells is None:
        raise DataError(f"{path} is a table of effects without counts; leave --normalize out")
    pairs = pairs_of(read_frame(path), mapping, path)
    notes = list(pairs.notes)
    frame = _without_empty(pairs, path, notes)
    values = numbers(frame["value"], path, called="label or value")
    wording = pairs.wording(path)
    measured = ~np.isnan(values)
    if not measured.all():
        words = f" ({', '.join(map(repr, wording.missing))})" if wording.missing else ""
        n_left_out = int((~measured).sum())
        left_out = "1 pair has" if n_left_out == 1 else f"{n_left_out} pairs have"
        are = "is" if n_left_out == 1 else "are"
        notes.append(f"{left_out} no label or value{words} and {are} left out.")
    kind, values, how_read = kind_of_values(values[measured], path, wording)
    notes += [how_read] if how_read else []
    rows = _rows(frame.filter(measured), pairs.called, mapping, notes, path)
    if not rows.is_perturbed.any():
        raise DataError(f"{path} has no perturbation, only controls")
    kept = rows.is_perturbed
    frame, values = rows.frame.filter(kept), values[kept]
    at = (rows.conditions[kept], rows.gene_codes[kept])
    shape = (len(rows.of), len(rows.genes))
    table = EffectTable(
        kind=kind,
        values=_laid_out(frame, values, at, shape, (path, notes)),
        weights=_weights(frame, at, shape, path) if pairs.has("weight") else None,
        parts=_parts(frame["split"], at[0], rows.of, path) if pairs.has("split") else {},
    )
    cell_types = tuple(sorted({condition.cell_type for condition in rows.of}))
    read: ReadControls | None = None
    if mapping.control_cells is not None:
        cells = Path(mapping.control_cells).expanduser().absolute()
        has_types = pairs.has("cell_type")
        read = read_controls(cells, cell_types, normalize=normalize, has_types=has_types)
        notes.append(read.note)
        table = replace(table, controls=read.controls)
        mapping = replace(mapping, control_cells=str(cells))
    nobody = np.zeros(0, dtype=np.int32)
    return PerturbationData(
        name=name or stem_of(path),
        source=str(path),
        sha256=_fingerprint(table, rows.of, rows.genes, None if read is None else read.sha256),
        is_simulated=False,
        expression=sparse.csr_matrix((0, len(rows.genes)), dtype=np.float32),
        gene_ids=rows.genes,
        gene_symbols=rows.genes,
        cell_ids=np.zeros(0, dtype=object),
        conditions=rows.of,
        condition_codes=nobody,
        cell_types=cell_types,
        cell_type_codes=nobody,
        raw_labels=tuple(rows.raw_to_label),
        raw_to_label=rows.raw_to_label,
        notes=tuple(notes),
        mapping=mapping,
        is_normalized=normalize,
        effects=table,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a table with what they name.

    Attributes:
        frame: The rows.
        of: Every condition, sorted.
        conditions: Position of each row's condition; -1 for a control.
        genes: Every gene, sorted.
        gene_codes: Position of each row's gene.
        raw_to_label: The perturbation of each label of the file.
    """

    frame: pl.DataFrame
    of: tuple[Condition, ...]
    conditions: IntArray
    genes: tuple[str, ...]
    gene_codes: IntArray
    raw_to_label: dict[str, str]

    @property
    def is_perturbed(self) -> BoolArray:
        """False in rows of controls."""
        return self.conditions >= 0


def _rows(
    frame: pl.DataFrame, called: str, mapping: DataMapping, notes: list[str], path: Path
) -> _Rows:
    """Find out which perturbation, cell type and gene each row names."""
    genes, gene_codes = _coded(frame["gene"])
    raw, raw_codes = _coded(frame["perturbation"])
    types: tuple[str, ...] = (UNKNOWN_CELL_TYPE,)
    type_codes: IntArray = np.zeros(frame.height, dtype=np.int32)
    if "cell_type" in frame.columns:
        types, type_codes = _coded(frame["cell_type"])
    check_gene_names(genes, path)
    names = GeneNames(genes, genes)
    rules = LabelRules(
        controls=mapping.control,
        separator=mapping.separator,
        guide_pattern=mapping.guide_pattern,
        column=called,
    )
    ruled = apply_rules(raw, names, rules)
    try:
        parsed = parse_labels([ruled[label] for label in raw], names, column=called)
    except DataError as error:
        # Its words are those of a file of cells.
        text = str(error).replace(f"obs[{called!r}]", f"column {called!r}")
        text = text.replace("neither var nor", "neither this table's genes nor")
        raise DataError(text.replace("drop their cells", "drop their rows")) from error
    notes += [
        note.replace("neither in var nor", "neither among this table's genes nor").replace(
            "drop their cells", "drop their rows"
        )
        for note in parsed.notes
    ]
    found = [parsed.perturbations[ruled[label]] for label in raw]
    used, codes = np.unique(
        raw_codes.astype(np.int64) * len(types) + type_codes, return_inverse=True
    )
    items = [(found[code // len(types)], types[code % len(types)]) for code in used.tolist()]
    of = tuple(sorted({Condition(item, kind) for item, kind in items if item is not None}))
    row_of = {condition: row for row, condition in enumerate(of)}
    place = np.array(
        [-1 if item is None else row_of[Condition(item, kind)] for item, kind in items]
    )
    conditions = place[codes].astype(np.int32)
    n_controls = int((conditions < 0).sum())
    if n_controls:
        notes.append(f"{n_controls} rows of controls are left out.")
    return _Rows(
        frame=frame,
        of=of,
        conditions=conditions,
        genes=genes,
        gene_codes=gene_codes,
        raw_to_label={
            label: item.label for label, item in zip(raw, found, strict=True) if item is not None
        },
    )


def stem_of(path: Path) -> str:
    """Return a file's name without ``.csv``, ``.tsv.gz`` and the like."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def _without_empty(pairs: Pairs, path: Path, notes: list[str]) -> pl.DataFrame:
    """Leave out empty rows, and refuse rows that lack a perturbation, gene, type or part."""
    import polars as pl

    frame = pairs.frame
    is_empty = frame.select(pl.all_horizontal(pl.all().fill_null("") == "")).to_series()
    if is_empty.any():
        notes.append(f"{int(is_empty.sum())} empty rows are left out.")
        frame = frame.filter(~is_empty)
    for column in ("perturbation", "gene", "split", "cell_type"):
        if not pairs.has(column):
            continue
        # NA is not a gene, but an empty cell of a table that pandas or R wrote.
        lacks = frame[column].fill_null("").str.to_lowercase().is_in(MISSING).to_numpy()
        if lacks.any():
            row = int(np.flatnonzero(lacks)[0]) + 1
            raise DataError(
                f"{path}, row {row} below the header names no {column.replace('_', ' ')} "
                f"({int(lacks.sum())} such row(s)); fill it in, or drop them: "
                f"frame = frame.dropna(subset=[{column!r}])"
            )
    if frame.height == 0:
        raise DataError(f"{path} has no row with anything in it")
    return frame


def _coded(column: pl.Series) -> tuple[tuple[str, ...], IntArray]:
    import polars as pl

    # As text of any length: an array of fixed width would be as wide as the longest name.
    names = column.unique().sort()
    codes = column.cast(pl.Enum(names)).to_physical().to_numpy()
    return tuple(names.to_list()), codes.astype(np.int32)


def _laid_out(
    frame: pl.DataFrame,
    values: DoubleArray,
    at: tuple[IntArray, IntArray],
    shape: tuple[int, int],
    said: tuple[Path, list[str]],
) -> DoubleArray:
    """Put pairs where they belong, (n_conditions, G), NaN elsewhere.

    Raises:
        DataError: If a pair occurs twice with different values.
    """
    path, notes = said
    matrix = np.full(shape, np.nan)
    matrix[at] = values
    wrong = np.flatnonzero(matrix[at] != values)
    if len(wrong):
        row = int(wrong[0])
        pair = f"{frame['perturbation'][row]} and {frame['gene'][row]}"
        raise DataError(
            f"{path} has {pair} more than once, with {values[row]:g} and with "
            f"{matrix[at[0][row], at[1][row]]:g} ({len(wrong)} such row(s)); keep one, or add a "
            "column cell_type that tells them apart"
        )
    n_repeated = len(values) - int((~np.isnan(matrix)).sum())
    if n_repeated:
        notes.append(f"{n_repeated} rows repeat a pair with the same value and count once.")
    return matrix


def _weights(
    frame: pl.DataFrame, at: tuple[IntArray, IntArray], shape: tuple[int, int], path: Path
) -> DoubleArray:
    given = numbers(frame["weight"], path, called="weight")
    if np.isnan(given).any() or (given < 0).any() or not given.max() > 0:
        raise DataError(f"{path}: weights must be numbers from 0 up, none missing, not all 0")
    weights = np.zeros(shape)
    weights[at] = given
    wrong = np.flatnonzero(weights[at] != given)
    if len(wrong):
        row = int(wrong[0])
        pair = f"{frame['perturbation'][row]} and {frame['gene'][row]}"
        raise DataError(
            f"{path} has {pair} more than once, with weights {given[row]:g} and "
            f"{weights[at[0][row], at[1][row]]:g} ({len(wrong)} such row(s)); keep one"
        )
    weights /= given.max()
    return weights


def _parts(
    column: pl.Series, rows: IntArray, conditions: Sequence[Condition], path: Path
) -> dict[Condition, Part]:
    """Return the part of the file's split that each condition is in.

    Raises:
        DataError: If a part has another name, or one condition is in two.
    """
    words, codes = _coded(column.str.to_lowercase())
    unknown = [word for word in words if word not in PART_NAMES]
    if unknown:
        raise DataError(
            f"{path}: the column split says {unknown[0]!r}; it may say train, val and test, or "
            "rename the column and pass --split kfold"
        )
    names = get_args(Part)
    part_of = np.array([names.index(PART_NAMES[word]) for word in words])[codes]
    found = np.full(len(conditions), -1)
    found[rows] = part_of
    wrong = np.flatnonzero(found[rows] != part_of)
    if len(wrong):
        condition = conditions[int(rows[wrong[0]])]
        raise DataError(
            f"{path}: {condition.label!r} is in two parts of the split; a perturbation that is "
            "held out must be held out with all its genes; mend the column, or rename it and pass "
            "--split kfold"
        )
    return {item: names[part] for item, part in zip(conditions, found.tolist(), strict=True)}


def _fingerprint(
    table: EffectTable, conditions: Sequence[Condition], genes: Sequence[str], cells: str | None
) -> str:
    """Hash what was read; the order of rows and the file's format play no part."""
    header: dict[str, object] = {
        "version": 1,
        "conditions": [(item.label, item.genes, item.cell_type) for item in conditions],
        "genes": list(genes),
        "kind": table.kind,
        "parts": [table.parts.get(item) for item in conditions],
    }
    if cells is not None:
        header["cells"] = cells
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for array in (table.values, table.weights):
        if array is not None:
            plain = np.where(np.isnan(array), np.nan, array)
            digest.update(np.ascontiguousarray(plain, dtype="<f8").view(np.uint8).data)
    return digest.hexdigest()
