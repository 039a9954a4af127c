from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from dygenept.errors import ConfigError, DataError, PluginError
from dygenept.knowledge.graph.joining import combine_graphs
from dygenept.knowledge.graph.sources import KgChoice, check_graph_options
from dygenept.plugin.interfaces import KnowledgeGraph
from dygenept.plugin.manager import PluginManager
from dygenept.types import Runtime

PLUGIN = """
from pydantic import Field
from scipy import sparse
from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.interfaces import KnowledgeGraph
from dygenept.plugin.specs import KgSourceSpec, PluginConfig

class Config(PluginConfig):
    weight: float = Field(0.5, gt=0, le=1)
    data_dir: str = "nowhere"
    reverse: bool = False
    extra: str = ""

class Chain:
    def __init__(self, config):
        self.config = config
        self.identity = f"chain-{config.weight}-{config.data_dir}"

    def graph(self, genes, runtime):
        kept = tuple(sorted(genes, reverse=self.config.reverse))
        kept += tuple(filter(None, [self.config.extra]))
        n = len(kept)
        pairs = list(range(n - 1))
        one_way = sparse.csr_matrix(
            ([self.config.weight] * len(pairs), (pairs, [i + 1 for i in pairs])), shape=(n, n)
        )
        return KnowledgeGraph(kept, (one_way + one_way.T).tocsr())

@hookimpl
def dygenept_kg_sources():
    return [
        KgSourceSpec(name=name, summary="A chain.", source="test", config=Config, factory=Chain)
        for name in ("chain", "links")
    ]
"""


def graph(genes: str, **edges: float) -> KnowledgeGraph:
    names = tuple(genes)
    dense = np.zeros((len(names), len(names)))
    for pair, weight in edges.items():
        first, second = (names.index(gene) for gene in pair)
        dense[first, second] = dense[second, first] = weight
    return KnowledgeGraph(names, sparse.csr_matrix(dense))


@pytest.fixture
def manager(tmp_path: Path) -> PluginManager:
    path = tmp_path / "chain_plugin.py"
    path.write_text(PLUGIN)
    return PluginManager.load([], files=[path], entry_points=False)


def test_the_strongest_source_gives_the_weight_and_is_named() -> None:
    combined = combine_graphs(
        {"one": graph("ABC", AB=0.3, BC=0.9), "two": graph("CBD", CB=0.5, BD=0.2)}
    )
    assert combined.genes == ("A", "B", "C", "D")
    assert combined.sources == ("one", "two")
    assert combined.n_edges == 3
    assert combined.weights.dtype == np.float32
    dense = combined.weights.toarray()
    assert dense[0, 1] == np.float32(0.3)
    assert dense[1, 2] == dense[2, 1] == np.float32(0.9)
    assert dense[1, 3] == np.float32(0.2)
    assert [(item.gene, item.source) for item in combined.neighbours("B")] == [
        ("C", "one"),
        ("A", "one"),
        ("D", "two"),
    ]


def test_of_equal_sources_the_first_named_wins() -> None:
    weak, strong = graph("AB", AB=0.5), graph("BA", AB=0.5)
    for names in (("one", "two"), ("two", "one")):
        combined = combine_graphs(dict(zip(names, (weak, strong), strict=True)))
        assert combined.neighbours("A")[0].source == names[0]


@st.composite
def drawn_graphs(draw: st.DrawFn) -> dict[str, KnowledgeGraph]:
    made = {}
    for number in range(draw(st.integers(1, 4))):
        genes = draw(st.permutations("ABCDEF"))[: draw(st.integers(0, 6))]
        rng = np.random.default_rng(draw(st.integers(0, 1000)))
        dense = rng.choice([0, 0.25, 0.5, 1.0], size=(len(genes), len(genes)))
        dense = np.triu(dense, 1)
        made[f"source{number}"] = KnowledgeGraph(tuple(genes), sparse.csr_matrix(dense + dense.T))
    return made


@settings(max_examples=60, deadline=None)
@given(drawn_graphs())
def test_joined_weights_and_winners_are_those_of_a_loop(graphs: dict[str, KnowledgeGraph]) -> None:
    combined = combine_graphs(graphs)
    names = list(graphs)
    weights, winner = combined.weights.toarray(), combined.winner
    assert np.array_equal(winner.indices, combined.weights.indices)
    assert np.array_equal(winner.indptr, combined.weights.indptr)
    n_entries = 0
    for row, first in enumerate(combined.genes):
        for column, second in enumerate(combined.genes):
            offered = [
                graph.weights[graph.genes.index(first), graph.genes.index(second)]
                if {first, second} <= set(graph.genes)
                else 0.0
                for graph in graphs.values()
            ]
            assert weights[row, column] == max(offered)
            if max(offered) > 0:
                n_entries += 1
                place = winner.indptr[row] + list(
                    winner.indices[winner.indptr[row] : winner.indptr[row + 1]]
                ).index(column)
                assert combined.sources[winner.data[place]] == names[offered.index(max(offered))]
    assert combined.weights.nnz == n_entries


def test_neighbours_are_strongest_first_and_of_equals_the_earlier_gene() -> None:
    combined = combine_graphs({"one": graph("ABCDE", AE=0.5, AC=0.5, AD=0.9, AB=0.1)})
    assert [item.gene for item in combined.neighbours("A")] == ["D", "C", "E", "B"]
    assert [item.gene for item in combined.neighbours("A", 2)] == ["D", "C"]
    assert combined.neighbours("A")[0].weight == pytest.approx(0.9)
    assert combined.neighbours("E", 5)[0].gene == "A"


def test_a_gene_is_found_by_its_outdated_symbol_and_an_unknown_one_names_the_nearest() -> None:
    dense = np.array([[0, 0.5], [0.5, 0]])
    combined = combine_graphs(
        {"one": KnowledgeGraph(("MAP3K21", "ENSG00000105610"), sparse.csr_matrix(dense))}
    )
    assert combined.neighbours("KIAA1804")[0].gene == "ENSG00000105610"
    assert combined.neighbours("KLF1")[0].gene == "MAP3K21"
    with pytest.raises(DataError, match="did you mean 'MAP3K21'"):
        combined.neighbours("MAP3K2X")


def test_aligned_weights_follow_the_genes_asked_for() -> None:
    combined = combine_graphs({"one": graph("ABC", AB=0.3, BC=0.9)})
    aligned = combined.aligned(["C", "X", "B"])
    assert aligned.shape == (3, 3)
    expected = np.zeros((3, 3), dtype=np.float32)
    expected[0, 2] = expected[2, 0] = 0.9
    assert np.array_equal(aligned.toarray(), expected)
    assert aligned.dtype == np.float32
    assert combined.aligned(list("ABC")) is combined.weights
    assert combined.aligned([]).shape == (0, 0)


def test_aligned_weights_meet_outdated_symbols_on_either_side() -> None:
    dense = np.array([[0, 0.5], [0.5, 0]])
    old = combine_graphs({"one": KnowledgeGraph(("KIAA1804", "KLF1"), sparse.csr_matrix(dense))})
    assert old.aligned(["KLF1", "MAP3K21"])[0, 1] == np.float32(0.5)


@pytest.mark.parametrize(
    ("genes", "dense", "reason"),
    [
        (("A", "A"), [[0, 0.5], [0.5, 0]], "twice"),
        (("A", "B"), [[0, 1.5], [1.5, 0]], r"outside \(0, 1\]"),
        (("A", "B"), [[0, -0.5], [-0.5, 0]], r"outside \(0, 1\]"),
        (("A", "B"), [[0, 0.5], [0.4, 0]], "symmetric"),
        (("A", "B"), [[0.5, 0.5], [0.5, 0]], "itself"),
        (("A", "B", "C"), [[0, 0.5], [0.5, 0]], "expected CSR"),
    ],
)
def test_a_graph_that_breaks_the_rules_is_refused(
    genes: tuple[str, ...], dense: list[list[float]], reason: str
) -> None:
    broken = KnowledgeGraph(genes, sparse.csr_matrix(np.array(dense)))
    with pytest.raises(PluginError, match=reason):
        combine_graphs({"mine": broken})


def test_opened_sources_are_joined_over_exactly_the_genes_asked_for(
    manager: PluginManager, tmp_path: Path
) -> None:
    choice = KgChoice({"chain": {"reverse": True}, "links": {"weight": 0.9}})
    combined = choice.open(["C", "A", "B", "A"], manager, Runtime(data_dir=tmp_path))
    assert combined.genes == ("C", "A", "B")
    assert combined.sources == ("chain", "links")
    assert {item.source for item in combined.neighbours("B")} == {"links"}
    empty = KgChoice().open(["A", "B"], manager, Runtime())
    assert empty.genes == ("A", "B")
    assert empty.n_edges == 0


def test_wrong_names_and_options_are_told_with_the_nearest(manager: PluginManager) -> None:
    def open_(names: list[str], **options: dict[str, object]) -> None:
        choice = KgChoice({name: options.get(name, {}) for name in names})
        choice.open(["A"], manager, Runtime())

    with pytest.raises(PluginError, match="did you mean 'chain'"):
        open_(["chian"])
    with pytest.raises(ConfigError, match=r"'link'.*did you mean 'links'"):
        check_graph_options({"link": {"weight": 0.1}}, {"links": {}})
    with pytest.raises(ConfigError, match="did you mean 'weight'"):
        open_(["links"], links={"wieght": 0.1})
    with pytest.raises(PluginError, match="not asked for"):
        open_(["links"], links={"extra": "Z"})
