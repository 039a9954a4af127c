"""Whether a table holds labels, signs or values, and what to say where it could be meant otherwise.

A column of 0 and 1 holds labels, whatever it is called; of -1, 0 and 1 signs; of anything else
values. Codes such as 1 and 2 are therefore values, which a note says, since whoever wrote them may
have meant labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
TRUTHS = {
    "true": "1", "false": "0", "t": "1", "f": "0", "yes": "1", "no": "0", "y": "1", "n": "0",
    "significant": "1", "not significant": "0", "not_significant": "0",
}  # fmt: skip
DIRECTIONS = {
    "up": "1", "down": "-1", "upregulated": "1", "downregulated": "-1", "increase": "1",
    "decrease": "-1",
}  # fmt: skip
NO_CHANGE = {"unchanged": "0", "ns": "0", "n.s.": "0", "no change": "0"}
WORDS = {**TRUTHS, **DIRECTIONS, **NO_CHANGE}
# Missing, as some programs write it, or no change: beside directions it could be either.
UNCLEAR = ("none", "null")

# Squares of values beyond these are 0 or infinite in float32, in which networks are trained.
SMALLEST, LARGEST = 1e-15, 1e15
# As few different numbers as this, each of them this often in the mean, are likely to be codes.
MOST_CODES, LEAST_REPEATS = 5, 4


@dataclass(frozen=True, slots=True)
class Wording:
    """How a table writes what is to be predicted.

    Attributes:
        column: What the file calls the column; None in a wide table.
        says_labels: True if it is a name of labels, such as ``direction``.
        words: The words that are read as numbers, with what they are read as, in lower case.
        missing: The words that are read as not measured.
    """

    column: str | None
    says_labels: bool
    words: dict[str, str]
    missing: tuple[str, ...]

    @property
    def subject(self) -> str:
        """What a sentence about it begins with."""
        return "The table" if self.column is None else f"Column {self.column!r}"


def words_of(column: pl.Series, path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the words of a column that stand for numbers, and those that say "not measured".

    Raises:
        DataError: If words contradict each other or the numbers beside them.
    """
    found = set(column.fill_null("").str.to_lowercase().unique().to_list())
    words = {word: WORDS[word] for word in sorted(found & set(WORDS))}
    missing = tuple(sorted(found & set(MISSING) - {""}))
    truths, directions = sorted(found & set(TRUTHS)), sorted(found & set(DIRECTIONS))
    beside = sorted(found - set(WORDS) - set(MISSING) - {""})
    if truths and directions:
        raise DataError(
            f"{path} has {truths[0]!r} and {directions[0]!r} in one column of labels, which mean "
            "different things; write up, down and unchanged, or true and false"
        )
    allowed = (0.0, 1.0) if truths else (-1.0, 0.0, 1.0)
    odd = [text for text in beside if words and _number(text) not in (*allowed, None)]
    if odd:
        raise DataError(
            f"{path} has the word {next(iter(words))!r} and the number {odd[0]} in one column; "
            "write labels, or numbers, but not both"
        )
    return words, missing


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def kind_of_values(
    values: DoubleArray, path: Path, wording: Wording
) -> tuple[EffectKind, DoubleArray, str]:
    """Tell labels, signs and values apart; -1 and 1 alone are the labels down and up.

    Args:
        values: What was measured; NaN elsewhere.
        path: The file, for messages.
        wording: How the file writes them.

    Returns:
        The kind, the values, with labels as 0 and 1, and a sentence that says how they are read;
        empty where they can hardly be meant otherwise.

    Raises:
        DataError: If all values are the same, so that there is nothing to predict, or their
            squares cannot be computed with.
    """
    found = np.unique(values[~np.isnan(values)])
    if len(found) < 2:
        only = f"{found[0]:g}" if len(found) else "missing"
        missing = " and ".join(map(repr, wording.missing))
        left_out = f" ({missing} being read as not measured)"
        raise DataError(
            f"{path}: every label or value is {only}{left_out if wording.missing else ''}, so "
            "there is nothing to predict; it needs both labels, or numbers that differ"
        )
    levels = found.tolist()
    if set(levels) == {-1.0, 1.0}:
        as_labels = np.where(np.isnan(values), np.nan, (values + 1.0) / 2.0)
        return "labels", as_labels, _said(wording, "labels", levels)
    if np.isin(found, (0.0, 1.0)).all():
        return "labels", values, _said(wording, "labels", levels)
    if np.isin(found, (-1.0, 0.0, 1.0)).all():
        return "signs", values, _said(wording, "signs", levels)
    largest = float(np.abs(found).max())
    if not SMALLEST <= largest <= LARGEST:
        raise DataError(
            f"{path}: the largest value is {largest:g}, which cannot be squared in float32; write "
            f"values in a unit in which it is between {SMALLEST:g} and {LARGEST:g}"
        )
    n_values = int((~np.isnan(values)).sum())
    are_codes = len(levels) <= MOST_CODES and n_values >= LEAST_REPEATS * len(levels)
    if are_codes or wording.says_labels:
        how_many = _joined(levels) if len(levels) <= MOST_CODES else f"{len(levels)} numbers"
        return "values", values, (
            f"{wording.subject} has {how_many} and is read as numbers, not as labels; write labels "
            "as 0 and 1, or as -1, 0 and 1 for down, unchanged and up."
        )  # fmt: skip
    return "values", values, ""


def _said(wording: Wording, kind: EffectKind, levels: Sequence[float]) -> str:
    """Say how labels or signs are read, unless they are 0 and 1 in a column of labels."""
    if wording.words:
        of = {"labels": {"-1": "0"} if -1.0 in levels else {}, "signs": {}, "values": {}}[kind]
        pairs = [f"{word!r} as {of.get(to, to)}" for word, to in wording.words.items()]
        return f"{wording.subject} is read as {kind}: {', '.join(pairs)}."
    if -1.0 in levels and kind == "labels":
        return f"{wording.subject} has only -1 and 1 and is read as labels: down as 0, up as 1."
    if kind == "signs" and (len(levels) < 3 or not wording.says_labels):
        means = {-1.0: "down", 0.0: "unchanged", 1.0: "up"}
        read = ", ".join(f"{level:g} as {means[level]}" for level in levels)
        return f"{wording.subject} has only {_joined(levels)} and is read as signs: {read}."
    if kind == "labels" and not wording.says_labels:
        return f"{wording.subject} has only 0 and 1 and is read as labels, not as numbers."
    return ""


def _joined(levels: Sequence[float]) -> str:
    *first, last = (f"{level:g}" for level in levels)
    return f"{', '.join(first)} and {last}"
