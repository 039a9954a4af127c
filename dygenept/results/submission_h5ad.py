"""Predictions in an AnnData file: cells or pseudobulks, one label a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.expression import read_expression
from dygenept.data.reading.h5ad import column_names, open_h5ad, read_column, read_index
from dygenept.errors import DataError
from dygenept.results.submission_rows import CELL_TYPE_NAMES, FOLD_NAME, LABEL_NAMES, Rows, first_of
from dygenept.types import SYMBOL_COLUMNS, DoubleArray

if TYPE_CHECKING:
    import h5py
    from scipy import sparse


def read_h5ad_rows(path: Path, is_delta: bool) -> Rows:
    """Read an AnnData file; rows with the same label, cell type and fold are averaged.

    Labels are those of a column of ``obs``, or its index where there is none. Genes are the index
    of ``var``; a column of symbols beside it is tried for those that are not found.

    Raises:
        DataError: If it is no such file.
    """
    from scipy import sparse

    with open_h5ad(path) as file:
        columns = column_names(file, "obs")
        label = first_of(LABEL_NAMES, columns)
        index = [str(name) for name in read_index(file, "obs")]
        parts = [index if label is None else _texts(file, "obs", label)]
        cell_type = first_of(CELL_TYPE_NAMES, columns)
        if cell_type is not None:
            parts.append(_texts(file, "obs", cell_type))
        has_folds = FOLD_NAME in columns
        if has_folds:
            parts.append(_texts(file, "obs", FOLD_NAME))
        genes = [str(gene) for gene in read_index(file, "var")]
        symbols = first_of(SYMBOL_COLUMNS, column_names(file, "var"))
        alternatives = None if symbols is None else _texts(file, "var", symbols)
        matrix = _matrix(file)
    if matrix.shape[0] != len(index):
        raise DataError(f"{path}: X has {matrix.shape[0]} rows, but obs has {len(index)}")
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
        folds=[int(float(fold)) for fold in columns_of[-1]] if has_folds else None,
        genes=genes,
        values=values,
        alternatives=alternatives,
    )


def _texts(file: h5py.File, frame: str, name: str) -> list[str]:
    column = read_column(file, frame, name)
    # The last entry is where the code -1 of a missing value points to.
    values = (*column.categories, "")
    return [values[code] for code in column.codes]


def _matrix(file: h5py.File) -> sparse.csr_matrix:
    import h5py
    from scipy import sparse

    item = file["X"]
    if isinstance(item, h5py.Dataset):
        return sparse.csr_matrix(item[:])
    return read_expression(file, [])
