"""scGPT's tokens: binning, order, vocabulary and sampling."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import DataError
from dygenept_plugins.networks import scgpt_tokens
from dygenept_plugins.networks.scgpt_binning import bin_values
from dygenept_plugins.networks.scgpt_tokens import (
    PAD_VALUE,
    TokenRules,
    TokenTable,
    Vocabulary,
    tokenise,
)

GENES = tuple(f"G{number}" for number in range(40))


def cells(n_cells: int = 15, seed: int = 0, density: float = 0.7) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = rng.gamma(2.0, 0.7, (n_cells, len(GENES))).astype(np.float32)
    dense[rng.random(dense.shape) > density] = 0
    dense[1] = 0
    return sparse.csr_matrix(dense)


def table(
    matrix: sparse.csr_matrix,
    *,
    max_length: int = 1200,
    keep: tuple[str, ...] = (),
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
) -> TokenTable:
    vocabulary = vocabulary or Vocabulary.of_genes(GENES)
    return tokenise(
        matrix,
        vocabulary.lookup(GENES),
        rules=TokenRules(vocabulary=vocabulary, n_bins=51, max_length=max_length, seed=seed),
        keep=np.isin(GENES, keep),
    )


def sequence(of: TokenTable, cell: int) -> tuple[list[int], list[float]]:
    part = slice(int(of.starts[cell]), int(of.starts[cell + 1]))
    return of.tokens[part].tolist(), of.values[part].tolist()


@pytest.mark.parametrize("kind", ["distinct", "tied", "counts"])
@pytest.mark.parametrize("n_bins", [3, 11, 51])
def test_bins_equal_numpys_quantile_and_digitize_on_every_cell(kind: str, n_bins: int) -> None:
    rng = np.random.default_rng([n_bins, len(kind)])
    lengths = rng.integers(0, 300, 40)
    values = {
        "distinct": rng.gamma(1.0, 1.0, lengths.sum()) + 0.01,
        "tied": np.log1p(rng.integers(1, 6, lengths.sum()) / 3),
        "counts": np.log1p(rng.integers(1, 60, lengths.sum()) * 1.7),
    }[kind].astype(np.float32)
    binned = bin_values(values, lengths, n_bins=n_bins)
    for cell in np.split(np.arange(len(values)), np.cumsum(lengths)[:-1]):
        if len(cell):
            edges = np.quantile(values[cell], np.linspace(0, 1, n_bins - 1))
            np.testing.assert_array_equal(binned[cell], np.digitize(values[cell], edges))


def test_sequence_is_cls_then_nonzero_genes_in_var_order() -> None:
    matrix, vocabulary = cells(), Vocabulary.of_genes(GENES)
    tokens = table(matrix)
    assert len(tokens) == matrix.shape[0]
    for cell in range(matrix.shape[0]):
        expressed = np.flatnonzero(matrix[cell].toarray()[0])
        found, values = sequence(tokens, cell)
        assert found == [vocabulary.cls_token, *expressed.tolist()]
        assert values[0] == PAD_VALUE
        assert all(1 <= value <= 50 for value in values[1:])


def test_explicit_zeros_are_not_expressed() -> None:
    matrix = cells()
    changed = matrix.copy()
    changed.data[:3] = 0
    pruned = changed.copy()
    pruned.eliminate_zeros()
    assert sequence(table(changed), 0) == sequence(table(pruned), 0)


def test_cell_without_expression_is_cls_alone() -> None:
    assert sequence(table(cells()), 1) == ([Vocabulary.of_genes(GENES).cls_token], [PAD_VALUE])


def test_genes_outside_the_vocabulary_are_left_out_before_binning_and_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scgpt_tokens._warn_of.cache_clear()
    vocabulary = Vocabulary.of_genes(GENES[10:])
    matrix = cells()
    with caplog.at_level(logging.WARNING):
        found = table(matrix, vocabulary=vocabulary)
        table(matrix, vocabulary=vocabulary)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("10 of 40 genes")
    assert "G0, G1" in caplog.messages[0]
    without = tokenise(
        matrix[:, 10:].tocsr(),
        vocabulary.lookup(GENES[10:]),
        rules=TokenRules(vocabulary=vocabulary, n_bins=51, max_length=1200, seed=0),
        keep=np.zeros(30, dtype=bool),
    )
    assert found.tokens.tolist() == without.tokens.tolist()
    assert found.values.tolist() == without.values.tolist()


def test_no_gene_in_the_vocabulary_is_an_error_that_names_the_fix() -> None:
    with pytest.raises(DataError, match="gene_name"):
        Vocabulary.of_genes(["X"]).lookup(GENES)


def test_made_vocabulary_has_special_tokens_last_and_repeats_once() -> None:
    vocabulary = Vocabulary.of_genes(["B", "A", "B"])
    assert dict(vocabulary.tokens) == {"B": 0, "A": 1, "<pad>": 2, "<cls>": 3, "<eoc>": 4}
    assert vocabulary.n_tokens == 5


def test_long_sequences_are_sampled_to_the_limit_with_values_binned_before() -> None:
    whole, cut = table(cells()), table(cells(), max_length=11)
    for cell in range(len(cut)):
        all_values = dict(zip(*sequence(whole, cell), strict=True))
        tokens, values = sequence(cut, cell)
        assert len(tokens) == min(len(all_values), 11)
        assert tokens[1:] == sorted(set(tokens[1:]))
        assert [all_values[token] for token in tokens] == values


def test_sampling_never_drops_an_expressed_target_gene() -> None:
    targets = ("G3", "G17", "G39")
    matrix = cells(200, density=0.9)
    dense = matrix.toarray()
    for seed in range(3):
        cut = table(matrix, max_length=5, keep=targets, seed=seed)
        for cell in range(len(cut)):
            expressed = {gene for gene in (3, 17, 39) if dense[cell, gene]}
            assert expressed <= set(sequence(cut, cell)[0])


def test_the_limit_yields_to_target_genes_that_alone_exceed_it() -> None:
    matrix = cells(30, density=0.9)
    cut = table(matrix, max_length=4, keep=GENES[:10])
    for cell in range(len(cut)):
        expressed = set(np.flatnonzero(matrix[cell].toarray()[0]).tolist())
        found = set(sequence(cut, cell)[0][1:])
        assert expressed & set(range(10)) <= found
        assert len(found) == max(min(len(expressed), 3), len(expressed & set(range(10))))
    assert cut.n_cut == sum(matrix[cell].nnz > 3 for cell in range(30))


def test_sampling_is_seeded_and_does_not_depend_on_the_pool() -> None:
    matrix = cells(50)
    cut = table(matrix, max_length=11, seed=1)
    assert sequence(cut, 30) == sequence(table(matrix, max_length=11, seed=1), 30)
    assert sequence(cut, 30) == sequence(table(matrix[[30, 2]], max_length=11, seed=1), 0)
    assert cut.tokens.tolist() != table(matrix, max_length=11, seed=2).tokens.tolist()


def test_sampling_takes_every_gene_about_equally_often() -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.csr_matrix(rng.gamma(2.0, 1.0, (4000, len(GENES))).astype(np.float32))
    counts = np.bincount(table(matrix, max_length=11).tokens.numpy(), minlength=40)[:40]
    # 1,000 expected; the standard deviation of a binomial (4000, 1/4) is 27.
    assert np.abs(counts - 1000).max() < 5 * 27.4


def test_blocks_of_cells_are_joined_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(cells(), max_length=11)
    monkeypatch.setattr(scgpt_tokens, "BLOCK", 4)
    parts = table(cells(), max_length=11)
    assert parts.starts.tolist() == whole.starts.tolist()
    assert parts.tokens.tolist() == whole.tokens.tolist()
    assert parts.values.tolist() == whole.values.tolist()
