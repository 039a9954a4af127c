from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import sparse

from dygenept.errors import DataError, ShapeError
from dygenept.knowledge.facets.imputation import Imputed, impute
from dygenept.knowledge.graph.sources import ImputationOptions
from dygenept.types import GeneKnowledge

WEIGHTS = (0.2, 0.3, 0.5, 0.5, 0.8, 0.9, 1.0)


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


@dataclass
class Reference:
    values: np.ndarray
    confidence: np.ndarray
    rounds: np.ndarray
    neighbours: dict[tuple[int, int], list[tuple[int, float]]]


def by_hand(
    knowledge: GeneKnowledge, weights: sparse.csr_matrix, options: ImputationOptions
) -> Reference:
    """The rule of the design, one facet of one gene after the other, in float64."""
    values = knowledge.values.astype(np.float64)
    confidence = knowledge.confidence.astype(np.float64)
    edge = weights.toarray().astype(np.float64)
    n_genes, n_facets = confidence.shape
    is_native = confidence > 0
    rounds = np.where(is_native, 0, -1)
    mean_norm = []
    for facet in range(n_facets):
        norms = [np.linalg.norm(values[g, facet]) for g in range(n_genes) if is_native[g, facet]]
        mean_norm.append(np.mean(norms) if norms else 0.0)
    neighbours: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for number in range(1, options.num_rounds + 1):
        known_values, known_confidence = values.copy(), confidence.copy()
        for gene in range(n_genes):
            for facet in range(n_facets):
                if known_confidence[gene, facet] > 0:
                    continue
                informed = [
                    other
                    for other in range(n_genes)
                    if edge[gene, other] > 0 and known_confidence[other, facet] > 0
                ]
                if len(informed) < (2 if number == 1 else 1):
                    continue
                informed.sort(key=lambda other: (-edge[gene, other], other))
                used = informed[: options.max_neighbors]
                share = np.array([edge[gene, o] * known_confidence[o, facet] for o in used])
                mean = (
                    sum(s * known_values[o, facet] for s, o in zip(share, used, strict=True))
                    / share.sum()
                )
                length = np.linalg.norm(mean)
                if length <= 1e-6 * mean_norm[facet] or mean_norm[facet] == 0:
                    continue
                values[gene, facet] = mean * mean_norm[facet] / length
                strength = np.array([edge[gene, o] for o in used])
                source = np.array([known_confidence[o, facet] for o in used])
                raw = min(1, len(used) / 5) * (strength * source).sum() / strength.sum()
                cap = options.confidence_cap * 0.7**number
                confidence[gene, facet] = min(max(raw, 0.05), cap)
                rounds[gene, facet] = number
                neighbours[gene, facet] = list(zip(used, share / share.sum(), strict=True))
    return Reference(values, confidence, rounds, neighbours)


def assert_equal(imputed: Imputed, reference: Reference) -> None:
    np.testing.assert_array_equal(imputed.rounds, reference.rounds)
    assert imputed.rounds.dtype == np.int8
    np.testing.assert_allclose(imputed.knowledge.values, reference.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(imputed.knowledge.confidence, reference.confidence, rtol=1e-5)
    assert imputed.knowledge.values.dtype == imputed.knowledge.confidence.dtype == np.float32
    found = imputed.neighbours
    for gene, facet in np.ndindex(*reference.rounds.shape):
        rows, shares = found.of(gene, facet)
        expected = reference.neighbours.get((gene, facet), [])
        assert rows.tolist() == [other for other, _ in expected]
        np.testing.assert_allclose(shares, [share for _, share in expected], rtol=1e-5)
    assert len(found.entries) == len(reference.neighbours)
    assert found.starts[-1] == len(found.rows) == len(found.weights)


@st.composite
def problems(draw: st.DrawFn) -> tuple[GeneKnowledge, sparse.csr_matrix, ImputationOptions]:
    n_genes = draw(st.integers(1, 14))
    n_facets, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    # Whole numbers, so that vectors that cancel do so in float32 as in float64.
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(-3, 4, size=(n_genes, n_facets, width)).astype(np.float32)
    known = draw(st.floats(0, 1))
    confidence = np.where(
        rng.random((n_genes, n_facets)) < known,
        rng.choice([1.0, 1.0, 0.5, 0.25], size=(n_genes, n_facets)),
        0.0,
    )
    values[confidence == 0] = 0
    density = draw(st.floats(0, 1))
    edges = {
        (first, second): float(rng.choice(WEIGHTS))
        for first in range(n_genes)
        for second in range(first)
        if rng.random() < density
    }
    options = ImputationOptions(
        num_rounds=draw(st.integers(0, 5)),
        confidence_cap=draw(st.sampled_from([0.8, 1.0, 0.3, 0.05])),
        max_neighbors=draw(st.sampled_from([1, 2, 3, 20])),
    )
    return knowledge_of(values, confidence), graph_of(n_genes, edges), options


@settings(max_examples=150, deadline=None)
@given(problems())
def test_imputation_is_the_rule_of_the_design_on_every_field(
    problem: tuple[GeneKnowledge, sparse.csr_matrix, ImputationOptions],
) -> None:
    knowledge, weights, options = problem
    before = knowledge.values.copy(), knowledge.confidence.copy(), weights.copy()
    imputed = impute(knowledge, weights, options=options)
    assert_equal(imputed, by_hand(knowledge, weights, options))
    native = knowledge.confidence > 0
    for after, was in (
        (imputed.knowledge.values, before[0]),
        (imputed.knowledge.confidence, before[1]),
    ):
        assert after[native].tobytes() == was[native].tobytes()
    # What was handed in is left alone.
    assert np.array_equal(knowledge.values, before[0])
    assert np.array_equal(knowledge.confidence, before[1])
    assert np.array_equal(weights.data, before[2].data)


def test_a_wide_graph_of_many_genes_is_the_rule_too() -> None:
    rng = np.random.default_rng(3)
    n_genes = 700
    values = rng.normal(size=(n_genes, 2, 5))
    confidence = (rng.random((n_genes, 2)) < 0.1).astype(np.float32)
    values[confidence == 0] = 0
    upper = sparse.random(n_genes, n_genes, density=0.02, rng=rng, format="csr")
    upper.data = rng.choice(WEIGHTS, size=upper.nnz).astype(np.float32)
    weights = sparse.csr_matrix(upper.maximum(upper.T), dtype=np.float32)
    weights.setdiag(0)
    weights.eliminate_zeros()
    knowledge, options = knowledge_of(values, confidence), ImputationOptions()
    imputed = impute(knowledge, weights, options=options)
    assert_equal(imputed, by_hand(knowledge, weights, options))
    assert set(np.unique(imputed.rounds)) == {0, 1, 2}


def test_two_informed_neighbours_give_a_value_in_round_one_worked_by_hand() -> None:
    values = np.zeros((4, 1, 2), dtype=np.float32)
    values[0, 0], values[1, 0] = (3.0, 0.0), (0.0, 5.0)
    knowledge = knowledge_of(values, np.array([[1.0], [0.5], [0.0], [0.0]]))
    weights = graph_of(4, {(0, 2): 0.8, (1, 2): 0.4, (2, 3): 1.0})
    imputed = impute(knowledge, weights, options=ImputationOptions())
    # Shares 0.8 : 0.2 give (2.4, 1.0) of length 2.6; native vectors are 4 long on average.
    np.testing.assert_allclose(
        imputed.knowledge.values[2, 0], [2.4 * 4 / 2.6, 1.0 * 4 / 2.6], rtol=1e-6
    )
    # Two neighbours of five; (0.8 + 0.4 · 0.5) / 1.2 on average.
    np.testing.assert_allclose(imputed.knowledge.confidence[2, 0], 0.4 * (1.0 / 1.2), rtol=1e-6)
    rows, shares = imputed.neighbours.of(2, 0)
    assert rows.tolist() == [0, 1]
    np.testing.assert_allclose(shares, [0.8, 0.2], rtol=1e-6)
    # Gene 3 has one neighbour, which knows nothing in round 1.
    assert imputed.rounds[:, 0].tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(imputed.knowledge.confidence[3, 0], 0.2 * 0.4 / 1.2, rtol=1e-6)


def test_confidence_is_capped_by_round_and_floored() -> None:
    n_sources = 6
    values = np.ones((n_sources + 3, 1, 2), dtype=np.float32)
    confidence = np.array([[1.0]] * n_sources + [[0.0]] * 3)
    edges = {(source, n_sources): 1.0 for source in range(n_sources)}
    chain = {(n_sources, n_sources + 1): 1.0, (n_sources + 1, n_sources + 2): 1.0}
    imputed = impute(
        knowledge_of(values * confidence[:, :, None], confidence),
        graph_of(n_sources + 3, edges | chain),
        options=ImputationOptions(),
    )
    given_confidence = imputed.knowledge.confidence[n_sources:, 0]
    np.testing.assert_allclose(given_confidence, [0.8 * 0.7, 0.2 * 0.8 * 0.7, 0.05], rtol=1e-6)


def test_of_equally_strong_neighbours_the_earlier_genes_count() -> None:
    values = np.eye(5, dtype=np.float32)[:, None, :]
    confidence = np.array([[1.0]] * 4 + [[0.0]])
    values[4] = 0
    weights = graph_of(5, {(gene, 4): weight for gene, weight in enumerate((0.5, 0.9, 0.5, 0.5))})
    imputed = impute(
        knowledge_of(values, confidence), weights, options=ImputationOptions(max_neighbors=3)
    )
    assert imputed.neighbours.of(4, 0)[0].tolist() == [1, 0, 2]


def test_neighbours_that_cancel_leave_the_facet_unknown() -> None:
    values = np.array([[[1.0, 2.0]], [[-1.0, -2.0]], [[0.0, 0.0]]], dtype=np.float32)
    knowledge = knowledge_of(values, np.array([[1.0], [1.0], [0.0]]))
    weights = graph_of(3, {(0, 2): 0.7, (1, 2): 0.7})
    imputed = impute(knowledge, weights, options=ImputationOptions())
    assert imputed.rounds[:, 0].tolist() == [0, 0, -1]
    assert imputed.knowledge.confidence[2, 0] == 0
    assert not imputed.knowledge.values[2].any()
    assert len(imputed.neighbours.entries) == 0


def test_the_hash_names_knowledge_graph_and_options() -> None:
    values = np.ones((2, 1, 2), dtype=np.float32)
    knowledge = knowledge_of(values, np.ones((2, 1)))
    weights = graph_of(2, {(0, 1): 0.5})
    first = impute(knowledge, weights, options=ImputationOptions()).knowledge.sha256
    assert impute(knowledge, weights, options=ImputationOptions()).knowledge.sha256 == first
    others = [
        impute(knowledge, weights, options=ImputationOptions(num_rounds=2)),
        impute(knowledge, graph_of(2, {(0, 1): 0.6}), options=ImputationOptions()),
        impute(knowledge_of(values, np.ones((2, 1))), graph_of(2, {}), options=ImputationOptions()),
    ]
    assert len({first, *(item.knowledge.sha256 for item in others)}) == 4


def test_a_graph_of_other_genes_or_with_bad_weights_is_refused() -> None:
    knowledge = knowledge_of(np.ones((2, 1, 2)), np.ones((2, 1)))
    with pytest.raises(ShapeError, match="align"):
        impute(knowledge, graph_of(3, {}), options=ImputationOptions())
    for weight in (-0.5, np.nan):
        with pytest.raises(DataError, match="finite"):
            impute(knowledge, graph_of(2, {(0, 1): weight}), options=ImputationOptions())


@pytest.mark.parametrize("wrong", [{"num_rounds": -1}, {"confidence_cap": 1.5}, {"rounds": 3}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ImputationOptions.model_validate(wrong)
