"""Which columns of ``obs`` hold perturbations and cell types, judged by their values.

A column of perturbations is one of whose values nearly all are genes, combinations, guides or
controls. Where the owner names none and the file has no column ``condition``, a column that a known
tool writes is taken if its values say the same and no other does; else the user is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.h5ad import Column, column_names, read_column
from dygenept.data.reading.label_kinds import (
    guide_of,
    is_control,
    is_missing,
    is_unassigned,
    looks_like_control,
    separator_of,
)
from dygenept.errors import DataError, nearest
from dygenept.types.mapping import DataMapping, as_flags

if TYPE_CHECKING:
    import h5py

    from dygenept.knowledge.genes.identity import GeneNames

CONDITION = "condition"
CELL_TYPE = "cell_type"
# Columns that tools write, and which tool that is; the first is the default.
KNOWN_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "perturbation": "scPerturb and pertpy write it",
        "target_gene": "cell-eval and State write it",
        "gene_target": "pertpy writes it",
        "gene": "Seurat's Mixscape writes it",
        "perturbation_name": "pertpy writes it",
    }
)
CELL_TYPE_COLUMNS = ("celltype", "cell_line", "cell_type_name", "cellType", "CellType")
# A column is one of perturbations if this share of its values is known, and worth a question from
# the second share on.
CERTAIN, LIKELY = 0.8, 0.4
# More different values than this share of the cells are names of cells, not of perturbations.
MOST_VARIED = 0.5
N_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class ColumnContent:
    """What the values of a column are.

    Attributes:
        column: Its name.
        n_values: Different values that were looked at; missing and unassigned ones are left out.
        n_genes: Values that name genes.
        n_guides: Values that look like guides.
        n_controls: Values that are controls.
        separators: How many values each separator would cut into genes.
    """

    column: str
    n_values: int
    n_genes: int
    n_guides: int
    n_controls: int
    separators: Mapping[str, int]

    @property
    def share(self) -> float:
        """Share of values that are genes, combinations, guides or controls."""
        return (self.n_targets + self.n_controls) / max(1, self.n_values)

    @property
    def n_targets(self) -> int:
        """Values that are genes, combinations or guides."""
        return self.n_genes + self.n_guides + sum(self.separators.values())

    @property
    def is_certain(self) -> bool:
        """True if this can be nothing but a column of perturbations with controls."""
        return self.share >= CERTAIN and self.n_controls > 0 and self.n_targets > 1

    @property
    def separator(self) -> str | None:
        """The separator of combinations; None where there are none, or they disagree."""
        most = max(self.separators, key=lambda sep: self.separators[sep], default=None)
        n_others = sum(n for sep, n in self.separators.items() if sep != most)
        return most if n_others <= 0.1 * sum(self.separators.values()) else None

    def given(self) -> dict[str, str | tuple[str, ...]]:
        """Return the mapping that reads this column."""
        found: dict[str, str | tuple[str, ...]] = {"condition_column": self.column}
        if self.separator is not None:
            found["separator"] = self.separator
        return found

    def described(self) -> str:
        """Say what is in the column and which flags read it."""
        n_combined = sum(self.separators.values())
        counts = (
            (self.n_genes, "genes"),
            (n_combined, "combinations"),
            (self.n_guides, "guides"),
            (self.n_controls, "controls"),
        )
        what = ", ".join(f"{n} {of}" for n, of in counts if n)
        return f"obs[{self.column!r}] has {self.n_values} values ({what}): {as_flags(self.given())}"


def find_layout(
    file: h5py.File, mapping: DataMapping, names: GeneNames, notes: list[str]
) -> DataMapping:
    """Fill in which columns of ``obs`` are read, where the owner of the file does not say it.

    Args:
        file: The open file.
        mapping: What its owner says.
        names: Its genes.
        notes: Gets one sentence on a layout that was recognised.

    Raises:
        DataError: If no column is certain; the message says what is in those that could be meant.
    """
    columns = column_names(file, "obs")
    if mapping.condition_column is not None:
        read_column(file, "obs", mapping.condition_column)
        return mapping
    if CONDITION in columns:
        return mapping
    found = contents(file, names)
    chosen = _known_one(file, found, names)
    if chosen is None:
        raise DataError(
            f"{file.filename}: obs has no column 'condition'{_question(found, columns)}"
        )
    filled = replace(
        mapping,
        condition_column=chosen.column,
        separator=mapping.separator or chosen.separator,
    )
    if mapping.cell_type_column is None and CELL_TYPE not in columns:
        filled = replace(
            filled,
            cell_type_column=next((name for name in CELL_TYPE_COLUMNS if name in columns), None),
        )
    of = f" and cell types from obs[{filled.cell_type_column!r}]" if filled.cell_type_column else ""
    notes.append(f"Labels were read from {chosen.described()}{of}; {KNOWN_COLUMNS[chosen.column]}.")
    return filled


def suggestion(file: h5py.File, names: GeneNames, *, but: str) -> str:
    """Say which other column has perturbations, with its flags; empty where none is certain."""
    found = [of for of in contents(file, names) if of.is_certain and of.column != but]
    return f"; {'; '.join(of.described() for of in found[:3])}" if found else ""


def contents(file: h5py.File, names: GeneNames) -> list[ColumnContent]:
    """Look at every column of ``obs`` that could have perturbations, the likeliest first."""
    found = []
    for name in column_names(file, "obs"):
        column = read_column(file, "obs", name)
        used = [column.categories[code] for code in np.unique(column.codes) if code >= 0]
        most = max(MOST_VARIED * len(column.codes), 2)
        if column.is_text and 2 <= len(used) <= most:
            found.append(_content(name, used, names))
    likely = [of for of in found if of.share >= LIKELY]
    return sorted(likely, key=lambda of: (not of.is_certain, of.n_guides > of.n_genes, -of.share))


def words_of_labels(file: h5py.File, mapping: DataMapping) -> list[str]:
    """Return what the labels may contain as names of genes, before any rule is known."""
    wanted = (mapping.condition_column, CONDITION, *KNOWN_COLUMNS)
    columns = column_names(file, "obs")
    column = next((name for name in wanted if name is not None and name in columns), None)
    if column is None:
        return []
    labels = read_column(file, "obs", column).categories
    words = {word for label in labels for word in re.split(r"[+_,;|&/\s]+", label)}
    return sorted(words | set(labels))


def _content(column: str, values: Sequence[str], names: GeneNames) -> ColumnContent:
    kept = [value for value in values if not is_missing(value) and not is_unassigned(value)]
    places = np.unique(np.linspace(0, max(0, len(kept) - 1), min(len(kept), N_LOOKED_AT)))
    sampled = [kept[int(place)] for place in places]
    counts: Counter[str] = Counter()
    separators: Counter[str] = Counter()
    for value in sampled:
        if is_control(value) or looks_like_control(value, names):
            counts["controls"] += 1
        elif _is_target(value, names):
            counts["genes"] += 1
        elif guide_of(value, names) is not None:
            counts["guides"] += 1
        elif (separator := separator_of(value, names)) is not None:
            separators[separator] += 1
    return ColumnContent(
        column=column,
        n_values=len(sampled),
        n_genes=counts["genes"],
        n_guides=counts["guides"],
        n_controls=counts["controls"],
        separators=separators,
    )


def _is_target(value: str, names: GeneNames) -> bool:
    """True of genes joined by plus, each by its own symbol or id; controls may stand beside."""
    parts = [part.strip() for part in value.split("+")]
    genes = [part for part in parts if not is_control(part)]
    return bool(genes) and all(_is_gene(part, names) for part in genes)


def _is_gene(name: str, names: GeneNames) -> bool:
    found = names.spelling(name)
    return found is not None and (names.has(name) or len(name) > 2)


def _known_one(
    file: h5py.File, found: Sequence[ColumnContent], names: GeneNames
) -> ColumnContent | None:
    """Return the one column that a known tool writes, if it is certain and no other disagrees."""
    certain = [of for of in found if of.is_certain]
    by_gene = [of for of in certain if of.n_guides <= of.n_genes] or certain
    known = [of for of in by_gene if of.column in KNOWN_COLUMNS]
    known.sort(key=lambda of: list(KNOWN_COLUMNS).index(of.column))
    if not known:
        return None
    first = read_column(file, "obs", known[0].column)
    others = (read_column(file, "obs", of.column) for of in by_gene if of is not known[0])
    agree = all(_mean_the_same(first, other, names) for other in others)
    return known[0] if agree else None


def _mean_the_same(first: Column, second: Column, names: GeneNames) -> bool:
    """Tell whether two columns name the same genes in every cell."""
    pairs = set(zip(first.codes.tolist(), second.codes.tolist(), strict=True))
    return all(
        min(pair) >= 0
        and _genes(first.categories[pair[0]], names) == _genes(second.categories[pair[1]], names)
        for pair in pairs
    )


def _genes(value: str, names: GeneNames) -> frozenset[str]:
    parts = (part.strip() for part in value.split("+"))
    return frozenset(
        names.spelling(part) or part
        for part in parts
        if not is_control(part) and not looks_like_control(part, names)
    )


def _question(found: Sequence[ColumnContent], columns: Sequence[str]) -> str:
    if not found:
        return (
            f", and no other column has names of genes and controls; name yours with "
            f"--condition-column; {nearest(CONDITION, columns)}"
        )
    several = "; ".join(of.described() for of in found[:3])
    return f"; name yours: {several}"
