"""What readers of graph files hand on: pairs of names, or gene sets; and how each becomes a graph.

Names may be symbols, aliases, outdated symbols or Ensembl gene ids; here they become current
symbols. A name that the gene tables do not know is kept as it is, so that graphs of newer symbols
or of one's own still meet the genes of a data set. Nothing here loops over edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.types import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy import sparse

NO_NAME = "with a protein or gene id that has no name"
SELF = "of a gene with itself"
REPEATED = "repeated or reversed"
# Rows of the product of memberships computed at once.
CHUNK = 1024


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """Pairs of names with evidence weights, as read.

    Attributes:
        names: Names; None for an id that has none.
        first: Position of a pair's first name, (n_pairs,).
        second: Position of its second name, (n_pairs,).
        weights: Evidence weights in (0, 1], (n_pairs,).
        n_records: Records in the files, those left out among them.
        dropped: Records that the reader left out, by reason.
    """

    names: Sequence[str | None]
    first: IntArray
    second: IntArray
    weights: FloatArray
    n_records: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetTable:
    """Memberships of genes in sets, as read.

    Attributes:
        names: Names of genes; None for an id that has none.
        members: Position of each membership's gene, (n_memberships,).
        sets: Number of each membership's set, from 0, (n_memberships,).
        n_records: Memberships in the files, those left out among them.
        dropped: Memberships that the reader left out, by reason.
    """

    names: Sequence[str | None]
    members: IntArray
    sets: IntArray
    n_records: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetRule:
    """When two genes of common sets have an edge.

    Attributes:
        weight: Its evidence weight.
        min_size: Genes that a set must have.
        max_size: Genes that it may have.
        min_shared: Sets that two genes must share.
    """

    weight: float
    min_size: int
    max_size: int
    min_shared: int


@dataclass(frozen=True, slots=True)
class WholeGraph:
    """All edges of a source.

    Attributes:
        genes: Gene symbols with an edge, sorted.
        upper: Weights, CSR float32, columns above rows: each edge once.
        n_records: Records in the files.
        dropped: Records left out, by reason.
        n_renamed: Names that became another symbol.
        n_unknown: Names that the gene tables do not know.
    """

    genes: tuple[str, ...]
    upper: sparse.csr_matrix
    n_records: int
    dropped: Mapping[str, int]
    n_renamed: int
    n_unknown: int


def graph_of_edges(table: EdgeTable) -> WholeGraph:
    """Join pairs of one gene pair, the strongest evidence winning."""
    symbols, codes, n_renamed, n_unknown = _current(table.names)
    first, second = codes[table.first], codes[table.second]
    is_named = (first >= 0) & (second >= 0)
    is_pair = is_named & (first != second)
    low = np.minimum(first, second)[is_pair].astype(np.int64)
    # One number per pair, the lower gene first, so that reversed pairs meet.
    keys = low * len(symbols) + np.maximum(first, second)[is_pair]
    order = np.argsort(keys, kind="stable")
    unique, starts = _runs(keys[order])
    weights = table.weights[is_pair][order]
    strongest = np.maximum.reduceat(weights, starts) if len(unique) else weights
    dropped = dict(table.dropped) | {
        NO_NAME: int((~is_named).sum()),
        SELF: int((is_named & ~is_pair).sum()),
        REPEATED: len(keys) - len(unique),
    }
    rows, columns = np.divmod(unique, max(len(symbols), 1))
    return _whole(
        symbols, (rows, columns, strongest), table.n_records, dropped, (n_renamed, n_unknown)
    )


def graph_of_sets(table: SetTable, rule: SetRule) -> WholeGraph:
    """Join genes that share sets; sizes count genes after names were resolved."""
    from scipy import sparse

    symbols, codes, n_renamed, n_unknown = _current(table.names)
    members = codes[table.members]
    is_named = members >= 0
    n_sets = int(table.sets.max(initial=-1)) + 1
    # One entry per gene and set, however often it is listed.
    listed = table.sets[is_named].astype(np.int64) * len(symbols) + members[is_named]
    pairs, _ = _runs(np.sort(listed))
    sets, genes = np.divmod(pairs, max(len(symbols), 1))
    sizes = np.bincount(sets, minlength=n_sets)
    is_sized = ((sizes >= rule.min_size) & (sizes <= rule.max_size))[sets]
    dropped = dict(table.dropped) | {
        NO_NAME: int((~is_named).sum()),
        "repeated": int(is_named.sum()) - len(pairs),
        f"in sets of fewer than {rule.min_size} or more than {rule.max_size} genes": int(
            (~is_sized).sum()
        ),
    }
    membership = sparse.csr_matrix(
        (np.ones(int(is_sized.sum()), np.int32), (genes[is_sized], sets[is_sized])),
        shape=(len(symbols), n_sets),
    )
    rows, columns = _sharing(membership, rule.min_shared)
    weights = np.full(len(rows), rule.weight, dtype=np.float32)
    return _whole(
        symbols, (rows, columns, weights), table.n_records, dropped, (n_renamed, n_unknown)
    )


def _runs(
    ascending: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each value once and where it starts; several times faster than hashing them."""
    starts = np.flatnonzero(np.diff(ascending, prepend=-1))
    return ascending[starts], starts


def _sharing(
    membership: sparse.csr_matrix, min_shared: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pairs of rows that share enough columns, the lower row first."""
    # In chunks of rows: the whole product of genes by genes would not fit into memory.
    transposed = membership.T.tocsr()
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, membership.shape[0], CHUNK):
        shared = (membership[start : start + CHUNK] @ transposed).tocoo()
        is_edge = (shared.data >= min_shared) & (shared.row + start < shared.col)
        rows.append(shared.row[is_edge].astype(np.int64) + start)
        columns.append(shared.col[is_edge].astype(np.int64))
    return np.concatenate(rows), np.concatenate(columns)


def _current(
    names: Sequence[str | None],
) -> tuple[list[str], npt.NDArray[np.int64], int, int]:
    """Return current symbols, sorted, the position of each name there (-1 without), and counts."""
    from dygenept.knowledge.genes.matching import symbols_of_entrez
    from dygenept.knowledge.genes.tables import load_gene_tables

    resolve = load_gene_tables().resolve
    resolved: list[str | None] = []
    n_renamed = n_unknown = 0
    for name in names:
        if name is None or name.isdigit():
            # No gene is called only by digits: this is a number of NCBI Gene.
            symbol = None if name is None else symbols_of_entrez().get(int(name))
        else:
            symbol = resolve(name) or name
            n_unknown += symbol == name and resolve(name) is None
        n_renamed += symbol is not None and symbol != name
        resolved.append(symbol)
    symbols = sorted({symbol for symbol in resolved if symbol is not None})
    position = {symbol: place for place, symbol in enumerate(symbols)}
    codes = np.array(
        [-1 if symbol is None else position[symbol] for symbol in resolved], dtype=np.int64
    )
    return symbols, codes, n_renamed, n_unknown


def _whole(
    symbols: Sequence[str],
    edges: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray],
    n_records: int,
    dropped: Mapping[str, int],
    counts: tuple[int, int],
) -> WholeGraph:
    from scipy import sparse

    rows, columns, weights = edges
    has_edge = np.zeros(len(symbols), dtype=np.bool_)
    has_edge[rows] = has_edge[columns] = True
    used, place_of = np.flatnonzero(has_edge), np.cumsum(has_edge) - 1
    upper = sparse.csr_matrix(
        (weights.astype(np.float32), (place_of[rows], place_of[columns])),
        shape=(len(used), len(used)),
    )
    upper.sort_indices()
    return WholeGraph(
        genes=tuple(symbols[place] for place in used.tolist()),
        upper=upper,
        n_records=n_records,
        dropped={reason: count for reason, count in dropped.items() if count},
        n_renamed=counts[0],
        n_unknown=counts[1],
    )
