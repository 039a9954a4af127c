from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import DataError
from dygenept.knowledge.graph.links import GRAPHS, links_of
from dygenept.knowledge.likeness import gene_likeness
from dygenept.types import GeneKnowledge, Runtime
from dygenept.types.effects import GraphName

GENES = ("MED1", "MED12", "PSMA1", "PSMB2", "no such gene")


@pytest.mark.parametrize("graph", GRAPHS)
def test_partners_in_a_complex_are_more_alike_than_strangers(graph: GraphName) -> None:
    links = links_of(graph, GENES)
    cosines = (links @ links.T).toarray()
    np.testing.assert_allclose(np.diag(cosines)[:4], 1.0, atol=1e-5)
    assert cosines[0, 1] > 2 * cosines[0, 2]
    assert cosines[2, 3] > 2 * cosines[1, 3]
    assert cosines[4].max() == 0.0


def test_an_outdated_symbol_is_the_gene() -> None:
    new, old = links_of("string", ("SARS1", "SARS"))
    np.testing.assert_array_equal(new.toarray(), old.toarray())


def test_a_file_of_the_users_wins(tmp_path: Path) -> None:
    folder = tmp_path / "graphs"
    folder.mkdir()
    (folder / "string.tsv").write_text("a\tb\nMED1\tPSMA1\nPSMB2\tnobody\n")
    links = links_of("string", GENES, tmp_path)
    cosines = (links @ links.T).toarray()
    assert cosines[0, 2] > 0.9
    assert cosines[0, 1] == 0.0
    (folder / "string.tsv").write_text("a\tb\nnobody\tnowhere\n")
    with pytest.raises(DataError, match="links no gene"):
        links_of("string", GENES, tmp_path)


def knowledge() -> GeneKnowledge:
    """Two facets of four genes; the second is unknown for the last."""
    values = np.random.default_rng(0).normal(size=(4, 2, 8)).astype(np.float32)
    confidence = np.array([[1, 1], [1, 1], [1, 1], [1, 0]], dtype=np.float32)
    return GeneKnowledge("toy", "0", GENES[:4], ("a", "b"), values, confidence)


def test_facets_are_kept_apart_and_averaged() -> None:
    found = gene_likeness(GENES, knowledge=knowledge(), graphs=("go",), runtime=Runtime())
    rows = np.arange(len(GENES))
    values, confidence = knowledge().values, knowledge().confidence
    expected = np.zeros((4, 4))
    for facet in range(2):
        known = confidence[:, facet] > 0
        centred = np.where(known[:, None], values[:, facet] - values[known, facet].mean(0), 0.0)
        unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        expected += unit @ unit.T / 2
    np.testing.assert_allclose(found.of("facets", rows, rows)[:4, :4], expected, atol=1e-5)
    assert found.of_outputs == ("go",)
    assert found.knows("facets").tolist() == [True, True, True, True, False]


def test_shuffled_knowledge_is_that_of_another_gene_and_identity_is_like_nothing() -> None:
    rows = np.arange(len(GENES))
    right = gene_likeness(GENES, knowledge=knowledge(), graphs=("string",), runtime=Runtime())
    wrong = gene_likeness(
        GENES, knowledge=knowledge(), graphs=("string",), runtime=Runtime(), control="shuffled"
    )
    assert sorted(np.diag(wrong.of("string", rows, rows)).round(4)) == sorted(
        np.diag(right.of("string", rows, rows)).round(4)
    )
    assert not np.allclose(right.of("facets", rows, rows), wrong.of("facets", rows, rows))
    none = gene_likeness(GENES, knowledge=None, graphs=(), runtime=Runtime(), control="identity")
    np.testing.assert_array_equal(none.of("identity", rows, rows), np.eye(len(GENES)))


def test_sources_become_facets_of_all_genes_with_about_the_same_cosines() -> None:
    found = gene_likeness(GENES, knowledge=knowledge(), graphs=("string",), runtime=Runtime())
    facets, tells_of_outputs = found.as_facets(2000)
    assert facets.genes == GENES
    assert facets.facet_names == ("string", "a", "b")
    assert tells_of_outputs.tolist() == [True, False, False]
    assert facets.values.shape == (5, 3, 2000)
    assert (facets.confidence > 0).tolist() == [
        *([[True] * 3] * 3), [True, True, False], [False] * 3,
    ]  # fmt: skip
    rows = np.arange(len(GENES))
    of_string, of_text = (facets.values[:, facet] @ facets.values[:, facet].T for facet in (0, 1))
    np.testing.assert_allclose(of_string, found.of("string", rows, rows), atol=0.1)
    (first, _) = found.sources["facets"]
    np.testing.assert_allclose(of_text, first @ first.T, atol=1e-6)
