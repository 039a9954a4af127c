"""Knowledge graphs of several sources, joined by one rule: the strongest evidence wins."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import ConfigError, DataError, PluginError, nearest
from dygenept.knowledge.graph.rows import rows_of, select_rows
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import GraphReport, KnowledgeGraph
from dygenept.plugin.specs import KgSourceSpec

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.plugin.manager import PluginManager
    from dygenept.types import Runtime

logger = logging.getLogger(__name__)

# Sources that read the data folder declare it as an option of this name.
DATA_DIR_OPTION = "data_dir"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One neighbour of a gene.

    Attributes:
        gene: Its symbol.
        weight: Weight of the edge, in (0, 1].
        source: The source whose evidence is the strongest.
    """

    gene: str
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class CombinedGraph:
    """The edges of several sources between the same genes.

    Attributes:
        genes: Gene symbols, (n,), each once.
        weights: Edge weights in (0, 1], the maximum over the sources; symmetric CSR without
            diagonal, float32, sorted indices, (n, n).
        sources: Names of the sources, in the order they were named.
        winner: Position in ``sources`` of the one that gave the weight, the first of equals; CSR
            with the index arrays of ``weights``, so its zeros are entries too.
        reports: What each source read, kept and dropped, where it says so.
    """

    genes: tuple[str, ...]
    weights: sparse.csr_matrix
    sources: tuple[str, ...]
    winner: sparse.csr_matrix
    reports: tuple[GraphReport, ...] = ()

    @property
    def n_edges(self) -> int:
        """Number of edges, each pair of genes counted once."""
        return int(self.weights.nnz) // 2

    def neighbours(self, gene: str, n: int | None = None) -> tuple[Neighbour, ...]:
        """Return the strongest neighbours of a gene, of equal ones the earlier gene first.

        Args:
            gene: A symbol of ``genes``, or another name of one.
            n: How many at most; None for all.

        Raises:
            DataError: If the graph has no such gene; names the nearest.
        """
        row = int(rows_of([gene], self.genes)[0])
        if row < 0:
            raise DataError(
                f"the knowledge graph has no gene {gene!r}; {_nearest_of(gene, self.genes)}"
            )
        part = slice(*self.weights.indptr[row : row + 2])
        columns, weights = self.weights.indices[part], self.weights.data[part]
        order = np.lexsort((columns, -weights))[:n]
        return tuple(
            Neighbour(
                self.genes[columns[position]],
                round(float(weights[position]), 6),
                self.sources[self.winner.data[part][position]],
            )
            for position in order
        )

    def aligned(self, genes: Sequence[str]) -> sparse.csr_matrix:
        """Return the weights between some genes, in their order, (n_asked, n_asked).

        A gene is found by its own spelling first, then by its current symbol. One that the graph
        does not have gets an empty row and column.
        """
        rows = rows_of(genes, self.genes)
        if np.array_equal(rows, np.arange(len(self.genes))):
            return self.weights
        return select_rows(self.weights, rows)


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
        where = np.searchsorted(keys, _keys(placed[number]))
        is_strongest = weights.data[where] == placed[number].data
        winner[where[is_strongest]] = number
    return CombinedGraph(
        genes=joined,
        weights=weights,
        sources=tuple(graphs),
        winner=sparse.csr_matrix((winner, weights.indices, weights.indptr), shape=size),
        reports=tuple(graph.report for graph in graphs.values() if graph.report is not None),
    )


def open_graph(
    names: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, object]],
    manager: PluginManager,
    genes: Sequence[str],
    runtime: Runtime,
    data_dir: Path | None = None,
) -> CombinedGraph:
    """Open knowledge-graph sources by name and join what they say about some genes.

    Args:
        names: Source plugins; of equal weights the first one wins.
        options: Options by source, such as ``{"string": {"weight": 0.8}}``.
        manager: Finds the plugins.
        genes: Genes of the graph; repeated ones count once.
        runtime: Progress, and ``cache_dir`` for what is read.
        data_dir: Data folder in which sources look for their files; None takes the default.

    Returns:
        The joined graph of exactly these genes, in their order; one without an edge has an empty
        row.

    Raises:
        ConfigError: If an option is not allowed, or belongs to a source that is not named.
        PluginError: If a source is unknown or breaks its contract.
        DataUnavailableError: If a source's file is not there.
        DataError: If a file cannot be read.
    """
    asked = tuple(dict.fromkeys(genes))
    chosen = tuple(dict.fromkeys(names))
    for stray in options.keys() - set(chosen):
        raise ConfigError(
            f"options are given for the knowledge graph {stray!r}, which is not among "
            f"{', '.join(chosen) or 'none'}; {nearest(stray, chosen)}"
        )
    graphs: dict[str, KnowledgeGraph] = {}
    for name in chosen:
        spec = manager.get(KgSourceSpec, name)
        given = dict(options.get(name, {}))
        if data_dir is not None and DATA_DIR_OPTION in spec.config.model_fields:
            given.setdefault(DATA_DIR_OPTION, str(data_dir))
        config = manager.configure(spec, given)
        with plugin_code(f"knowledge graph {name!r}"):
            graph = spec.factory(config).graph(asked, runtime)
        if graph.report is not None:
            logger.info(graph.report.sentence)
        graphs[name] = graph
    return combine_graphs(graphs, genes=asked)


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
    """Return one ascending number an entry: its row times n plus its column."""
    n_rows, n_columns = weights.shape
    rows = np.repeat(np.arange(n_rows, dtype=np.int64), np.diff(weights.indptr))
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


def _nearest_of(gene: str, genes: Sequence[str]) -> str:
    """Name the closest spellings; a graph has too many genes to name them all."""
    import difflib

    close = difflib.get_close_matches(gene, genes, n=3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "check its symbol"
