"""Which column of a table is what, and its rows as pairs: long tables and wide ones.

Text becomes numbers here: labels, signs and values, whichever of them a table has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.effects.kinds import (
    DIRECTIONS,
    EMPTY,
    MISSING,
    UNCLEAR,
    WORDS,
    Wording,
    words_of,
)
from dygenept.errors import DataError, nearest
from dygenept.types import DataMapping, DoubleArray

if TYPE_CHECKING:
    import polars as pl


def numbers(column: pl.Series, path: Path, *, called: str) -> DoubleArray:
    """Read a column as numbers, NaN where a cell is empty or says that it is missing.

    Raises:
        DataError: If a cell is not a number, or infinite, or says "none" beside directions; its row
            is named.
    """
    import polars as pl

    lower = column.fill_null("").str.to_lowercase()
    unclear = np.flatnonzero(lower.is_in(UNCLEAR).to_numpy())
    if len(unclear) and lower.is_in(DIRECTIONS).any():
        row = int(unclear[0])
        raise DataError(
            f"{path}, row {row + 1} below the header: the {called} is {column[row]!r} "
            f"({len(unclear)} such row(s)), which beside directions may mean no change or not "
            f"measured; write 0 for no change, and {EMPTY}"
        )
    is_missing = lower.is_in(MISSING)
    read = lower.replace(WORDS).cast(pl.Float64, strict=False)
    wrong = (~is_missing & read.is_null()).to_numpy()
    values = np.where(is_missing.to_numpy(), np.nan, read.fill_null(float("nan")).to_numpy())
    wrong |= np.isinf(values)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        has_comma = re.fullmatch(r"[+-]?\d*,\d+(e[+-]?\d+)?", lower[row]) is not None
        known = f"{EMPTY}; labels may be the words true, false, yes, no, up, down or unchanged"
        mend = "write numbers with a point: 0.5" if has_comma else known
        raise DataError(
            f"{path}, row {row + 1} below the header: the {called} is {column[row]!r}, which is "
            f"not a finite number ({int(wrong.sum())} such row(s)); {mend}"
        )
    return values


PERTURBATION = (
    "perturbation", "pert", "perturbed_gene", "condition", "target", "target_gene",
    "gene_target", "knockdown", "guide", "perturbation_name",
)  # fmt: skip
GENE = (
    "gene", "readout", "readout_gene", "output_gene", "feature", "response", "gene_symbol",
    "symbol", "gene_name",
)  # fmt: skip
LABEL = ("label", "labels", "direction", "significant", "is_de", "de")
VALUE = (
    "value", "log2_fold_change", "log2foldchange", "log2fc", "log_fold_change", "logfoldchange",
    "logfc", "lfc", "z", "z_score", "zscore", "effect", "effect_size", "beta", "score",
)  # fmt: skip
WEIGHT = ("weight", "weights")
SPLIT = ("split", "fold", "partition", "set")
CELL_TYPE = ("cell_type", "celltype", "cell_line", "cell_context", "context", "line")


@dataclass(frozen=True, slots=True)
class Pairs:
    """A table as rows of text, null where a cell is empty.

    Attributes:
        frame: Columns ``perturbation``, ``gene``, ``value`` and, where there are such, ``weight``,
            ``split`` and ``cell_type``.
        called: What the file calls its column of perturbations.
        value_called: What it calls its column of labels or values; None in a wide table.
        notes: What was decided, one sentence each.
    """

    frame: pl.DataFrame
    called: str
    value_called: str | None = None
    notes: list[str] = field(default_factory=list)

    def has(self, column: str) -> bool:
        """True if the table has such a column."""
        return column in self.frame.columns

    def wording(self, path: Path) -> Wording:
        """Return how the table writes what is to be predicted.

        Raises:
            DataError: If its words contradict each other or the numbers beside them.
        """
        words, missing = words_of(self.frame["value"], path)
        name = self.value_called
        return Wording(
            column=name,
            says_labels=name is not None and _first([name], LABEL) is not None,
            words=words,
            missing=missing,
        )


def pairs_of(frame: pl.DataFrame, mapping: DataMapping, path: Path) -> Pairs:
    """Find the columns of a table; a wide one becomes long.

    Raises:
        DataError: If a column is missing, is not there under the name that was given, or cannot
            be told from another; the flag that names it is said.
    """
    names = frame.columns
    perturbation = _column(
        names, mapping.condition_column, PERTURBATION, "--condition-column", path
    )
    gene = _column(names, mapping.symbol_column, GENE, "--symbol-column", path)
    if perturbation is None and gene is not None and "gene" in gene.lower():
        # The one column of names, as in a table of gene × genes.
        others = [name for name in names if name != gene]
        if _value_column(others, mapping, path) is None:
            perturbation, gene = gene, None
    if perturbation is None and gene is None and names:
        perturbation = names[0]
    if perturbation is None or perturbation == gene:
        raise DataError(
            f"{path} has no column of perturbations (perturbation, pert, target); its columns are "
            f"{_listed(names)}; say which it is with --condition-column"
        )
    cell_type = _column(names, mapping.cell_type_column, CELL_TYPE, "--cell-type-column", path)
    split, weight = _first(names, SPLIT), _first(names, WEIGHT)
    extra = {"split": split, "cell_type": cell_type, "weight": weight}
    rest = [name for name in names if name not in {perturbation, gene, split, cell_type, weight}]
    if gene is None:
        return _from_wide(frame, perturbation, rest, extra, path)
    value = _value_column(rest, mapping, path)
    if value is None:
        raise DataError(
            f"{path} has no column of labels or values (label, value, log2fc, z); its other "
            f"columns are {_listed(rest)}; say which it is with --value-column"
        )
    wanted = {"perturbation": perturbation, "gene": gene, "value": value, **extra}
    left = [name for name in rest if name != value]
    notes = [f"Columns that are not read: {_listed(left)}."] if left else []
    return Pairs(_selected(frame, wanted), perturbation, value, notes)


def _from_wide(
    frame: pl.DataFrame,
    perturbation: str,
    genes: Sequence[str],
    extra: dict[str, str | None],
    path: Path,
) -> Pairs:
    import polars as pl

    words = [name for name in genes if not _is_numeric(frame[name])]
    if words and all(_is_labels(frame[name]) for name in genes):
        words = []
    if words or len(genes) < 2:
        what = f"column {words[0]!r} contains words" if words else "it has no columns of genes"
        raise DataError(
            f"{path} has no column of genes, so it would be a wide table of one row per "
            f"perturbation and one column per gene, but {what}; say which column has the genes "
            "with --symbol-column, or drop it"
        )
    kept = {name: column for name, column in extra.items() if column and name != "weight"}
    wide = frame.select(
        pl.col(perturbation).alias("\0perturbation"),
        *(pl.col(column).alias(f"\0{name}") for name, column in kept.items()),
        *genes,
    )
    index = ["\0perturbation", *(f"\0{name}" for name in kept)]
    long = wide.unpivot(genes, index=index, variable_name="gene", value_name="value")
    long = long.rename({name: name[1:] for name in index})
    note = f"Read as a wide table: one row per perturbation, {len(genes)} columns of genes."
    return Pairs(long, perturbation, None, [note])


def _selected(frame: pl.DataFrame, wanted: dict[str, str | None]) -> pl.DataFrame:
    import polars as pl

    return frame.select(
        pl.col(column).alias(name) for name, column in wanted.items() if column is not None
    )


def _column(
    names: Sequence[str], given: str | None, usual: Iterable[str], flag: str, path: Path
) -> str | None:
    if given is None:
        return _first(names, usual)
    if given not in names:
        raise DataError(f"{path} has no column {given!r} ({flag}); {nearest(given, names)}")
    return given


def _first(names: Sequence[str], usual: Iterable[str]) -> str | None:
    by_lower = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _value_column(names: Sequence[str], mapping: DataMapping, path: Path) -> str | None:
    if mapping.value_column is not None:
        return _column(names, mapping.value_column, (), "--value-column", path)
    label, value = _first(names, LABEL), _first(names, VALUE)
    if label is not None and value is not None:
        raise DataError(
            f"{path} has labels ({label!r}) and values ({value!r}); say which to predict with "
            f"--value-column {label}"
        )
    return label or value


def _is_numeric(column: pl.Series) -> bool:
    import polars as pl

    filled = column.filter(~column.fill_null("").str.to_lowercase().is_in(MISSING))
    return filled.cast(pl.Float64, strict=False).null_count() == 0


def _is_labels(column: pl.Series) -> bool:
    """True of a column with nothing but words for labels, and signs, such as a gene's."""
    lower = column.fill_null("").str.to_lowercase()
    return bool(lower.is_in([*WORDS, *MISSING, "0", "1", "-1"]).all())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")
