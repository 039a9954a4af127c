"""Intervals of means: known values, coverage, clusters, and what has no interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.mean_intervals import TOO_FEW, mean_intervals


def test_each_side_is_the_wider_of_students_t_and_a_plain_bootstrap_t() -> None:
    values = np.random.default_rng(0).exponential(size=25)
    found = mean_intervals(values[:, None], Clusters.independent(25), n_draws=9999)
    error = stats.sem(values)
    rng = np.random.default_rng(7)
    drawn = values[rng.integers(25, size=(20_000, 25))]
    t = (drawn.mean(axis=1) - values.mean()) / stats.sem(drawn, axis=1)
    low_t, high_t = np.quantile(t, [0.025, 0.975])
    student = stats.t.ppf(0.975, 24)
    assert found.means[0] == values.mean()
    assert found.low[0] == pytest.approx(values.mean() - max(high_t, student) * error, abs=0.02)
    assert found.high[0] == pytest.approx(values.mean() - min(low_t, -student) * error, abs=0.03)
    # The tail of large values reaches further than Student's t knows.
    assert found.high[0] > values.mean() + student * error + 0.02


def test_three_perturbations_have_students_interval() -> None:
    values = np.asarray([[0.1], [0.2], [0.6]])
    found = mean_intervals(values, Clusters.independent(3), n_draws=1999)
    low, high = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem(values[:, 0]))
    assert (found.low[0], found.high[0]) == pytest.approx((low, high))


@pytest.mark.parametrize("n_values", [1, 2])
def test_fewer_than_three_have_none_and_claim_nothing(n_values: int) -> None:
    found = mean_intervals(np.ones((n_values, 2)), Clusters.independent(n_values))
    assert found.means.tolist() == [1.0, 1.0]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert found.p_values.tolist() == [1.0, 1.0]
    assert found.reason == TOO_FEW


def test_one_perturbation_in_many_cell_types_is_one() -> None:
    clusters = Clusters.of(["a"] * 9, list("abcdefghi"))
    assert mean_intervals(np.arange(9.0)[:, None], clusters).reason == TOO_FEW


def test_values_that_are_all_alike_are_their_own_interval() -> None:
    found = mean_intervals(np.full((10, 1), 0.7), Clusters.independent(10))
    assert (found.low[0], found.high[0]) == pytest.approx((0.7, 0.7), abs=1e-12)
    zero = mean_intervals(np.zeros((10, 1)), Clusters.independent(10))
    assert (zero.low[0], zero.high[0], zero.p_values[0]) == (0.0, 0.0, 1.0)


def test_p_is_below_five_percent_where_the_interval_leaves_zero_out_and_only_there() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.5, 1.0, size=(15, 400))
    for clusters in (Clusters.independent(15), Clusters.of(list("abcde") * 3, list("xyz") * 5)):
        found = mean_intervals(values, clusters)
        leaves_out = (found.low > 0) | (found.high < 0)
        np.testing.assert_array_equal(found.p_values < 0.05, leaves_out)
        assert 0.05 < leaves_out.mean() < 0.95


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_the_truth_is_covered_about_as_often_as_said(sigma: float) -> None:
    values = np.exp(sigma * np.random.default_rng(0).normal(size=(15, 1500)))
    found = mean_intervals(values, Clusters.independent(15), n_draws=499)
    truth = np.exp(sigma**2 / 2)
    assert 0.93 < np.mean((found.low <= truth) & (truth <= found.high)) < 0.98


def test_the_truth_is_covered_in_several_cell_types_where_rows_alone_would_not_do() -> None:
    rng = np.random.default_rng(0)
    shape = (15, 3, 1500)
    parts = (rng.normal(size=(15, 1, 1500)), rng.normal(size=(1, 3, 1500)), rng.normal(size=shape))
    values = sum(weight * part for weight, part in zip((0.77, 0.3, 0.6), parts, strict=True))
    values = np.asarray(values).reshape(45, 1500)
    clusters = Clusters.of([f"p{row}" for row in range(15) for _ in "abc"], list("abc") * 15)
    found = mean_intervals(values, clusters, n_draws=499)
    assert 0.93 < np.mean((found.low <= 0) & (found.high >= 0)) < 0.985
    rows = mean_intervals(values, Clusters.independent(45), n_draws=499)
    assert np.mean((rows.low <= 0) & (rows.high >= 0)) < 0.8


@pytest.mark.parametrize("n_types", [2, 3])
@pytest.mark.parametrize("is_crossed", [True, False])
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_few_cell_types_that_happen_to_be_alike_do_not_make_an_interval_short(
    n_types: int, is_crossed: bool, share: float
) -> None:
    rng = np.random.default_rng(n_types)
    n, n_boards = 33, 2000
    shares = (0.7 - share, share, 0.3)
    of_perturbations = rng.normal(size=(n, 1 if is_crossed else n_types, n_boards))
    of_types = rng.normal(size=(1, n_types, n_boards))
    noise = rng.normal(size=(n, n_types, n_boards))
    parts = zip(shares, (of_perturbations, of_types, noise), strict=True)
    values = np.asarray(sum(part * of**0.5 for of, part in parts)).reshape(-1, n_boards)
    kinds = [f"c{number}" for number in range(n_types)]
    labels = [f"p{row}{'' if is_crossed else kind}" for row in range(n) for kind in kinds]
    found = mean_intervals(values, Clusters.of(labels, kinds * n), n_draws=199)
    # Earlier 0.82 to 0.94 where cell types differ much.
    assert np.mean((found.low <= 0) & (found.high >= 0)) > 0.94


def test_one_cell_type_has_the_interval_of_its_perturbations_alone() -> None:
    values = np.random.default_rng(4).exponential(size=(12, 3))
    one = mean_intervals(values, Clusters.of(list("abcdefghijkl"), ["x"] * 12))
    alone = mean_intervals(values, Clusters.independent(12))
    np.testing.assert_array_equal(one.low, alone.low)
    np.testing.assert_array_equal(one.p_values, alone.p_values)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    values = np.random.default_rng(0).exponential(size=(30, 2))
    clusters = Clusters.independent(30)
    one, again = (mean_intervals(values, clusters) for _ in range(2))
    other = mean_intervals(values, clusters, seed=1)
    np.testing.assert_array_equal(one.high, again.high)
    assert (one.high != other.high).any()
