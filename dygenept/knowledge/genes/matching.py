"""Finds genes under any of their names, and names the nearest where there is no such gene.

It also picks the genes of a knowledge set so.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.machine.reading import reading
from dygenept.types import GeneKnowledge


def rows_of(genes: Sequence[str], known: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the row of each gene: by its own spelling, then by current symbol; -1 where absent.

    Args:
        genes: Symbols, aliases, outdated symbols or Ensembl gene ids.
        known: Genes of a graph or of a knowledge set, each once.
    """
    rows = {gene: row for row, gene in enumerate(known)}
    if not rows.keys() >= set(genes):
        resolve = load_gene_tables().resolve
        by_current: dict[str, int] = {}
        for gene, row in rows.items():
            by_current.setdefault(resolve(gene) or gene, row)
        rows = {gene: rows.get(gene, by_current.get(resolve(gene) or gene, -1)) for gene in genes}
    return np.array([rows[gene] for gene in genes], dtype=np.int64)


def gene_universe(genes: Sequence[str]) -> tuple[str, ...]:
    """Return the genes themselves and every other gene of the shipped tables, each gene once.

    A gene that is asked for under an outdated symbol is not listed again under its current one.
    """
    tables = load_gene_tables()
    asked = tuple(dict.fromkeys(genes))
    taken = {tables.resolve(gene) or gene for gene in asked}
    return asked + tuple(symbol for symbol in tables.symbols if symbol not in taken)


def nearest_genes(gene: str, known: Sequence[str]) -> str:
    """Name the closest spellings; there are too many genes to name them all."""
    close = difflib.get_close_matches(gene, known) or difflib.get_close_matches(gene.upper(), known)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "check its symbol"


@functools.lru_cache(maxsize=1)
def symbols_of_entrez() -> Mapping[int, str]:
    """Return the current symbol of each NCBI Gene (Entrez) number.

    Raises:
        DataError: If the table is missing or damaged.
    """
    import polars as pl

    path = importlib.resources.files("dygenept") / "resources" / "genes" / "entrez.parquet"
    with reading(Path(str(path)), "a gene table", mend="reinstall dygenept"):
        numbers = pl.read_parquet(path.read_bytes())["entrez"].to_list()
        return dict(zip(numbers, load_gene_tables().symbols, strict=True))


def select_genes(knowledge: GeneKnowledge, genes: Sequence[str]) -> GeneKnowledge:
    """Return the knowledge of some genes, in their order; absent ones have confidence 0.

    A gene is found by its own spelling first, then by its current symbol, so that outdated symbols
    and Ensembl ids on either side meet.
    """
    asked = tuple(dict.fromkeys(genes))
    index = rows_of(asked, knowledge.genes)
    values = np.zeros((len(asked), *knowledge.values.shape[1:]), dtype=np.float32)
    confidence = np.zeros((len(asked), len(knowledge.facet_names)), dtype=np.float32)
    values[index >= 0] = knowledge.values[index[index >= 0]]
    confidence[index >= 0] = knowledge.confidence[index[index >= 0]]
    return replace(
        knowledge,
        sha256=hashlib.sha256(json.dumps([knowledge.sha256, *asked]).encode()).hexdigest(),
        genes=asked,
        values=values,
        confidence=confidence,
    )


def with_genes(knowledge: GeneKnowledge, asked: Sequence[str]) -> GeneKnowledge:
    """Add empty rows for genes that it lacks under every name."""
    is_absent = rows_of(asked, knowledge.genes) < 0
    new = tuple(gene for gene, absent in zip(asked, is_absent, strict=True) if absent)
    if not new:
        return knowledge
    values = np.zeros((len(new), *knowledge.values.shape[1:]), dtype=np.float32)
    confidence = np.zeros((len(new), len(knowledge.facet_names)), dtype=np.float32)
    return replace(
        knowledge,
        genes=knowledge.genes + new,
        values=np.concatenate([knowledge.values, values]),
        confidence=np.concatenate([knowledge.confidence, confidence]),
    )
