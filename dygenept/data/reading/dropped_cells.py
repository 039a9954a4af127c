"""Cells that the owner of a file leaves out by their label, such as doublets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.encodings import Column
from dygenept.data.reading.h5ad import read_column
from dygenept.errors import DataError, nearest
from dygenept.types import IntArray

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
