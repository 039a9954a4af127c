"""Text to numbers: labels, signs and values, and which of them a table has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import DataError
from dygenept.types import DoubleArray
from dygenept.types.effects import EffectKind

if TYPE_CHECKING:
    import polars as pl

EMPTY = "leave cells that were not measured empty"
MISSING = ("", "na", "n/a", "nan", "none", "null", ".")
WORDS = {
    "true": "1", "false": "0", "yes": "1", "no": "0", "up": "1", "down": "-1",
    "upregulated": "1", "downregulated": "-1", "increase": "1", "decrease": "-1", "unchanged": "0",
    "ns": "0",
}  # fmt: skip

# Squares of values beyond these are 0 or infinite in float32, in which networks are trained.
SMALLEST, LARGEST = 1e-15, 1e15


def numbers(column: pl.Series, path: Path, *, called: str) -> DoubleArray:
    """Read a column as numbers, NaN where a cell is empty or says that it is missing.

    Raises:
        DataError: If a cell is not a number, or infinite; its row is named.
    """
    import polars as pl

    lower = column.fill_null("").str.to_lowercase()
    is_missing = lower.is_in(MISSING)
    read = lower.replace(WORDS).cast(pl.Float64, strict=False)
    wrong = (~is_missing & read.is_null()).to_numpy()
    values = np.where(is_missing.to_numpy(), np.nan, read.fill_null(float("nan")).to_numpy())
    wrong |= np.isinf(values)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        has_comma = re.fullmatch(r"[+-]?\d*,\d+(e[+-]?\d+)?", lower[row]) is not None
        mend = "write numbers with a point: 0.5" if has_comma else EMPTY
        raise DataError(
            f"{path}, row {row + 1} below the header: the {called} is {column[row]!r}, which is "
            f"not a finite number ({int(wrong.sum())} such row(s)); {mend}"
        )
    return values


def kind_of_values(values: DoubleArray, path: Path) -> tuple[EffectKind, DoubleArray]:
    """Tell labels, signs and values apart; -1 and 1 alone are the labels down and up.

    Returns:
        The kind, and the values, with labels as 0 and 1.

    Raises:
        DataError: If all values are the same, so that there is nothing to predict, or their
            squares cannot be computed with.
    """
    found = np.unique(values[~np.isnan(values)])
    if len(found) < 2:
        only = f"{found[0]:g}" if len(found) else "missing"
        raise DataError(
            f"{path}: every label or value is {only}, so there is nothing to predict; it needs "
            "both labels, or numbers that differ"
        )
    if set(found.tolist()) == {-1.0, 1.0}:
        return "labels", np.where(np.isnan(values), np.nan, (values + 1.0) / 2.0)
    if np.isin(found, (0.0, 1.0)).all():
        return "labels", values
    if np.isin(found, (-1.0, 0.0, 1.0)).all():
        return "signs", values
    largest = float(np.abs(found).max())
    if not SMALLEST <= largest <= LARGEST:
        raise DataError(
            f"{path}: the largest value is {largest:g}, which cannot be squared in float32; write "
            f"values in a unit in which it is between {SMALLEST:g} and {LARGEST:g}"
        )
    return "values", values
