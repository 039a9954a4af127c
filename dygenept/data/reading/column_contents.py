"""What the values of a column of ``obs`` are: genes, combinations, guides, controls, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.h5ad import column_names, read_column
from dygenept.data.reading.label_kinds import (
    guide_of,
    is_control,
    is_missing,
    is_unassigned,
    looks_like_control,
    separator_of,
)

if TYPE_CHECKING:
    import h5py

    from dygenept.knowledge.genes.identity import GeneNames

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
        guide_patterns: How many guides each pattern would give a gene.
        others: Values that are nothing of this, those with the most cells first.
    """

    column: str
    n_values: int
    n_genes: int
    n_guides: int
    n_controls: int
    separators: Mapping[str, int]
    guide_patterns: Mapping[str, int]
    others: tuple[str, ...]

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

    def asked(self) -> dict[str, str | tuple[str, ...]]:
        """Return the mapping to suggest, which also cuts guides and names controls."""
        found = self.given()
        if self.guide_patterns:
            found["guide_pattern"] = "|".join(sorted(self.guide_patterns))
        if not self.n_controls:
            found["control"] = self.others[:1] or ("LABEL",)
        return found

    def described(self) -> str:
        """Say what is in the column, such as ``26 values (25 genes, 1 controls)``."""
        n_combined = sum(self.separators.values())
        counts = (
            (self.n_genes, "genes"),
            (n_combined, "combinations"),
            (self.n_guides, "guides"),
            (self.n_controls, "controls"),
        )
        what = ", ".join(f"{n} {of}" for n, of in counts if n)
        return f"{self.n_values} values ({what})"


def contents(file: h5py.File, names: GeneNames) -> list[ColumnContent]:
    """Look at every column of ``obs`` that could have perturbations, the likeliest first."""
    found = []
    for name in column_names(file, "obs"):
        column = read_column(file, "obs", name)
        codes, n_cells = np.unique(column.codes, return_counts=True)
        by_size = codes[np.argsort(-n_cells, kind="stable")]
        used = [column.categories[code] for code in by_size if code >= 0]
        most = max(MOST_VARIED * len(column.codes), 2)
        if column.is_text and 2 <= len(used) <= most:
            found.append(_content(name, used, names))
    likely = [of for of in found if of.share >= LIKELY]
    return sorted(likely, key=lambda of: (not of.is_certain, of.n_guides > of.n_genes, -of.share))


def _content(column: str, values: Sequence[str], names: GeneNames) -> ColumnContent:
    kept = [value for value in values if not is_missing(value) and not is_unassigned(value)]
    places = np.unique(np.linspace(0, max(0, len(kept) - 1), min(len(kept), N_LOOKED_AT)))
    sampled = [kept[int(place)] for place in places]
    counts: Counter[str] = Counter()
    separators: Counter[str] = Counter()
    patterns: Counter[str] = Counter()
    others: list[str] = []
    for value in sampled:
        if is_control(value) or looks_like_control(value, names):
            counts["controls"] += 1
        elif _is_target(value, names):
            counts["genes"] += 1
        elif (guide := guide_of(value, names)) is not None:
            counts["guides"] += 1
            patterns[guide.pattern] += 1
        elif (separator := separator_of(value, names)) is not None:
            separators[separator] += 1
        else:
            others.append(value)
    return ColumnContent(
        column=column,
        n_values=len(sampled),
        n_genes=counts["genes"],
        n_guides=counts["guides"],
        n_controls=counts["controls"],
        separators=separators,
        guide_patterns=patterns,
        others=tuple(others),
    )


def _is_target(value: str, names: GeneNames) -> bool:
    """True of genes joined by plus, each by its own symbol or id; controls may stand beside."""
    parts = [part.strip() for part in value.split("+")]
    genes = [part for part in parts if not is_control(part)]
    return bool(genes) and all(_is_gene(part, names) for part in genes)


def _is_gene(name: str, names: GeneNames) -> bool:
    found = names.spelling(name)
    return found is not None and (names.has(name) or len(name) > 2)
