"""Predictions that anybody hands in, read from h5ad, parquet, csv, tsv or npz."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import DataError, nearest
from dygenept.machine.checksums import file_sha256
from dygenept.results.submission_h5ad import read_h5ad_rows
from dygenept.results.submission_rows import CELL_TYPE_NAMES, FOLD_NAME, LABEL_NAMES, Rows, first_of
from dygenept.types import DoubleArray

if TYPE_CHECKING:
    import polars as pl

LONG_GENE_NAMES = ("gene_id", "gene", "gene_name", "feature")
EXPRESSION_NAMES = ("predicted", "expression", "value")
DELTA_NAMES = ("delta", "value")
NPZ_GENES = ("genes", "gene_ids", "gene_symbols", "var_names")
NPZ_VALUES = ("values", "expression", "predictions", "deltas", "X")


@dataclass(frozen=True, slots=True)
class Submission:
    """Predictions as they were handed in, before they are matched to a data set.

    Attributes:
        labels: Perturbation of each row, in any accepted spelling, (n,).
        cell_types: Cell type of each row, (n,); None where the file has none.
        folds: Fold of each row, counted from 1, (n,); None where the file has none.
        genes: Identifier or symbol of each column, (m,).
        alternatives: Another name of each column, (m,); None where the file has none.
        values: Mean log1p expression, or change from control, (n, m); NaN where not given.
        is_delta: True if values are changes from control.
        sha256: Hash of the file.
    """

    labels: tuple[str, ...]
    cell_types: tuple[str, ...] | None
    folds: tuple[int, ...] | None
    genes: tuple[str, ...]
    alternatives: tuple[str, ...] | None
    values: DoubleArray
    is_delta: bool
    sha256: str


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
    reader = _readers().get(path.suffix.lower())
    if reader is None:
        raise DataError(f"cannot read {path}: {nearest(path.suffix, _readers())}")
    rows = reader(path, is_delta)
    shape = (len(rows.labels), len(rows.genes))
    if rows.values.shape != shape:
        raise DataError(
            f"{path}: values are {rows.values.shape}, but there are {shape[0]} perturbation(s) and "
            f"{shape[1]} gene(s); write one row a perturbation and one column a gene"
        )
    if not shape[0] or not shape[1]:
        raise DataError(f"{path} holds no prediction: {shape[0]} rows × {shape[1]} genes")
    try:
        values = np.asarray(rows.values, dtype=np.float64)
        folds = None if rows.folds is None else tuple(int(fold) for fold in rows.folds)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: a value or fold is no number ({error})") from error
    if np.isinf(values).any():
        raise DataError(f"{path} holds infinite values; a prediction must be finite")
    return Submission(
        labels=tuple(str(label) for label in rows.labels),
        cell_types=None if rows.cell_types is None else tuple(map(str, rows.cell_types)),
        folds=folds,
        genes=tuple(str(gene) for gene in rows.genes),
        alternatives=None if rows.alternatives is None else tuple(map(str, rows.alternatives)),
        values=values,
        is_delta=is_delta,
        sha256=file_sha256(path),
    )


def _readers() -> Mapping[str, Callable[[Path, bool], Rows]]:
    return {
        ".h5ad": read_h5ad_rows,
        ".parquet": _read_table,
        ".csv": _read_table,
        ".tsv": _read_table,
        ".npz": _read_npz,
    }


def _read_table(path: Path, is_delta: bool) -> Rows:
    import polars as pl
    from polars.exceptions import PolarsError

    try:
        if path.suffix.lower() == ".parquet":
            table = pl.read_parquet(path)
        else:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            table = pl.read_csv(path, separator=separator, infer_schema_length=None)
    except (PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    label = first_of(LABEL_NAMES, table.columns)
    if label is None:
        raise DataError(
            f"{path} has no column of perturbations; name one {', '.join(LABEL_NAMES)}; it has "
            f"{', '.join(table.columns[:5])}"
        )
    cell_type = first_of(CELL_TYPE_NAMES, table.columns)
    keys = [name for name in (label, cell_type, FOLD_NAME) if name in table.columns]
    gene = first_of(LONG_GENE_NAMES, table.columns)
    value = first_of(DELTA_NAMES if is_delta else EXPRESSION_NAMES, table.columns)
    if gene is not None and value is not None:
        table = _widened(table, keys, gene, value, path)
    genes = [name for name in table.columns if name not in keys]
    if not all(table[name].dtype.is_numeric() for name in genes):
        text = next(name for name in genes if not table[name].dtype.is_numeric())
        raise DataError(
            f"{path}: column {text!r} holds text; a table has one column a gene, or the columns "
            f"{label}, gene and {'delta' if is_delta else 'predicted'}"
        )
    return Rows(
        labels=table[label].to_list(),
        cell_types=None if cell_type is None else table[cell_type].to_list(),
        folds=table[FOLD_NAME].to_list() if FOLD_NAME in keys else None,
        genes=genes,
        values=table.select(genes).to_numpy(),
    )


def _widened(
    table: pl.DataFrame, keys: Sequence[str], gene: str, value: str, path: Path
) -> pl.DataFrame:
    twice = table.select([*keys, gene]).is_duplicated()
    if twice.any():
        row = table.row(int(twice.arg_true()[0]), named=True)
        raise DataError(
            f"{path} gives gene {row[gene]!r} of {row[keys[0]]!r} more than once; keep one value"
        )
    return table.pivot(on=gene, index=list(keys), values=value)


def _read_npz(path: Path, is_delta: bool) -> Rows:
    from zipfile import BadZipFile

    names = [*LABEL_NAMES, *(f"{name}s" for name in LABEL_NAMES)]
    try:
        # Object arrays would need pickle, which may run code of whoever wrote the file.
        with np.load(path, allow_pickle=False) as file:
            found = {
                part: first_of(options, file.files)
                for part, options in (
                    ("perturbations", names),
                    ("genes", NPZ_GENES),
                    ("values", NPZ_VALUES),
                    ("cell_types", ("cell_types", *CELL_TYPE_NAMES)),
                    ("folds", ("folds", FOLD_NAME)),
                )
            }
            for part in ("perturbations", "genes", "values"):
                if found[part] is None:
                    raise DataError(
                        f"{path} has no array {part!r}; it holds {', '.join(file.files)}; write "
                        "np.savez(file, perturbations=labels, genes=genes, values=values)"
                    )
            arrays = {part: file[name] for part, name in found.items() if name is not None}
    except (BadZipFile, ValueError, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); names must be plain string arrays: "
            "np.array(labels, dtype=str)"
        ) from error
    return Rows(
        labels=arrays["perturbations"].tolist(),
        cell_types=arrays["cell_types"].tolist() if "cell_types" in arrays else None,
        folds=arrays["folds"].tolist() if "folds" in arrays else None,
        genes=arrays["genes"].tolist(),
        values=arrays["values"],
    )
