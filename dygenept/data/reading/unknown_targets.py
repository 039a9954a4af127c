"""Names the targets that neither ``var`` nor the gene tables know, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.data.reading.label_kinds import (
    IN_GENES,
    combination_of,
    guide_of,
    guides_of,
    is_date,
    separator_of,
)
from dygenept.errors import DataError
from dygenept.knowledge.genes.identity import ENSEMBL_ID, GeneNames
from dygenept.knowledge.genes.tables import load_gene_tables

# Of all targets; beyond it the labels are not what they should be.
MOST_UNKNOWN = 0.5
LONGEST_SHOWN = 80


def unknown_targets(targets: Sequence[str], names: GeneNames, *, column: str) -> list[str]:
    """Say of each unknown target what it looks like and what mends it, one sentence per kind.

    Args:
        targets: Target genes, each once.
        names: Names of the file.
        column: Column of ``obs`` with the labels.

    Raises:
        DataError: If most of the targets are unknown.
    """
    unknown = [target for target in targets if names.spelling(target) is None]
    notes = _described(unknown, names, column)
    if len(unknown) > MOST_UNKNOWN * len(targets):
        raise DataError(
            f"{len(unknown)} of {len(targets)} targets in obs[{column!r}] are known to neither var "
            f"nor the gene tables; {' '.join(notes)}".removesuffix(".")
        )
    # Genes of another species (Klf1, klf1) are spelt as they should be.
    is_human = len(unknown) < len(targets) and names.are_upper_case
    resolve = load_gene_tables().resolve if is_human else None
    cased = [
        f"{target} ({names.spelling(target)})"
        for target in targets
        if not names.has(target)
        and resolve is not None
        and names.spelling(target) is not None
        and resolve(target) is None
    ]
    if cased:
        notes.append(f"Look like genes in another case: {listed(cased)}; write them so.")
    return notes


def looks(name: str, names: GeneNames) -> str:
    """Say what an unknown name looks like, as ``looks like …``; empty where like nothing."""
    if (guide := guide_of(name, names)) is not None:
        return f"looks like a guide of {guide.gene}"
    if (separator := separator_of(name, names)) is not None:
        return f"looks like {'+'.join(combination_of(name, separator, names))}"
    if (guides := guides_of(name, names)) is not None:
        return f"looks like guides of {'+'.join(guides.genes)}"
    if is_date(name):
        return "looks like a spreadsheet's date in place of a symbol, as '2-Sep' of SEPTIN2"
    if ENSEMBL_ID.fullmatch(name):
        return "looks like an Ensembl id"
    return ""


def listed(labels: Sequence[str], limit: int = 3) -> str:
    """Quote the first few labels and count the rest."""
    shown = ", ".join(repr(short(label)) for label in labels[:limit])
    more = len(labels) - limit
    return f"{shown} and {more} more" if more > 0 else shown


def short(label: str) -> str:
    """Cut a label that would fill the terminal."""
    return label if len(label) <= LONGEST_SHOWN else f"{label[:LONGEST_SHOWN]}…"


def _described(unknown: Sequence[str], names: GeneNames, column: str) -> list[str]:
    guides: list[str] = []
    patterns: set[str] = set()
    combinations: dict[tuple[str, str], list[str]] = {}
    several: list[str] = []
    dates: list[str] = []
    rest: list[str] = []
    for name in unknown:
        if (guide := guide_of(name, names)) is not None:
            guides.append(f"{name} ({guide.gene})")
            patterns.add(guide.pattern)
        elif (separator := separator_of(name, names)) is not None:
            whole = "+".join(combination_of(name, separator, names))
            combinations.setdefault((separator, ""), []).append(f"{name} looks like {whole}")
        elif (pair := guides_of(name, names)) is not None:
            key = (pair.separator, pair.pattern)
            whole = "+".join(pair.genes)
            combinations.setdefault(key, []).append(f"{name} looks like guides of {whole}")
        elif is_date(name):
            dates.append(name)
        elif load_gene_tables().is_ambiguous(name):
            several.append(name)
        else:
            rest.append(name)
    obs = f"adata.obs[{column!r}] = adata.obs[{column!r}].astype(str).str.replace"

    def line(separator: str) -> str:
        # Replacing the sign everywhere would cut HLA-A too.
        return "." if separator in IN_GENES else f", or {obs}({separator!r}, '+', regex=False)."

    # One flag takes all patterns.
    pattern = "|".join(sorted(patterns))
    notes = [
        f"Guides count as genes of their own: {listed(guides)}; pass --guide-pattern {pattern!r}, "
        f"or {obs}(r{pattern!r}, '', regex=True).".replace("\\\\", "\\")
        for _ in guides[:1]
    ]
    notes += [
        f"Labels count as single genes: {listed(of)}; pass --separator {separator!r}"
        + (f" --guide-pattern {pattern!r}." if pattern else line(separator)).replace("\\\\", "\\")
        for (separator, pattern), of in combinations.items()
    ]
    if dates:
        notes.append(
            f"Look like dates that a spreadsheet made of symbols, as '2-Sep' of SEPT2 (SEPTIN2): "
            f"{listed(dates)}; write the genes' symbols."
        )
    if several:
        notes.append(
            f"Outdated names of several genes: {listed(several)}; write the gene's symbol."
        )
    if rest:
        is_id = " (Ensembl ids)" if all(ENSEMBL_ID.fullmatch(name) for name in rest) else ""
        notes.append(
            f"{len(rest)} target(s) are neither in var nor in the gene tables, so that nothing is "
            f"known of them{is_id}: {listed(rest)}; correct the labels, or drop their cells."
        )
    return notes
