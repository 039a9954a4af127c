"""What the genes of a file are called: the column of symbols, found by what it contains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.h5ad import column_names, read_column
from dygenept.errors import DataError, nearest
from dygenept.knowledge.genes.identity import ENSEMBL_ID, GeneNames
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.types import NAMED_COLUMNS, SYMBOL_COLUMNS

if TYPE_CHECKING:
    import h5py

# So many values of a column are looked up in the gene tables, and this share must be genes.
N_LOOKED_UP = 300
MIN_KNOWN = 0.5
# Of the ids that are translated where there is no column of symbols.
MIN_TRANSLATED = 0.1


@dataclass(frozen=True, slots=True)
class NamedGenes:
    """What the genes of a file are called.

    Attributes:
        symbols: Gene symbols, (G,); the index of ``var`` where it has none.
        names: Finds a gene by symbol or id.
        has_symbols: False if only identifiers that nobody can translate are there.
    """

    symbols: tuple[str, ...]
    names: GeneNames
    has_symbols: bool = True


def name_genes(
    file: h5py.File,
    frame: str,
    gene_ids: Sequence[str],
    *,
    given: str | None,
    labels: Sequence[str],
    notes: list[str],
) -> NamedGenes:
    """Find the symbols of genes, and the ids that labels may use instead.

    Args:
        file: The open file.
        frame: Table of the genes, ``var`` or ``raw/var``.
        gene_ids: Its index.
        given: The column of symbols, as the user says; None looks for one.
        labels: Names that labels may contain; a column that has them is preferred.
        notes: Gets a sentence on what was found.

    Raises:
        DataError: If the given column is not there, or contains numbers.
    """
    wanted = frozenset(labels)
    if given is not None:
        if not read_column(file, frame, given).is_text:
            raise DataError(
                f"{file.filename}: var[{given!r}] contains numbers, not gene symbols; name another "
                f"column with --symbol-column; {nearest('symbol', _text_columns(file, frame))}"
            )
        symbols = _column(file, frame, given, gene_ids)
        return NamedGenes(symbols, GeneNames(symbols, gene_ids))
    columns = column_names(file, frame)
    usual = next((column for column in SYMBOL_COLUMNS if column in columns), None)
    texts = {
        column: _column(file, frame, column, gene_ids) for column in _text_columns(file, frame)
    }
    chosen = _chosen(texts, usual, gene_ids, wanted)
    if chosen is None:
        found = _from_index(gene_ids, notes)
    else:
        if chosen != SYMBOL_COLUMNS[0]:
            notes.append(f"Gene symbols were read from var[{chosen!r}].")
        found = NamedGenes(texts[chosen], GeneNames(texts[chosen], gene_ids))
    ids = _ids_of_labels(texts, found.symbols, gene_ids, wanted)
    if ids is None:
        return found
    notes.append(f"Labels that are gene ids were matched by var[{ids!r}].")
    return NamedGenes(found.symbols, GeneNames(found.symbols, texts[ids]), found.has_symbols)


def _text_columns(file: h5py.File, frame: str) -> list[str]:
    return [
        column
        for column in column_names(file, frame)
        if read_column(file, frame, column).is_text or column in SYMBOL_COLUMNS
    ]


def _column(file: h5py.File, frame: str, column: str, gene_ids: Sequence[str]) -> tuple[str, ...]:
    texts = read_column(file, frame, column).texts()
    return tuple(text or gene_id for text, gene_id in zip(texts, gene_ids, strict=True))


def _chosen(
    texts: dict[str, tuple[str, ...]],
    usual: str | None,
    gene_ids: Sequence[str],
    wanted: frozenset[str],
) -> str | None:
    """Return the column of symbols: the usual one, unless another is one and it is not."""
    if usual is not None and _is_named(texts[usual], wanted):
        return usual
    if usual is None and _is_named(gene_ids, wanted):
        return None
    ranked = {column: _rank(values, wanted) for column, values in texts.items() if column != usual}
    best = max(ranked, key=lambda column: ranked[column], default=None)
    is_better = best is not None and (ranked[best][0] > 0 or ranked[best][1] >= MIN_KNOWN)
    if is_better:
        return best
    return None if usual is not None and _is_named(gene_ids, wanted) else usual


def _is_named(values: Sequence[str], wanted: frozenset[str]) -> bool:
    """Tell whether values name genes as people do: the labels' own names, or no Ensembl ids."""
    if _share_of_ids(values) >= MIN_KNOWN:
        return False
    return not wanted.isdisjoint(values) or _share_known(values) >= MIN_KNOWN


def _rank(values: Sequence[str], wanted: frozenset[str]) -> tuple[int, float]:
    if _share_of_ids(values) >= MIN_KNOWN:
        return (0, 0.0)
    return (len(wanted.intersection(values)), _share_known(values))


def _sampled(values: Sequence[str]) -> list[str]:
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), N_LOOKED_UP)).astype(int))
    return [values[place] for place in places]


def _share_of_ids(values: Sequence[str]) -> float:
    sampled = _sampled(values)
    return sum(ENSEMBL_ID.fullmatch(value) is not None for value in sampled) / len(sampled)


def _share_known(values: Sequence[str]) -> float:
    resolve = load_gene_tables().resolve_any_case
    sampled = set(_sampled(values))
    # A column of one word, such as the kind of gene, is none of symbols.
    is_varied = len(sampled) > len(_sampled(values)) / 2
    return sum(resolve(value) is not None for value in sampled) / len(sampled) if is_varied else 0.0


def _from_index(gene_ids: Sequence[str], notes: list[str]) -> NamedGenes:
    """Take the index itself, or what the gene tables call its Ensembl ids."""
    ids = tuple(gene_ids)
    if _share_of_ids(ids) < MIN_KNOWN:
        notes.append("var has no column of gene symbols: its index is used instead.")
        return NamedGenes(ids, GeneNames(ids, ids))
    resolve = load_gene_tables().resolve
    translated = [resolve(gene_id) for gene_id in ids]
    n_known = sum(symbol is not None for symbol in translated)
    if n_known < MIN_TRANSLATED * len(ids):
        notes.append(
            f"var has only identifiers, such as {ids[0]!r}, that the gene tables do not know: "
            "targets given as symbols cannot be found; name a column of symbols with "
            "--symbol-column."
        )
        return NamedGenes(ids, GeneNames(ids, ids), has_symbols=False)
    notes.append(
        f"var has no column of gene symbols: {n_known:,} of {len(ids):,} Ensembl ids were "
        "translated by the gene tables."
    )
    symbols = tuple(symbol or gene_id for symbol, gene_id in zip(translated, ids, strict=True))
    return NamedGenes(symbols, GeneNames(symbols, ids))


def _ids_of_labels(
    texts: dict[str, tuple[str, ...]],
    symbols: Sequence[str],
    gene_ids: Sequence[str],
    wanted: frozenset[str],
) -> str | None:
    """Return the column whose ids the labels use, where neither index nor symbols have them."""
    missing = {label for label in wanted if ENSEMBL_ID.fullmatch(label)}
    missing -= {*symbols, *gene_ids}
    matched = {column: len(missing.intersection(values)) for column, values in texts.items()}
    best = max(matched, key=lambda column: matched[column], default=None)
    return best if best is not None and matched[best] > 0 else None


def check_gene_names(genes: Sequence[str], path: Path) -> None:
    """Refuse genes that are called as a column beside them in kept predictions is.

    Raises:
        DataError: If there is one.
    """
    if found := sorted(set(genes) & set(NAMED_COLUMNS)):
        raise DataError(
            f"{path}: a gene is called {found[0]!r}, as a column of kept predictions is; rename it"
        )
