"""Tables of pairs: two names per row and, in a third column, a score; and numbers for names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dygenept.plugin import DataError
from dygenept.types import IntArray

if TYPE_CHECKING:
    import polars as pl

    from dygenept.knowledge.graph.files import FileHead
    from dygenept.knowledge.graph.whole_graph import EdgeTable

# First cells of a row that names columns; compared in lower case without punctuation.
HEADER_WORDS = frozenset(
    "a b from to gene genea geneb gene1 gene2 source target symbola symbolb symbol1 symbol2 "
    "protein1 protein2 proteina proteinb node1 node2 head tail interactora interactorb "
    "regulator partner id1 id2 item1 item2".split()
)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of a table of pairs.

    Attributes:
        first: Names in the first column.
        second: Names in the second column.
        scores: Third column as float64; None where there are two columns.
    """

    first: pl.Series
    second: pl.Series
    scores: pl.Series | None


def is_pair_table(head: FileHead) -> bool:
    """True if every row has two names, and beyond them nothing or a number."""
    rows = _rows(head)
    if not rows or head.opening in ("{", "[", "!"):
        return False
    # Such as the first line of an ontology; no gene is called so.
    if any(row[0].endswith(":") for row in rows):
        return False
    width = len(rows[0])
    if width not in (2, 3) or any(len(row) != width for row in rows):
        return False
    return width == 2 or all(_is_number(row[2]) for row in rows[1:] or rows)


def read_pairs(path: Path, *, has_header: bool | None = None) -> Pairs:
    """Read a table of pairs; names in quotes lose them, empty names and comments are left out.

    Args:
        path: The table: tab-, comma- or space-separated, plain or gzipped.
        has_header: True if the first row names columns; None decides by its words.

    Raises:
        DataError: If rows differ in width, or a score is not a number.
    """
    import polars as pl

    from dygenept.knowledge.graph.files import read_bytes, read_head
    from dygenept.machine.reading import check_cells

    head = read_head(path)
    if has_header is None:
        has_header = _is_header(_rows(head)[0])
    try:
        content, separator = read_bytes(path), _separator(head)
        check_cells(content, separator, str(path))
        frame = pl.read_csv(
            content,
            separator=separator,
            has_header=False,
            comment_prefix="#",
            infer_schema_length=0,
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a table of pairs: {reason}") from error
    frame = frame.slice(int(has_header)).with_columns(
        pl.nth(0, 1).str.strip_chars(' "').replace("", None)
    )
    frame = frame.drop_nulls(frame.columns[:2])
    scores = None
    if frame.width > 2:
        try:
            scores = frame.to_series(2).str.strip_chars(' "').cast(pl.Float64)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{path}: a score in column 3 is not a number") from error
    return Pairs(frame.to_series(0), frame.to_series(1), scores)


def edges_of_pairs(
    pairs: Pairs, *, weight: float, path: Path, full_score: float = 1.0
) -> tuple[EdgeTable, NameCodes]:
    """Weigh pairs: all alike where there are no scores, else ``weight · score / full_score``.

    Pairs with a score of 0 or below are not evidence and are left out.

    Args:
        pairs: Rows of a table.
        weight: Weight of a pair without a score, or with a full one.
        path: The table, for messages.
        full_score: Score of full evidence.

    Returns:
        The edges, and the numbers of their names.

    Raises:
        DataError: If a score is above the full one, or none at all.
    """
    from dygenept.knowledge.graph.whole_graph import EdgeTable

    codes = NameCodes()
    first, second = codes.add(pairs.first), codes.add(pairs.second)
    if pairs.scores is None:
        weights = np.full(len(first), weight, dtype=np.float32)
        return EdgeTable(codes.names, first, second, weights, len(first)), codes
    scores = pairs.scores.fill_null(np.nan).to_numpy()
    highest = scores.max(initial=0.0)
    if not highest <= full_score:
        raise DataError(
            f"{path}: column 3 contains the score {highest:g}, and scores must be numbers of at "
            f"most {full_score:g}; name the score of full evidence as full_score, such as 1000"
        )
    is_kept = scores > 0
    weights = (weight * scores[is_kept] / full_score).astype(np.float32)
    dropped = {"with a score of 0 or below": int((~is_kept).sum())}
    table = EdgeTable(codes.names, first[is_kept], second[is_kept], weights, len(first), dropped)
    return table, codes


class NameCodes:
    """Numbers names in order of first appearance, over any number of columns.

    Millions of rows then carry integers, and each name is resolved once.

    Attributes:
        names: All names so far; a name's number is its position.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, column: pl.Series) -> IntArray:
        """Return the number of each name of a text column without nulls, (n_rows,) int32."""
        import polars as pl

        unique = column.unique(maintain_order=True)
        for name in unique:
            if name not in self._numbers:
                self._numbers[name] = len(self.names)
                self.names.append(name)
        if column.is_empty():
            return np.zeros(0, dtype=np.int32)
        numbers = pl.Series([self._numbers[name] for name in unique], dtype=pl.Int32)
        return column.replace_strict(unique, numbers, return_dtype=pl.Int32).to_numpy()

    def translated(self, names: Mapping[str, str]) -> list[str | None]:
        """Return all names with protein ids replaced; None for a protein id without a name."""
        return [names.get(name, None if is_protein_id(name) else name) for name in self.names]


def is_protein_id(name: str) -> bool:
    """True for an Ensembl protein id, with or without STRING's taxon in front."""
    return name.rpartition(".")[2].startswith("ENSP") or name.startswith("ENSP")


def read_tabs(path: Path, **options: Any) -> pl.DataFrame:
    """Read a published table that is separated by tabs, plain or gzipped, as texts.

    Args:
        path: The table.
        options: As ``polars.read_csv`` takes them.

    Raises:
        DataError: If it is damaged.
    """
    import polars as pl

    from dygenept.knowledge.graph.files import read_bytes
    from dygenept.machine.reading import check_cells

    with damage_named(path):
        content = read_bytes(path)
        check_cells(content, "\t", str(path))
        return pl.read_csv(content, separator="\t", infer_schema_length=0, **options)


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Say of a published file that polars cannot read that it is damaged.

    Raises:
        DataError: As said.
    """
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is damaged: {reason}; fetch it again") from error


def _rows(head: FileHead) -> list[list[str]]:
    separator = _separator(head)
    return [
        line.split(separator) for line in head.lines if line.strip() and not line.startswith("#")
    ]


def _separator(head: FileHead) -> str:
    line = next((line for line in head.lines if line.strip() and not line.startswith("#")), "")
    return next((mark for mark in ("\t", ",", " ") if mark in line), "\t")


def _is_header(row: list[str]) -> bool:
    words = ["".join(filter(str.isalnum, cell.lower())) for cell in row[:2]]
    return all(word in HEADER_WORDS for word in words) or (len(row) > 2 and not _is_number(row[2]))


def _is_number(text: str) -> bool:
    try:
        float(text.strip(' "'))
    except ValueError:
        return False
    return True
