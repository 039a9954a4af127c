from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse, stats

from dygenept.data.simulated import counts as simulate_counts
from dygenept.data.simulated.counts import (
    CellPlan,
    CountModel,
    draw_cells,
    draw_count_model,
    draw_expression,
)
from dygenept.data.simulated.expected import expected_expression


def _model(n_genes: int, *, seed: int = 0) -> CountModel:
    return draw_count_model(n_genes, n_states=2, rng=np.random.default_rng(seed))


def _silent(done: int, total: int) -> None:
    """Drop progress."""


@pytest.mark.parametrize(("mean", "size"), [(0.05, 1.0), (0.8, 3.0), (6.0, 1.5), (40.0, 10.0)])
def test_counts_follow_the_negative_binomial(mean: float, size: float) -> None:
    n_draws = 40_000
    rows, genes, counts = simulate_counts._draw_counts(
        np.full((n_draws, 1), mean), np.array([size]), rng=np.random.default_rng(1)
    )
    assert np.all(np.diff(rows) > 0)
    assert np.all(genes == 0)
    drawn = np.zeros(n_draws, dtype=int)
    drawn[rows] = counts.astype(int)
    law = stats.nbinom(size, size / (size + mean))
    edges = np.unique(law.ppf(np.linspace(0.02, 0.98, 15)).astype(int))
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    below = law.cdf(edges)
    expected = n_draws * np.diff(np.r_[0.0, below, 1.0])
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_expression_is_sorted_csr_in_small_types_with_cells_scaled_to_one_total() -> None:
    model = _model(300)
    rng = np.random.default_rng(2)
    plan = draw_cells(rng.integers(0, 2, 700, dtype=np.int32), rng=rng)
    means = np.exp(model.log_mean + model.state_shift).astype(np.float32)
    matrix = draw_expression(model, means, plan, seed=np.random.SeedSequence(3), report=_silent)
    assert sparse.isspmatrix_csr(matrix)
    assert matrix.shape == (700, 300)
    assert (matrix.dtype, matrix.indices.dtype, matrix.indptr.dtype) == (
        np.float32,
        np.int32,
        np.int32,
    )
    rebuilt = sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), matrix.shape)
    assert rebuilt.has_canonical_format
    totals = np.asarray(matrix.astype(np.float64).expm1().sum(axis=1)).ravel()
    np.testing.assert_allclose(totals, np.median(totals), rtol=1e-3)


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(200)
    rng = np.random.default_rng(4)
    plan = draw_cells(rng.integers(0, 2, 3_000, dtype=np.int32), rng=rng)
    means = np.exp(model.log_mean + model.state_shift).astype(np.float32)
    drawn = []
    for n_threads in (1, 4):
        monkeypatch.setattr("os.cpu_count", lambda n=n_threads: n)
        drawn.append(
            draw_expression(model, means, plan, seed=np.random.SeedSequence(5), report=_silent)
        )
    assert (drawn[0] != drawn[1]).nnz == 0


def test_more_entries_than_reserved_are_kept() -> None:
    model = _model(200)
    quiet, loud = np.full(200, 0.01), np.full(200, 5.0)
    # The first block is nearly empty, so the room reserved after it is far too small.
    plan = CellPlan(
        group_codes=np.repeat([0, 1], simulate_counts.BLOCK_CELLS).astype(np.int32),
        library=np.ones(2 * simulate_counts.BLOCK_CELLS),
        axis=np.zeros(2 * simulate_counts.BLOCK_CELLS),
    )
    matrix = draw_expression(
        model,
        np.stack([quiet, loud]).astype(np.float32),
        plan,
        seed=np.random.SeedSequence(6),
        report=_silent,
    )
    per_cell = np.diff(matrix.indptr)
    assert per_cell[: simulate_counts.BLOCK_CELLS].mean() < 5
    assert per_cell[simulate_counts.BLOCK_CELLS :].mean() > 150


def test_progress_ends_at_the_number_of_cells() -> None:
    model = _model(50)
    rng = np.random.default_rng(7)
    plan = draw_cells(np.zeros(1_100, dtype=np.int32), rng=rng)
    seen: list[tuple[int, int]] = []
    draw_expression(
        model,
        np.exp(model.log_mean)[None].astype(np.float32),
        plan,
        seed=np.random.SeedSequence(8),
        report=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(512, 1_100), (1_024, 1_100), (1_100, 1_100)]


@pytest.mark.parametrize(
    ("sizes", "bound"),
    [
        ((1.0, 10.0), 0.05),
        # Some genes come in bursts, so that a cell's total strays from its expectation, which is
        # what expected expression divides by.
        (simulate_counts.SIZE_RANGE, 0.1),
    ],
)
def test_expected_expression_agrees_with_the_mean_of_many_cells(
    sizes: tuple[float, float], bound: float
) -> None:
    model = replace(_model(400, seed=9), sizes=np.geomspace(*sizes, simulate_counts.N_SIZES))
    rng = np.random.default_rng(10)
    change = np.zeros((2, 1, 400))
    change[1, 0, rng.choice(400, 60, replace=False)] = rng.normal(0.0, 1.0, 60)
    shares = np.array([0.7, 0.3])
    means = np.exp(model.log_mean + model.state_shift + change).reshape(4, 400).astype(np.float32)
    n_each = 6_000
    states = rng.choice(2, size=2 * n_each, p=shares)
    groups = (np.repeat([0, 1], n_each) * 2 + states).astype(np.int32)
    matrix = draw_expression(
        model, means, draw_cells(groups, rng=rng), seed=np.random.SeedSequence(11), report=_silent
    )
    observed = np.stack(
        [np.asarray(matrix[:n_each].mean(axis=0))[0], np.asarray(matrix[n_each:].mean(axis=0))[0]]
    )
    expected = expected_expression(model, means, shares=shares)
    assert np.abs(expected - observed).max() < bound
    delta, truth = observed[1] - observed[0], expected[1] - expected[0]
    assert np.corrcoef(delta, truth)[0, 1] > 0.98
    # The totals' part cancels: what is left of a change is sampling.
    assert np.abs(delta - truth).max() < 0.06
    squares = matrix.multiply(matrix)
    variance = [
        np.asarray(squares[cells].mean(axis=0))[0] - mean**2
        for cells, mean in zip((slice(n_each), slice(n_each, None)), observed, strict=True)
    ]
    noise = np.sqrt(np.sum(variance, axis=0) / n_each)
    assert np.sqrt((((delta - truth) / noise) ** 2).mean()) == pytest.approx(1.0, abs=0.1)
