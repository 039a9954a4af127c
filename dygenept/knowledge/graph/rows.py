"""Finds genes in a graph under any of their names, and cuts the graph to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse


def rows_of(genes: Sequence[str], known: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the row of each gene: by its own spelling, then by current symbol; -1 where absent.

    Args:
        genes: Symbols, aliases, outdated symbols or Ensembl gene ids.
        known: Genes of the graph, each once.
    """
    rows = {gene: row for row, gene in enumerate(known)}
    if not rows.keys() >= set(genes):
        from dygenept.knowledge.genes.tables import load_gene_tables

        resolve = load_gene_tables().resolve
        by_current: dict[str, int] = {}
        for gene, row in rows.items():
            by_current.setdefault(resolve(gene) or gene, row)
        rows = {gene: rows.get(gene, by_current.get(resolve(gene) or gene, -1)) for gene in genes}
    return np.array([rows[gene] for gene in genes], dtype=np.int64)


def select_rows(weights: sparse.csr_matrix, rows: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    """Return the weights between some rows, in their order; -1 gives an empty row and column."""
    from scipy import sparse

    is_here = rows >= 0
    # A product with a matrix of single ones picks rows and leaves the absent ones empty.
    pick = sparse.csr_matrix(
        (np.ones(int(is_here.sum()), np.float32), (np.flatnonzero(is_here), rows[is_here])),
        shape=(len(rows), weights.shape[0]),
    )
    selected = sparse.csr_matrix(pick @ weights @ pick.T)
    selected.sort_indices()
    return selected
