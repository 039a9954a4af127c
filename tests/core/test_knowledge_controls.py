"""Shuffled and random knowledge are wrong in the way they promise, and in no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dygenept.knowledge.controls import random_knowledge, shuffle_knowledge
from dygenept.knowledge.facets import FACETS
from dygenept.types import GeneKnowledge


def toy(n_genes: int = 12) -> GeneKnowledge:
    rng = np.random.default_rng(3)
    confidence = (rng.random((n_genes, len(FACETS))) < 0.6).astype(np.float32)
    confidence[:, 0] = 1.0
    confidence[-1] = 0.0
    values = rng.standard_normal((n_genes, len(FACETS), 5)).astype(np.float32)
    return GeneKnowledge(
        name="toy",
        sha256="ab",
        genes=tuple(f"GENE{i}" for i in range(n_genes)),
        facet_names=FACETS,
        values=values * confidence[:, :, None],
        confidence=confidence,
    )


def test_shuffling_gives_every_informed_gene_another_gene_s_row() -> None:
    knowledge = toy()
    shuffled = shuffle_knowledge(knowledge, rng=np.random.default_rng(0))
    donors = [
        next(j for j in range(12) if np.array_equal(row, knowledge.values[j]))
        for row in shuffled.values
    ]
    assert sorted(donors) == list(range(12))
    assert all(donor != gene for gene, donor in enumerate(donors[:-1]))
    assert donors[-1] == 11
    np.testing.assert_array_equal(shuffled.confidence, knowledge.confidence[donors])
    assert shuffled.sha256 != knowledge.sha256


def test_one_informed_gene_alone_does_not_keep_its_knowledge() -> None:
    knowledge = toy(2)
    shuffled = shuffle_knowledge(knowledge, rng=np.random.default_rng(0))
    assert not shuffled.confidence.any()
    assert not shuffled.values.any()


def test_the_same_seed_shuffles_alike_and_another_one_otherwise() -> None:
    first = shuffle_knowledge(toy(), rng=np.random.default_rng(0))
    again = shuffle_knowledge(toy(), rng=np.random.default_rng(0))
    other = shuffle_knowledge(toy(), rng=np.random.default_rng(1))
    np.testing.assert_array_equal(first.values, again.values)
    assert first.sha256 == again.sha256 != other.sha256


def test_random_knowledge_keeps_norms_and_confidence_but_no_direction() -> None:
    knowledge = toy()
    noise = random_knowledge(knowledge, rng=np.random.default_rng(0))
    norms = np.linalg.norm(knowledge.values, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(noise.values, axis=-1), norms, rtol=1e-5)
    np.testing.assert_array_equal(noise.confidence, knowledge.confidence)
    known = knowledge.confidence > 0
    cosines = (noise.values * knowledge.values).sum(axis=-1)[known] / norms[known] ** 2
    assert abs(cosines.mean()) < 0.3
    assert noise.values.dtype == np.float32


def test_random_knowledge_of_unknown_facets_stays_zero_and_finite() -> None:
    blank = replace(
        toy(), values=np.zeros((12, 8, 5), np.float32), confidence=np.zeros((12, 8), np.float32)
    )
    noise = random_knowledge(blank, rng=np.random.default_rng(0))
    assert not noise.values.any()
