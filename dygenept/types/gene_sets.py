"""Which conditions target which genes, as a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dygenept.types import Condition

if TYPE_CHECKING:
    from scipy import sparse


def numbered_targets(conditions: Iterable[Condition]) -> Mapping[str, int]:
    """Number the target genes of conditions in sorted order."""
    genes = sorted({gene for condition in conditions for gene in condition.genes})
    return {gene: position for position, gene in enumerate(genes)}


def gene_membership(conditions: Sequence[Condition], genes: Mapping[str, int]) -> sparse.csr_matrix:
    """Mark the target genes of each condition.

    Args:
        conditions: Conditions, (n,).
        genes: Position of each gene; target genes that are not here are left out.

    Returns:
        1.0 where a condition targets a gene, (n, n_genes), float64.
    """
    from scipy import sparse

    pairs = [
        (row, genes[gene])
        for row, condition in enumerate(conditions)
        for gene in condition.genes
        if gene in genes
    ]
    rows, columns = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return sparse.csr_matrix(
        (np.ones(len(pairs)), (rows, columns)), shape=(len(conditions), len(genes))
    )


def target_columns(
    conditions: Sequence[Condition], gene_symbols: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Return the output genes that each condition targets; most target genes are none.

    Args:
        conditions: Conditions, (n,).
        gene_symbols: Output genes, (G,); a symbol may occur more than once.

    Returns:
        Positions in ``gene_symbols``, sorted, one tuple per condition.
    """
    columns = _columns(tuple(gene_symbols))
    return tuple(
        tuple(sorted(column for gene in condition.genes for column in columns.get(gene, ())))
        for condition in conditions
    )


# A run asks for the same genes in every job.
@lru_cache(maxsize=2)
def _columns(gene_symbols: tuple[str, ...]) -> Mapping[str, list[int]]:
    columns: dict[str, list[int]] = {}
    for position, symbol in enumerate(gene_symbols):
        columns.setdefault(symbol, []).append(position)
    return columns
