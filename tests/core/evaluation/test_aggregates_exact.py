"""Means over folds, resamples, ranks and corrected p values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation.aggregates import aggregate, competition_ranks
from dygenept.evaluation.bootstrap import resample_counts
from dygenept.evaluation.comparison import holm


def test_resamples_depend_on_size_and_seed_alone() -> None:
    drawn = np.random.default_rng(4).integers(3, size=(50, 3))
    counts = resample_counts(3, 50, 4)
    expected = [[(row == place).sum() for place in range(3)] for row in drawn]
    np.testing.assert_array_equal(counts, expected)
    assert (counts.sum(axis=1) == 3).all()


def test_an_aggregate_of_unequal_folds() -> None:
    found = aggregate([[1.0, None], [2.0, 3.0, 4.0], [None]], neutral=None)
    assert found.mean == pytest.approx((1 + 3) / 2)
    assert found.std == pytest.approx(2**0.5)
    assert found.stderr == pytest.approx(1.0)
    assert found.pooled == pytest.approx(2.5)
    assert (found.n_folds, found.n_perturbations, found.n_undefined) == (3, 6, 2)
    nothing = aggregate([[None]], neutral=None)
    assert (nothing.mean, nothing.std, nothing.stderr, nothing.pooled) == (None,) * 4
    assert (nothing.ci_low, nothing.ci_high) == (None, None)


def test_ranks_ignore_what_rounding_leaves_and_put_missing_values_last() -> None:
    values = [0.3, None, 0.1 + 0.2, 0.3000000001, -5.0]
    assert competition_ranks(values, higher_is_better=True) == (2, 5, 2, 1, 4)
    assert competition_ranks(values, higher_is_better=False) == (2, 5, 2, 4, 1)


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()
    assert holm([0.2]) == (0.2,)


def test_an_interval_reaches_to_the_mean_at_least() -> None:
    folds = [[1.0, 2.0], [3.0]]
    for given, expected in (
        ((1.5, 2.5), (1.5, 2.5)),
        ((2.0 + 1e-15, 2.5), (2.0, 2.5)),
        ((1.5, 2.0 - 1e-15), (1.5, 2.0)),
    ):
        found = aggregate(folds, neutral=None, interval=given)
        assert (found.ci_low, found.ci_high) == expected
    for half in ((None, 2.5), (1.5, None)):
        found = aggregate(folds, neutral=None, interval=half)
        assert (found.ci_low, found.ci_high) == half
    nothing = aggregate([[None]], neutral=None, interval=(1.0, 2.0))
    assert (nothing.pooled, nothing.ci_low, nothing.ci_high) == (None, 1.0, 2.0)


def test_values_are_ranked_to_twelve_digits() -> None:
    near = [1.0, 1.0 + 4e-11, 1.0 + 4e-12]
    assert competition_ranks(near, higher_is_better=True) == (2, 1, 2)
    assert competition_ranks([-value for value in near], higher_is_better=False) == (2, 1, 2)
    # A missing value comes after the worst, whichever way is better.
    for better in (True, False):
        assert competition_ranks([None, -1e9, 1e9], higher_is_better=better)[0] == 3


def test_an_undefined_value_may_count_as_a_number_other_than_zero() -> None:
    found = aggregate([[None, 3.0], [1.0]], neutral=-1.0)
    assert (found.mean, found.pooled, found.n_undefined) == (1.0, 1.0, 1)
    assert found.n_folds == 2
