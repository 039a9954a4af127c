"""Imputation at its edges: chunks, loops, empty edges, many neighbours and near cancellation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import DataError
from dygenept.knowledge.facets import imputation
from dygenept.knowledge.facets.imputation import ImputationOptions, impute
from dygenept.types import GeneKnowledge

ONE_ROUND = ImputationOptions(num_rounds=1, confidence_cap=1.0)


def knowledge_of(values: np.ndarray, confidence: np.ndarray) -> GeneKnowledge:
    return GeneKnowledge(
        name="drawn",
        sha256="0" * 64,
        genes=tuple(f"G{row}" for row in range(len(values))),
        facet_names=tuple(f"facet {facet}" for facet in range(values.shape[1])),
        values=values.astype(np.float32),
        confidence=confidence.astype(np.float32),
    )


def graph_of(n_genes: int, edges: dict[tuple[int, int], float]) -> sparse.csr_matrix:
    dense = np.zeros((n_genes, n_genes), dtype=np.float32)
    for (first, second), weight in edges.items():
        dense[first, second] = dense[second, first] = weight
    return sparse.csr_matrix(dense)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5])
def test_genes_are_filled_alike_whatever_the_size_of_a_chunk(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    known = np.ones((14, 2))
    known[5:12, 0] = 0.0
    known[1:4, 1] = 0.0
    values = rng.normal(size=(14, 2, 3)) * known[..., None]
    # Gene 6's neighbours cancel in the first facet, in the middle of a chunk.
    values[13, 0] = -values[12, 0]
    edges = {(i, j): float(rng.uniform(0.2, 1.0)) for i in range(12) for j in range(i)}
    edges = {pair: weight for pair, weight in edges.items() if 6 not in pair}
    edges |= {(6, 12): 0.5, (6, 13): 0.5}
    knowledge, graph = knowledge_of(values, known), graph_of(14, edges)
    whole = impute(knowledge, graph, options=ImputationOptions())
    assert whole.rounds[6, 0] == -1
    assert (whole.rounds[[5, 7, 8, 9, 10, 11], 0] == 1).all()
    monkeypatch.setattr(imputation, "CHUNK", chunk)
    parts = impute(knowledge, graph, options=ImputationOptions())
    np.testing.assert_allclose(parts.knowledge.values, whole.knowledge.values, rtol=1e-6)
    np.testing.assert_array_equal(parts.knowledge.confidence, whole.knowledge.confidence)
    np.testing.assert_array_equal(parts.rounds, whole.rounds)
    np.testing.assert_array_equal(parts.neighbours.entries, whole.neighbours.entries)
    np.testing.assert_array_equal(parts.neighbours.rows, whole.neighbours.rows)


def test_a_gene_is_no_neighbour_of_itself_and_an_edge_of_no_weight_is_no_edge() -> None:
    values = np.array([[[3.0, 0.0]], [[0.0, 3.0]], [[0.0, 0.0]], [[9.0, 9.0]]])
    knowledge = knowledge_of(values, np.array([[1.0], [1.0], [0.0], [1.0]]))
    rows, columns = [2, 2, 2, 2, 0, 1, 3], [0, 1, 2, 3, 2, 2, 2]
    weights = np.array([0.5, 0.5, 1.0, 0.0, 0.5, 0.5, 0.0], dtype=np.float32)
    graph = sparse.csr_matrix((weights, (rows, columns)), shape=(4, 4))
    assert graph.nnz == 7
    options = ImputationOptions(num_rounds=3, confidence_cap=1.0)
    found = impute(knowledge, graph, options=options)
    neighbours, shares = found.neighbours.of(2, 0)
    assert (neighbours.tolist(), shares.tolist()) == ([0, 1], [0.5, 0.5])
    assert found.rounds[:, 0].tolist() == [0, 0, 1, 0]
    # Two of five neighbours: 0.4.
    assert found.knowledge.confidence[2, 0] == pytest.approx(0.4)


def test_more_than_five_neighbours_give_no_more_confidence_than_five() -> None:
    values = np.ones((8, 1, 2))
    values[7] = 0.0
    confidence = np.full((8, 1), 0.25)
    confidence[7] = 0.0
    graph = graph_of(8, {(7, other): 0.5 for other in range(7)})
    found = impute(knowledge_of(values, confidence), graph, options=ONE_ROUND)
    assert found.knowledge.confidence[7, 0] == pytest.approx(0.25)


@pytest.mark.parametrize(("rest", "is_filled"), [(4e-4, False), (4e-3, True)])
def test_what_cancels_is_judged_by_the_length_of_native_vectors(
    rest: float, is_filled: bool
) -> None:
    # Two neighbours of length 1000 whose mean is half of what is left over.
    values = np.array([[[1000.0, 0.0]], [[-1000.0, rest * 2]], [[0.0, 0.0]]])
    knowledge = knowledge_of(values, np.array([[1.0], [1.0], [0.0]]))
    found = impute(knowledge, graph_of(3, {(2, 0): 0.5, (2, 1): 0.5}), options=ONE_ROUND)
    assert (found.rounds[2, 0] == 1) == is_filled
    if is_filled:
        np.testing.assert_allclose(found.knowledge.values[2, 0], [0.0, 1000.0], atol=1e-2)
    assert len(found.neighbours.entries) == int(is_filled)


def test_an_option_of_no_rounds_fills_nothing() -> None:
    values = np.array([[[1.0]], [[1.0]], [[0.0]]])
    knowledge = knowledge_of(values, np.array([[1.0], [1.0], [0.0]]))
    graph = graph_of(3, {(2, 0): 0.5, (2, 1): 0.5})
    found = impute(knowledge, graph, options=ImputationOptions(num_rounds=0))
    assert found.rounds[:, 0].tolist() == [0, 0, -1]
    assert found.neighbours.entries.tolist() == []
    assert found.neighbours.of(2, 0)[0].tolist() == []


def test_results_have_the_declared_types_whatever_the_input_has() -> None:
    rng = np.random.default_rng(0)
    known = np.ones((6, 3))
    known[4:] = 0.0
    values = rng.normal(size=(6, 3, 4)) * known[..., None]
    edges = {(i, j): 0.5 for i in (4, 5) for j in range(4)}
    plain = impute(knowledge_of(values, known), graph_of(6, edges), options=ImputationOptions())
    wide = replace(
        knowledge_of(values, known),
        values=np.asfortranarray(values.astype(np.float32).astype(np.float64)),
        confidence=known,
    )
    found = impute(wide, graph_of(6, edges), options=ImputationOptions())
    np.testing.assert_allclose(found.knowledge.values, plain.knowledge.values, rtol=1e-6)
    assert np.abs(found.knowledge.values[4:]).min() > 0
    for of in (plain, found):
        assert of.knowledge.values.dtype == of.knowledge.confidence.dtype == np.float32
        assert (of.neighbours.entries.dtype, of.neighbours.starts.dtype) == (np.int64, np.int64)
        assert (of.neighbours.rows.dtype, of.neighbours.weights.dtype) == (np.int32, np.float32)


def test_weights_that_cannot_be_are_refused() -> None:
    knowledge = knowledge_of(np.ones((2, 1, 1)), np.ones((2, 1)))
    for weight in (-0.5, np.nan, np.inf):
        with pytest.raises(DataError, match=r"^edge weights must be finite and not negative$"):
            impute(knowledge, graph_of(2, {(0, 1): weight}), options=ONE_ROUND)
