"""One reader per format of submitted predictions; each finds labels, genes and values by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.data.reading.h5ad import column_names, open_h5ad, read_column, read_index
from dygenept.data.reading.matrices import read_matrix
from dygenept.data.reading.places import find_place
from dygenept.errors import DataError
from dygenept.machine.file_kinds import file_kind, said_of
from dygenept.machine.plain_text import CSV_APOSTROPHE, from_csv_cell
from dygenept.machine.reading import check_cells, read_arrays, read_parquet
from dygenept.types import SYMBOL_COLUMNS, DoubleArray

if TYPE_CHECKING:
    import h5py
    import polars as pl

LABEL_NAMES = ("perturbation", "condition", "label", "target_gene", "target")
CELL_TYPE_NAMES = ("cell_type", "celltype")
FOLD_NAME = "fold"
LONG_GENE_NAMES = ("gene_id", "gene", "gene_name", "feature")
EXPRESSION_NAMES = ("predicted", "expression", "value")
DELTA_NAMES = ("delta", "value")
# What the index of a pandas table is called in a file, where it has no name.
INDEX_NAMES = ("", "index", "Unnamed: 0", "__index_level_0__")
NPZ_GENES = ("genes", "gene_ids", "gene_symbols", "var_names")
NPZ_VALUES = ("values", "expression", "predictions", "deltas", "X")


@dataclass(frozen=True, slots=True)
class Rows:
    """What a reader of one format returns; see ``Submission`` for the fields."""

    labels: Sequence[str]
    cell_types: Sequence[str] | None
    folds: Sequence[object] | None
    genes: Sequence[str]
    values: npt.NDArray[Any]
    alternatives: Sequence[str] | None = None
    notes: tuple[str, ...] = ()


def _first_of(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """Return the first of some names that is among the columns."""
    return next((name for name in names if name in columns), None)


def _read_h5ad(path: Path, is_delta: bool) -> Rows:
    """Read an AnnData file; rows with the same label, cell type and fold are averaged.

    Labels are a column of ``obs``, or else its index. Genes are the index of ``var``; a column of
    symbols beside it is tried for genes that are not found.

    Raises:
        DataError: If it is not such a file.
    """
    from scipy import sparse

    with open_h5ad(path) as file:
        columns = column_names(file, "obs")
        label = _first_of(LABEL_NAMES, columns)
        index = [str(name) for name in read_index(file, "obs")]
        parts = [index if label is None else _column(file, "obs", label)]
        cell_type = _first_of(CELL_TYPE_NAMES, columns)
        if cell_type is not None:
            parts.append(_column(file, "obs", cell_type))
        has_folds = FOLD_NAME in columns
        if has_folds:
            parts.append(_column(file, "obs", FOLD_NAME))
        genes = [str(gene) for gene in read_index(file, "var")]
        symbols = _first_of(SYMBOL_COLUMNS, column_names(file, "var"))
        alternatives = None if symbols is None else _column(file, "var", symbols)
        place, shape = find_place(file, None), (len(index), len(genes))
        matrix = read_matrix(
            place.item, shape, called=place.called, notes=[], dense_type=np.float64
        )
    keys: dict[tuple[str, ...], int] = {}
    group = np.array(
        [keys.setdefault(key, len(keys)) for key in zip(*parts, strict=True)], dtype=np.int64
    )
    sizes = np.bincount(group, minlength=len(keys))
    weights = sparse.csr_matrix(
        (1.0 / sizes[group], (group, np.arange(len(group)))), shape=(len(keys), len(group))
    )
    values: DoubleArray = np.asarray(
        (weights @ sparse.csr_matrix(matrix, dtype=np.float64)).toarray(), dtype=np.float64
    )
    columns_of = list(zip(*keys, strict=True))
    return Rows(
        labels=columns_of[0],
        cell_types=None if cell_type is None else columns_of[1],
        folds=columns_of[-1] if has_folds else None,
        genes=genes,
        values=values,
        alternatives=alternatives,
    )


def _column(file: h5py.File, frame: str, name: str) -> list[str]:
    """Read a column of texts; one of ``obs`` must have a value in each row."""
    column = read_column(file, frame, name)
    n_missing = int((column.codes < 0).sum())
    if n_missing and frame == "obs":
        raise DataError(
            f"{file.filename}: {n_missing:,} row(s) have no {name}; drop them: "
            f"adata = adata[adata.obs[{name!r}].notna()]"
        )
    return column.texts()


def _read_table(path: Path, is_delta: bool) -> Rows:
    table, notes = _named_labels(_table(path), path)
    label = next(name for name in LABEL_NAMES if name in table.columns)
    if n_missing := table[label].null_count():
        raise DataError(
            f"{path}: {n_missing:,} row(s) have no {label}; drop them: table = "
            f"table[table[{label!r}].notna()]"
        )
    cell_type = _first_of(CELL_TYPE_NAMES, table.columns)
    keys = [name for name in (label, cell_type, FOLD_NAME) if name in table.columns]
    gene = _first_of(LONG_GENE_NAMES, table.columns)
    value = _first_of(DELTA_NAMES if is_delta else EXPRESSION_NAMES, table.columns)
    if gene is not None and value is not None:
        table = _widened(table, keys, gene, value, path)
    genes = [name for name in table.columns if name not in keys]
    if not all(table[name].dtype.is_numeric() for name in genes):
        text = next(name for name in genes if not table[name].dtype.is_numeric())
        raise DataError(
            f"{path}: column {text!r} contains text; a table has one column per gene, or the "
            f"columns {label}, gene and {'delta' if is_delta else 'predicted'}"
        )
    return Rows(
        labels=table[label].to_list(),
        cell_types=None if cell_type is None else table[cell_type].to_list(),
        folds=table[FOLD_NAME].to_list() if FOLD_NAME in keys else None,
        genes=genes,
        values=table.select(genes).to_numpy(),
        notes=notes,
    )


def _table(path: Path) -> pl.DataFrame:
    """Read a Parquet file, or text whose separator its name says.

    Raises:
        DataError: If the file is something else, or has another separator.
    """
    import polars as pl

    is_parquet = path.suffix.lower() == ".parquet"
    kind = file_kind(path)
    if kind != ("parquet" if is_parquet else "text"):
        wanted = "a Parquet table" if is_parquet else "a table of text"
        raise DataError(f"{path} is not {wanted}: it {said_of(kind, path)}")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    if not is_parquet:
        _check_separator(path, separator)
        check_cells(path, separator, str(path))
    if is_parquet:
        return read_parquet(path)
    table = pl.read_csv(path, separator=separator, infer_schema_length=None)
    # The reader numbers columns of one name.
    for name in table.columns:
        first, mark, _ = name.rpartition("_duplicated_")
        if mark and first in table.columns:
            raise DataError(f"{path} has two columns called {first!r}; keep one of them")
    return table.rename(from_csv_cell).with_columns(
        pl.col(pl.String).str.replace(CSV_APOSTROPHE, "${1}")
    )


def _check_separator(path: Path, separator: str) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline(1 << 20)
    other = max((mark for mark in ",;\t|" if mark != separator), key=header.count)
    if header.count(other) > header.count(separator):
        raise DataError(
            f"{path} is separated by {other!r}, not by {separator!r}; write it again: "
            f"table.to_csv({str(path)!r}, sep={separator!r}, decimal='.')"
        )


def _named_labels(table: pl.DataFrame, path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Name the column of perturbations; an index that pandas wrote has no name."""
    if _first_of(LABEL_NAMES, table.columns) is not None:
        return table, ()
    first = _first_of(INDEX_NAMES, table.columns)
    if first is not None and not table[first].dtype.is_numeric():
        named = table.rename({first: LABEL_NAMES[0]})
        return named, ("perturbations were read from the first column, an index without a name",)
    raise DataError(
        f"{path} has no column of perturbations; name one {', '.join(LABEL_NAMES)}, e.g. "
        f"table.to_csv(FILE, index_label='perturbation'); it has {', '.join(table.columns[:5])}"
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
    kind = file_kind(path)
    if kind != "zip":
        raise DataError(
            f"{path} is not an .npz file: it {said_of(kind, path)}; write it with np.savez"
        )
    names = [*LABEL_NAMES, *(f"{name}s" for name in LABEL_NAMES)]
    read = read_arrays(path)
    found = {
        part: _first_of(options, list(read))
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
                f"{path} has no array {part!r}; it has {', '.join(read)}; write "
                "np.savez(file, perturbations=labels, genes=genes, values=values)"
            )
    arrays = {part: read[name] for part, name in found.items() if name is not None}
    for part, array in arrays.items():
        if part != "values" and array.ndim != 1:
            raise DataError(f"{path}: array {found[part]!r} is {array.shape}, expected a list")
    return Rows(
        labels=arrays["perturbations"].tolist(),
        cell_types=arrays["cell_types"].tolist() if "cell_types" in arrays else None,
        folds=arrays["folds"].tolist() if "folds" in arrays else None,
        genes=arrays["genes"].tolist(),
        values=arrays["values"],
    )


READERS: Mapping[str, Callable[[Path, bool], Rows]] = {
    ".h5ad": _read_h5ad,
    ".parquet": _read_table,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".npz": _read_npz,
}
