from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation.aggregates import aggregate, competition_ranks
from dygenept.evaluation.bootstrap import bootstrap_interval, bootstrap_means


def test_hand_worked_aggregates() -> None:
    total = aggregate([[1.0, 3.0], [4.0], [0.0, 0.0, 3.0]], neutral=None)
    assert total.mean == pytest.approx((2.0 + 4.0 + 1.0) / 3)
    assert total.std == pytest.approx(np.std([2.0, 4.0, 1.0], ddof=1))
    assert total.stderr == pytest.approx(np.std([2.0, 4.0, 1.0], ddof=1) / np.sqrt(3))
    assert total.pooled == pytest.approx(11.0 / 6)
    assert (total.n_folds, total.n_perturbations, total.n_undefined) == (3, 6, 0)


def test_one_fold_has_no_spread() -> None:
    total = aggregate([[1.0, 2.0]], neutral=None)
    assert (total.mean, total.std, total.stderr) == (1.5, None, None)


def test_an_undefined_value_counts_as_neutral() -> None:
    total = aggregate([[1.0, None], [None]], neutral=0.0)
    assert (total.mean, total.pooled) == (0.25, pytest.approx(1 / 3))
    assert (total.n_perturbations, total.n_undefined) == (3, 2)


def test_an_undefined_value_without_a_neutral_one_is_left_out_and_counted() -> None:
    total = aggregate([[1.0, None], [None], [3.0]], neutral=None)
    assert (total.mean, total.pooled) == (2.0, 2.0)
    assert (total.n_folds, total.n_perturbations, total.n_undefined) == (3, 4, 2)


@pytest.mark.parametrize("folds", [[], [[]], [[None], [None, None]]])
def test_nothing_defined_gives_no_number(folds: list[list[float | None]]) -> None:
    total = aggregate(folds, neutral=None)
    assert (total.mean, total.std, total.stderr) == (None, None, None)
    assert (total.pooled, total.ci_low, total.ci_high) == (None, None, None)
    assert total.n_folds == len(folds)


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.2, size=60)
    low, high = bootstrap_interval(values)
    rng = np.random.default_rng(123)
    means = [rng.choice(values, size=60).mean() for _ in range(20_000)]
    assert (low, high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.005)
    assert low < values.mean() < high


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(300, 50))
    covered = [low < 0.0 < high for low, high in map(bootstrap_interval, samples)]
    assert 0.90 < np.mean(covered) < 0.98


def test_the_interval_is_repeatable_and_depends_on_the_seed() -> None:
    values = [0.1, 0.4, 0.5, 0.9, 0.2]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert aggregate([values], neutral=None, seed=1) != aggregate([values], neutral=None, seed=2)


def test_one_value_is_its_own_interval() -> None:
    assert bootstrap_interval([0.7]) == (0.7, 0.7)


def test_models_are_resampled_alike() -> None:
    values = np.random.default_rng(0).normal(size=(3, 20))
    together = bootstrap_means(values, n_draws=50, seed=4)
    assert together.shape == (3, 50)
    for row in range(3):
        np.testing.assert_array_equal(
            together[row], bootstrap_means(values[row], n_draws=50, seed=4)
        )


@pytest.mark.parametrize(
    ("values", "higher_is_better", "expected"),
    [
        ([0.1, 0.3, 0.2], True, (3, 1, 2)),
        ([0.1, 0.3, 0.2], False, (1, 3, 2)),
        ([0.3, 0.3, 0.1], True, (1, 1, 3)),
        ([0.1, 0.3, 0.3], True, (3, 1, 1)),
        ([None, 0.3, None], True, (2, 1, 2)),
        ([0.1 + 0.2, 0.3], True, (1, 1)),
        ([-0.0, 0.0], True, (1, 1)),
        ([], True, ()),
    ],
)
def test_ranks_share_ties_whatever_the_order(
    values: list[float | None], higher_is_better: bool, expected: tuple[int, ...]
) -> None:
    assert competition_ranks(values, higher_is_better=higher_is_better) == expected
    turned = competition_ranks(values[::-1], higher_is_better=higher_is_better)
    assert turned == expected[::-1]
