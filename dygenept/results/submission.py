"""Predictions of any origin, read from h5ad, parquet, csv, tsv or npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dygenept.errors import DataError, nearest
from dygenept.machine.checksums import file_sha256
from dygenept.machine.reading import reading
from dygenept.results.submission_readers import READERS, Rows
from dygenept.types import DoubleArray


@dataclass(frozen=True, slots=True)
class Submission:
    """Predictions as they were submitted, before they are matched to a data set.

    Attributes:
        labels: Perturbation of each row, in any accepted spelling, (n,).
        cell_types: Cell type of each row, (n,); None where the file has none.
        folds: Fold of each row, counted from 1, (n,); None where the file has none.
        genes: Identifier or symbol of each column, (m,).
        alternatives: Another name of each column, (m,); None where the file has none.
        values: Mean log1p expression, or change from control, (n, m); NaN where not given.
        is_delta: True if values are changes from control.
        sha256: Hash of the file.
        notes: What was accepted, one phrase each.
    """

    labels: tuple[str, ...]
    cell_types: tuple[str, ...] | None
    folds: tuple[int, ...] | None
    genes: tuple[str, ...]
    alternatives: tuple[str, ...] | None
    values: DoubleArray
    is_delta: bool
    sha256: str
    notes: tuple[str, ...] = ()


def read_submission(path: Path, *, is_delta: bool = False) -> Submission:
    """Read predictions.

    Args:
        path: An ``.h5ad``, ``.parquet``, ``.csv``, ``.tsv`` or ``.npz`` file.
        is_delta: Values are changes from control, not expression.

    Raises:
        DataError: If the file is missing, of another format, damaged, or lacks what is needed.
    """
    if not path.is_file():
        raise DataError(f"no file {path}; give predictions with --predictions FILE")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"cannot read {path}: {nearest(path.suffix, READERS)}")
    with reading(path, "predictions"):
        return _checked(reader(path, is_delta), path, is_delta)


def _checked(rows: Rows, path: Path, is_delta: bool) -> Submission:
    shape = (len(rows.labels), len(rows.genes))
    if rows.values.shape != shape:
        raise DataError(
            f"{path}: values are {rows.values.shape}, but there are {shape[0]} perturbation(s) and "
            f"{shape[1]} gene(s); write one row per perturbation and one column per gene"
        )
    if not shape[0] or not shape[1]:
        raise DataError(f"{path} has no prediction: {shape[0]} rows × {shape[1]} genes")
    try:
        values = np.asarray(rows.values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: a value is not a number ({error})") from error
    for name, column in (("cell types", rows.cell_types), ("folds", rows.folds)):
        if column is not None and len(column) != shape[0]:
            raise DataError(f"{path} has {len(column)} {name} for {shape[0]} perturbation(s)")
    # A cell type that is missing would stand for one that is called None.
    if rows.cell_types is not None and not all(isinstance(item, str) for item in rows.cell_types):
        raise DataError(f"{path}: a row has no cell type, or one that is not text; name each")
    if np.isinf(values).any():
        raise DataError(f"{path} has infinite values; a prediction must be finite")
    return Submission(
        labels=tuple(str(label) for label in rows.labels),
        cell_types=None if rows.cell_types is None else tuple(map(str, rows.cell_types)),
        folds=None if rows.folds is None else tuple(_fold(fold, path) for fold in rows.folds),
        genes=tuple(str(gene) for gene in rows.genes),
        alternatives=None if rows.alternatives is None else tuple(map(str, rows.alternatives)),
        values=values,
        is_delta=is_delta,
        sha256=file_sha256(path),
        notes=rows.notes,
    )


def _fold(value: object, path: Path) -> int:
    """Return the number of a fold, counted from 1; texts of whole numbers will do."""
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not (number.is_integer() and number >= 1):
        raise DataError(
            f"{path}: column 'fold' has {str(value)[:40]!r}, which is not the number of a fold "
            "(1, 2, …); number the folds, or leave the column out"
        )
    return int(number)
