"""Origins of facets, embedded facets in shards, and facet texts: what is written comes back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import sparse

from dygenept.errors import DataError, DataUnavailableError, ShapeError
from dygenept.knowledge.facets.origins import REGENERATED, FacetOrigins, origin_name
from dygenept.knowledge.facets.texts import FacetTexts, read_facets, write_facets
from dygenept.knowledge.graph.combined import CombinedGraph, Neighbour
from dygenept.knowledge.graph.joining import combine_graphs
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.precompute.tensor import knowledge_tensor, write_tensor
from dygenept.knowledge.store.embedding import FacetVectors
from dygenept.knowledge.store.knowledge_files import (
    read_confidence,
    read_header,
    read_knowledge,
    read_origins,
    write_knowledge,
)
from dygenept.knowledge.store.vector_files import read_vectors, write_vectors
from dygenept.plugin.interfaces import GeneFacets, KnowledgeGraph

GENES = ("KLF1", "GATA1", "TAL1", "SPI1", "NOBODY")
# Facet 0 is native to three genes; KLF1's facet 1 was regenerated; SPI1's facet 0 can be imputed.
KNOWN = {"KLF1": (0, 1), "GATA1": (0,), "TAL1": (0, 1), "SPI1": (2,), "NOBODY": ()}
PARTNERS = {("KLF1", 1): (Neighbour("TAL1", 0.5, "go"),)}


def facet_texts() -> FacetTexts:
    genes = tuple(
        GeneFacets(
            gene,
            tuple(
                f"{gene} {position}" if position in KNOWN[gene] else None for position in range(8)
            ),
        )
        for gene in GENES
    )
    return FacetTexts(genes, PARTNERS)


def embedded(facets: FacetTexts) -> FacetVectors:
    texts = sorted({text for item in facets.genes for text in item.texts if text is not None})
    rows = {text: row for row, text in enumerate(texts)}
    vectors = np.random.default_rng(0).standard_normal((len(texts), 4)).astype(np.float32)
    index = np.array(
        [[rows.get(text, -1) for text in item.texts] for item in facets.genes], dtype=np.int32
    )
    return FacetVectors(GENES, index, vectors)


@pytest.fixture(scope="module")
def graph() -> CombinedGraph:
    dense = np.zeros((5, 5), dtype=np.float32)
    for first, second, weight in ((3, 0, 1.0), (3, 1, 0.5), (3, 2, 0.5)):
        dense[first, second] = dense[second, first] = weight
    edges = KnowledgeGraph(GENES, sparse.csr_matrix(dense))
    return combine_graphs({"string": edges}, genes=GENES)


@pytest.fixture
def path(tmp_path: Path, graph: CombinedGraph) -> Path:
    facets = facet_texts()
    written = knowledge_tensor(
        embedded(facets), facets, name="toy", sha256="ab", regenerated_confidence=0.8
    )
    path = tmp_path / "knowledge.safetensors"
    counts = write_tensor(
        written,
        graph,
        kg=KgChoice({"string": {}}),
        path=path,
    )
    assert counts["n_native_facets"] == 5
    assert counts["n_regenerated_facets"] == 1
    assert counts["n_genes_without_knowledge"] == 1
    return path


def test_knowledge_file_says_of_every_facet_where_it_is_from(path: Path) -> None:
    origins, knowledge = read_origins(path), read_knowledge(path)
    assert origins is not None
    assert knowledge.genes == GENES[:4]
    assert origins.codes[0].tolist()[:2] == [0, REGENERATED]
    assert origins.codes[3].tolist()[:3] == [1, 1, 0]
    assert knowledge.confidence[0].tolist()[:2] == [1.0, pytest.approx(0.8)]
    assert origins.of(0, 1, knowledge.genes) == (Neighbour("TAL1", 0.5, "go"),)
    assert origins.of(3, 0, knowledge.genes) == (
        Neighbour("KLF1", 1.0, "string"),
        Neighbour("GATA1", 0.5, "string"),
        Neighbour("TAL1", 0.5, "string"),
    )
    assert origins.of(0, 0, knowledge.genes) == ()


def test_native_facets_are_their_vectors_bit_for_bit(path: Path) -> None:
    vectors = embedded(facet_texts())
    values = read_knowledge(path).values
    for row, gene in enumerate(GENES[:4]):
        for facet in set(KNOWN[gene]):
            expected = vectors.vectors[vectors.index[row, facet]]
            np.testing.assert_array_equal(values[row, facet], expected)


def test_confidence_is_read_without_the_vectors(path: Path) -> None:
    genes, facet_names, confidence = read_confidence(path)
    whole = read_knowledge(path)
    assert (genes, facet_names) == (whole.genes, whole.facet_names)
    np.testing.assert_array_equal(confidence, whole.confidence)


def test_texts_beside_the_file_are_those_of_its_genes(path: Path) -> None:
    facets = read_facets(path.with_suffix(".texts.jsonl"))
    assert facets.genes == facet_texts().genes[:4]
    assert facets.regenerated == PARTNERS


def test_file_without_origins_is_read_and_says_nothing_of_them(path: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.safetensors"
    write_knowledge(read_knowledge(path), plain)
    assert read_origins(plain) is None
    header = read_header(plain)
    assert header is not None
    assert header["imputed_with"] is None


def test_damaged_origins_are_refused(path: Path) -> None:
    tensors = load_file(path)
    tensors["neighbours"] = tensors["neighbours"][1:]
    header = read_header(path)
    save_file(tensors, path, metadata={"dygenept": json.dumps(header)})
    with pytest.raises(DataError, match=r"origins of facets: .*; build it again"):
        read_origins(path)


def test_arrays_of_origins_must_agree() -> None:
    with pytest.raises(ShapeError, match="disagree"):
        FacetOrigins(
            codes=np.zeros((1, 8), dtype=np.int8),
            informed=np.zeros((1, 2), dtype=np.int32),
            starts=np.array([0, 2]),
            neighbours=np.zeros(1, dtype=np.int32),
            weights=np.ones(1, dtype=np.float32),
            source_codes=np.zeros(1, dtype=np.uint8),
            sources=("go",),
        )


def test_origins_have_names() -> None:
    assert [origin_name(code) for code in (-1, 0, 1, 3, 100)] == [
        "unknown",
        "native",
        "imputed",
        "imputed",
        "regenerated",
    ]


def test_vectors_come_back_from_several_shards(tmp_path: Path) -> None:
    vectors = embedded(facet_texts())
    names = write_vectors(vectors, tmp_path, shard_bytes=2 * 4 * 4)
    assert names[0] == "embeddings-00001-of-00003.safetensors"
    assert len(names) == 4
    again = read_vectors(tmp_path)
    assert again.genes == vectors.genes
    np.testing.assert_array_equal(again.index, vectors.index)
    np.testing.assert_array_equal(again.vectors, vectors.vectors)
    dense = again.dense()
    assert dense.shape == (5, 8, 4)
    assert not dense[4].any()
    np.testing.assert_array_equal(dense[0, 1], vectors.vectors[vectors.index[0, 1]])


def test_missing_and_damaged_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="run step 3"):
        read_vectors(tmp_path)
    names = write_vectors(embedded(facet_texts()), tmp_path, shard_bytes=32)
    (tmp_path / names[1]).unlink()
    with pytest.raises(DataError, match="damaged"):
        read_vectors(tmp_path)


def test_vectors_of_other_genes_than_the_texts_are_refused() -> None:
    facets = facet_texts()
    other = FacetTexts(facets.genes[:-1])
    with pytest.raises(DataError, match="other genes"):
        knowledge_tensor(
            embedded(facets), other, name="toy", sha256="ab", regenerated_confidence=0.8
        )


def test_facet_texts_come_back_with_their_partners(tmp_path: Path) -> None:
    write_facets(facet_texts(), tmp_path / "facets.jsonl")
    assert read_facets(tmp_path / "facets.jsonl") == facet_texts()


@pytest.mark.parametrize("line", ['{"gene": "A", "facets": {"Mood": "x"}}', '{"gene": "A"}'])
def test_other_facets_in_a_file_of_texts_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "facets.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match="line 1 is damaged"):
        read_facets(tmp_path / "facets.jsonl")


def test_recorded_graphs_cover_the_same_names_and_given_options_alone() -> None:
    record = KgChoice({"string": {"weight": 0.5}, "go": {}}).record()
    assert KgChoice({"go": {}, "string": {}}).is_covered_by(record)
    assert KgChoice({"go": {}, "string": {"weight": 0.5}}).is_covered_by(record)
    for other in (
        KgChoice({"string": {}}),
        KgChoice({"go": {}, "string": {"weight": 0.6}}),
        KgChoice({"go": {}, "string": {}}, {"num_rounds": 1}),
    ):
        assert not other.is_covered_by(record)
    assert not KgChoice({"go": {}}).is_covered_by(None)
