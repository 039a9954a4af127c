"""Joins knowledge graphs of several sources by one rule: the strongest evidence wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import PluginError
from dygenept.knowledge.graph.combined import CombinedGraph
from dygenept.plugin.interfaces import KnowledgeGraph

if TYPE_CHECKING:
    from scipy import sparse


def combine_graphs(
    graphs: Mapping[str, KnowledgeGraph], *, genes: Sequence[str] | None = None
) -> CombinedGraph:
    """Join graphs: the weight of two genes is the largest that a source gives them.

    Args:
        graphs: Graph by name of its source; of equal weights the first one named wins.
        genes: Genes of the joined graph, all those of the graphs among them; None takes those of
            the graphs in order of first appearance.

    Raises:
        PluginError: If a graph breaks the rules of ``KnowledgeGraph``.
    """
    from scipy import sparse

    if genes is None:
        genes = [gene for graph in graphs.values() for gene in graph.genes]
    joined = tuple(dict.fromkeys(genes))
    position = {gene: row for row, gene in enumerate(joined)}
    size = (len(joined), len(joined))
    placed = []
    for name, graph in graphs.items():
        _check(name, graph)
        if stray := [gene for gene in graph.genes if gene not in position]:
            raise PluginError(
                f"knowledge graph {name!r} returns {len(stray)} gene(s) that were not asked for, "
                f"such as {stray[0]!r}"
            )
        rows = np.array([position[gene] for gene in graph.genes], dtype=np.int64)
        placed.append(_placed(graph.weights, rows, len(joined)))
    weights = sparse.csr_matrix(size, dtype=np.float32)
    for one in placed:
        weights = weights.maximum(one)
    weights = sparse.csr_matrix(weights)
    weights.sort_indices()
    winner = np.zeros(weights.nnz, dtype=np.int16)
    keys = _keys(weights)
    # Backwards, so that the first of equals has the last word.
    for number in reversed(range(len(placed))):
        # Every edge of a source is an edge of the maximum, so each key is found exactly.
        where = np.searchsorted(keys, _keys(placed[number]))
        is_strongest = weights.data[where] == placed[number].data
        winner[where[is_strongest]] = number
    return CombinedGraph(
        genes=joined,
        weights=weights,
        sources=tuple(graphs),
        winner=sparse.csr_matrix((winner, weights.indices, weights.indptr), shape=size),
    )


def _placed(
    weights: sparse.csr_matrix, rows: npt.NDArray[np.int64], n_genes: int
) -> sparse.csr_matrix:
    """Move a graph to the rows of the joined one."""
    from scipy import sparse

    entries = weights.tocoo()
    placed = sparse.csr_matrix(
        (entries.data.astype(np.float32), (rows[entries.row], rows[entries.col])),
        shape=(n_genes, n_genes),
    )
    placed.sort_indices()
    return placed


def _keys(weights: sparse.csr_matrix) -> npt.NDArray[np.int64]:
    """Return one ascending number per entry: its row times n plus its column."""
    n_rows, n_columns = weights.shape
    rows = np.repeat(np.arange(n_rows, dtype=np.int64), np.diff(weights.indptr))
    # int64: the square of a genome overflows 32 bits.
    keys: npt.NDArray[np.int64] = rows * n_columns + weights.indices
    return keys


def _check(name: str, graph: KnowledgeGraph) -> None:
    weights, size = graph.weights, len(graph.genes)
    reason = None
    if len(set(graph.genes)) != size:
        reason = "names a gene twice"
    elif weights.format != "csr" or weights.shape != (size, size):
        reason = f"has {weights.format} weights of {weights.shape}, expected CSR of {(size, size)}"
    elif not bool(((weights.data > 0) & (weights.data <= 1)).all()):
        reason = "has weights outside (0, 1]"
    elif weights.diagonal().any():
        reason = "has an edge from a gene to itself"
    elif (weights != weights.T).nnz:
        reason = "has weights that are not symmetric"
    if reason:
        raise PluginError(f"knowledge graph {name!r} {reason}")
