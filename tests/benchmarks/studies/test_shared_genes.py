"""The study of a rule for each gene: what it compares is the model's rule and the one for genes."""

from __future__ import annotations

import numpy as np
import shared_genes

GENES = tuple("ABCDEFGHIJKLMNOP")
TRAIN = [*((gene,) for gene in GENES[:-2]), ("A", "B")]


def effects(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {gene: 1 + rng.standard_normal(200) for gene in GENES}


def changed(of: dict[str, np.ndarray], conditions: list[tuple[str, ...]]) -> np.ndarray:
    return np.stack([np.sum([of[gene] for gene in genes], axis=0) for genes in conditions])


def test_without_a_shared_gene_both_rules_are_the_same() -> None:
    rng = np.random.default_rng(0)
    of, codes = effects(rng), shared_genes.Codes(GENES, rng)
    train, asked = TRAIN[:-1], [("C", "D"), ("O",)]
    one, other = (
        shared_genes.predicted(train, changed(of, train), asked, codes, each=each)
        for each in (False, True)
    )
    np.testing.assert_array_equal(one, other)
    # Genes that were seen keep their own change, and one that was not gets the typical one.
    assert np.corrcoef(one[0], changed(of, asked)[0])[0, 1] > 0.9
    assert np.linalg.norm(one[1] - changed(of, train).mean(axis=0)) < 0.2 * np.linalg.norm(one[1])


def test_by_the_rule_for_each_gene_one_combination_takes_nothing_from_the_others() -> None:
    rng = np.random.default_rng(1)
    of, codes = effects(rng), shared_genes.Codes(GENES, rng)
    deltas, asked = changed(of, TRAIN), [("C", "D"), ("E", "F"), ("G",)]
    whole, each = (
        shared_genes.predicted(TRAIN, deltas, asked, codes, each=each) for each in (False, True)
    )
    true = changed(of, asked)
    errors = [np.square(found - true).mean(axis=1) for found in (whole, each)]
    assert (errors[1] < errors[0]).all()
    # By the whole screen's rule the penalty on codes takes part of what was measured of a gene.
    assert errors[1][2] < 0.1 * errors[0][2]
    assert errors[1][2] < 0.001


def test_a_line_has_the_scores_of_both_rules() -> None:
    rng = np.random.default_rng(2)
    of = effects(rng)
    conditions = [*((gene,) for gene in GENES), ("A", "B"), ("C", "D"), ("E", "F")]
    lines = shared_genes.compare(conditions, changed(of, conditions), 1)
    assert lines[0].startswith("  1 combinations, 0 of 1 genes seen: ")
    assert all(len(line.rsplit(":", 1)[1].split()) == 4 for line in lines)
