"""Pairs and sets become the graph that a loop over them gives."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dygenept.knowledge.graph.whole_graph import (
    EdgeTable,
    SetRule,
    SetTable,
    WholeGraph,
    graph_of_edges,
    graph_of_sets,
)

# KIAA1804 is an old name of MAP3K21, 10661 is KLF1's number, and None is an id without a name.
NAMES = ("TP53", "MDM2", "KIAA1804", "MAP3K21", "10661", "KLF1", "MADEUP1", None, "999999999")
CURRENT = ("TP53", "MDM2", "MAP3K21", "MAP3K21", "KLF1", "KLF1", "MADEUP1", None, None)


def found(whole: WholeGraph) -> dict[frozenset[str], float]:
    entries = whole.upper.tocoo()
    assert (entries.row < entries.col).all()
    assert whole.genes == tuple(sorted(whole.genes))
    pairs = {
        frozenset((whole.genes[row], whole.genes[column])): float(weight)
        for row, column, weight in zip(entries.row, entries.col, entries.data, strict=True)
    }
    assert len(pairs) == whole.upper.nnz
    assert set(whole.genes) == {gene for pair in pairs for gene in pair}
    return pairs


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(NAMES) - 1),
            st.integers(0, len(NAMES) - 1),
            st.sampled_from([0.25, 0.5, 1.0]),
        ),
        max_size=30,
    )
)
def test_pairs_join_current_symbols_by_the_strongest_evidence(
    rows: list[tuple[int, int, float]],
) -> None:
    expected: dict[frozenset[str], float] = {}
    dropped = {"unnamed": 0, "self": 0, "repeated": 0}
    for first, second, weight in rows:
        pair = frozenset((CURRENT[first], CURRENT[second]))
        if None in pair:
            dropped["unnamed"] += 1
        elif len(pair) == 1:
            dropped["self"] += 1
        else:
            dropped["repeated"] += pair in expected
            expected[pair] = max(weight, expected.get(pair, 0.0))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    whole = graph_of_edges(
        EdgeTable(
            names=NAMES,
            first=columns[0].astype(np.int32),
            second=columns[1].astype(np.int32),
            weights=columns[2].astype(np.float32),
            n_records=len(rows),
        )
    )
    assert found(whole) == expected
    assert sum(whole.dropped.values()) == sum(dropped.values())
    assert len(rows) == whole.upper.nnz + sum(dropped.values())
    assert whole.dropped.get("of a gene with itself", 0) == dropped["self"]
    assert whole.dropped.get("repeated or reversed", 0) == dropped["repeated"]
    assert (whole.n_renamed, whole.n_unknown) == (2, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(NAMES) - 1), st.integers(0, 5)), max_size=40),
    st.integers(2, 4),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_sets_join_genes_that_share_enough_of_the_right_size(
    rows: list[tuple[int, int]], min_size: int, extra: int, min_shared: int
) -> None:
    sets: dict[int, set[str]] = {}
    for name, number in rows:
        if CURRENT[name] is not None:
            sets.setdefault(number, set()).add(CURRENT[name])
    rule = SetRule(0.3, min_size, min_size + extra, min_shared)
    counts: dict[frozenset[str], int] = {}
    for members in sets.values():
        if rule.min_size <= len(members) <= rule.max_size:
            for pair in combinations(sorted(members), 2):
                counts[frozenset(pair)] = counts.get(frozenset(pair), 0) + 1
    columns = np.array(rows, dtype=np.int32).reshape(-1, 2).T
    whole = graph_of_sets(
        SetTable(names=NAMES, members=columns[0], sets=columns[1], n_records=len(rows)), rule
    )
    expected = {pair for pair, count in counts.items() if count >= min_shared}
    assert found(whole) == dict.fromkeys(expected, float(np.float32(0.3)))
    assert whole.n_records == len(rows)


def test_no_rows_give_an_empty_graph() -> None:
    nothing = np.zeros(0, dtype=np.int32)
    weights = np.zeros(0, dtype=np.float32)
    for names in ((), NAMES):
        edges = graph_of_edges(EdgeTable(names, nothing, nothing, weights, 0))
        sets = graph_of_sets(SetTable(names, nothing, nothing, 0), SetRule(0.5, 2, 100, 1))
        assert edges.genes == sets.genes == ()
        assert edges.upper.shape == sets.upper.shape == (0, 0)
