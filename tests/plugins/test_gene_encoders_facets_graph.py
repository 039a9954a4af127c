"""Graphs as facets: the text encoder ``graph`` and the gene encoder ``facets+graph``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ConfigError
from dygenept.knowledge.catalog import missing_knowledge, open_knowledge
from dygenept.knowledge.graph.graph_vectors import LinkTables, VectorOptions, graph_vectors
from dygenept.knowledge.graph.links import links_of
from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.model.assembly import named_assembly
from dygenept.model.knowledge import facet_document, facet_plugins
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.runs.readiness import with_file_hashes
from dygenept.types import GeneKnowledge
from dygenept_plugins.gene_encoders.facets import FacetsGraphConfig, widened
from dygenept_plugins.text_encoders.graph import GraphConfig, GraphEncoder

GENES = ("MED1", "MED12", "PSMA1", "PSMB2", "no such gene")
# The smallest of the shipped graphs, in few dimensions.
SMALL = {"graphs": ("reactome",), "dim": 16}
PLUGINS = [
    "dygenept_plugins.text_encoders.tfidf",
    "dygenept_plugins.text_encoders.graph",
    "dygenept_plugins.gene_encoders.facets",
    "dygenept_plugins.gene_encoders.facets",
    "dygenept_plugins.cell_encoders.cell_states",
    "dygenept_plugins.attention.multi_head",
    "dygenept_plugins.decoders.linear",
]
WORDS = tuple("abcdefgh")
FACETS = {
    "links": {"encoder": "graph", "encoder_options": SMALL},
    "words": {"file": "words.safetensors"},
    "both": {"join": ["words", "links"]},
    "wrong": {"base": "both", "transform": "shuffled"},
    "code": {"transform": "identity", "dim": 8},
    "no_writer": {"encoder": "tfidf"},
    "circle": {"join": ["words", "circle"]},
}
MODEL = {
    "facets": "words",
    "width": 8,
    "gene_encoder": {"name": "facets+graph", "graphs": ["reactome"]},
    "cell_encoder": "mlp",
    "attention": "mean",
    "decoder": "linear",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("graph_facets")
    values = np.random.default_rng(0).normal(size=(4, 8, 8)).astype(np.float32)
    words = GeneKnowledge("words", "0", GENES[:4], WORDS, values, np.ones((4, 8), np.float32))
    write_knowledge(words, folder / "cache" / "knowledge" / "words.safetensors")
    return Environment(
        registry=Registry(facets=FACETS, models={"toy": MODEL}),
        manager=PluginManager.load(PLUGINS, entry_points=False),
        data_dir=folder / "data",
        cache_dir=folder / "cache",
    )


def _own_table(data_dir: Path, text: str = "a\tb\nMED1\tP\nPSMA1\tP\nMED12\tQ\n") -> Path:
    path = data_dir / "graphs" / "reactome.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_vectors_keep_the_cosines_of_links_where_dimensions_suffice(tmp_path: Path) -> None:
    _own_table(
        tmp_path, "a\tb\n" + "".join(f"{a}\t{b}\n" for a in GENES[:4] for b in "PQ"[: len(a) % 3])
    )
    tables = LinkTables(("reactome",), tmp_path)
    vectors, confidence = graph_vectors(tables, GENES, VectorOptions(dim=4))
    links = links_of("reactome", GENES, tmp_path)
    np.testing.assert_allclose(vectors @ vectors.T, (links @ links.T).toarray(), atol=2e-3)
    n_links = np.diff(links.indptr)
    np.testing.assert_allclose(confidence, np.minimum(1, n_links / 5))


def test_a_further_step_brings_neighbours_of_neighbours_nearer(tmp_path: Path) -> None:
    pairs = ("MED1\tP", "MED12\tP", "MED12\tQ", "PSMA1\tQ", "PSMA1\tR", "PSMB2\tR")
    _own_table(tmp_path, "a\tb\n" + "\n".join(pairs) + "\n")
    tables = LinkTables(("reactome",), tmp_path)
    near, far = (
        graph_vectors(tables, GENES, VectorOptions(dim=4, steps=steps))[0] for steps in (1, 3)
    )
    assert abs(near[0] @ near[2]) < 0.01
    assert far[0] @ far[2] > 0.05


def test_vectors_come_from_the_cache_and_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    _own_table(tmp_path)
    tables = LinkTables(("reactome",), tmp_path, tmp_path / "cache")
    first, _ = graph_vectors(tables, GENES, VectorOptions(dim=3))
    (path,) = (tmp_path / "cache" / "graph_vectors").iterdir()
    from dygenept.knowledge.graph import graph_vectors as module

    module._kept.cache_clear()
    second, _ = graph_vectors(tables, GENES, VectorOptions(dim=3))
    path.write_bytes(b"nonsense")
    module._kept.cache_clear()
    third, _ = graph_vectors(tables, GENES, VectorOptions(dim=3))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    assert len(path.read_bytes()) > 100


def test_a_facet_set_needs_no_writer_and_stands_beside_another(environment: Environment) -> None:
    runtime = environment.runtime()
    links, words, both = (
        open_knowledge(name, GENES, environment=environment, runtime=runtime)
        for name in ("links", "words", "both")
    )
    assert links.facet_names == ("Reactome pathways",)
    assert links.values.shape == (5, 1, 16)
    assert both.facet_names == (*words.facet_names, "Reactome pathways")
    np.testing.assert_array_equal(both.values[:, :8, :8], words.values)
    assert not both.values[:, :8, 8:].any()
    np.testing.assert_array_equal(both.values[:, 8:], links.values)
    assert both.confidence[4].max() == 0.0
    assert missing_knowledge("both", environment=environment, runtime=runtime) is None
    names = {(item.kind, item.name) for item in facet_plugins("both", environment)}
    assert names == {("text_encoders", "graph")}
    # A change of a part is another record.
    assert "reactome" in str(facet_document("both", environment))


def test_sets_that_cannot_be_made_are_refused(environment: Environment) -> None:
    for name, message in (("no_writer", "add writer"), ("circle", "circle")):
        with pytest.raises(ConfigError, match=message):
            open_knowledge(name, GENES, environment=environment, runtime=environment.runtime())


def test_the_gene_encoder_adds_a_facet_per_graph(environment: Environment) -> None:
    assembly, _ = named_assembly("toy", environment)
    found = assembly.knowledge(environment)(GENES, environment.runtime())
    assert found.facet_names[-1] == "Reactome pathways"
    assert found.values.shape == (5, 9, 8)


def test_controls_are_made_of_facets_and_graphs_alike(environment: Environment) -> None:
    runtime = environment.runtime()
    shown = {}
    for facets in ("both", "wrong", "code"):
        assembly, _ = named_assembly("toy", environment, Overrides({}, facets=facets))
        shown[facets] = assembly.knowledge(environment)(GENES, runtime)
    right, wrong = shown["both"].values[:4], shown["wrong"].values[:4]
    for row in range(4):
        donors = [other for other in range(4) if np.array_equal(wrong[row], right[other])]
        assert donors
        assert row not in donors
    assert shown["code"].facet_names == ("Identity",)


def test_two_graphs_of_one_name_do_not_clash(environment: Environment) -> None:
    knowledge = open_knowledge(
        "both", GENES, environment=environment, runtime=environment.runtime()
    )
    found = widened(FacetsGraphConfig(graphs=("reactome",)), knowledge, environment.runtime())
    assert found.facet_names[-2:] == ("Reactome pathways", "Reactome pathways (2)")


def test_a_table_of_the_users_wins_and_is_another_record(environment: Environment) -> None:
    model = resolve_model("toy", environment)
    shipped = with_file_hashes(model, environment).config
    before = GraphEncoder(GraphConfig(**SMALL)).identity
    path = _own_table(environment.data_dir)
    try:
        own = open_knowledge("links", GENES, environment=environment, runtime=environment.runtime())
        assert own.values[0, 0] @ own.values[2, 0] > 0.9
        assert "own_graphs" not in shipped
        assert "reactome" in with_file_hashes(model, environment).config["own_graphs"]  # type: ignore[operator]
        options = GraphConfig(**SMALL, data_dir=str(environment.data_dir))
        assert GraphEncoder(options).identity != before
    finally:
        path.unlink()
