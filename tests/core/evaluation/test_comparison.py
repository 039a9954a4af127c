"""Paired comparison of two models, and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import holm, paired_intervals
from dygenept.evaluation.mean_intervals import MeanIntervals, mean_intervals


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # Holm 1979's procedure by hand: 3·0.01, 2·0.03, and the last no smaller than before.
        ((0.03, 0.01, 0.04), (0.06, 0.03, 0.06)),
        ((0.01, 0.02, 0.03, 0.04), (0.04, 0.06, 0.06, 0.06)),
        ((0.5, 0.6), (1.0, 1.0)),
        ((0.02, 0.02), (0.04, 0.04)),
        ((0.2,), (0.2,)),
        ((), ()),
    ],
)
def test_hand_worked_holm_corrections(
    p_values: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    assert holm(p_values) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for raw, found in zip(p_values, corrected, strict=True):
        assert raw - 1e-12 <= found <= min(1.0, len(p_values) * raw) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.asarray(corrected)[order]) >= 0).all()


def paired(first: np.ndarray, second: np.ndarray, n_models: int = 2) -> MeanIntervals:
    clusters = Clusters.independent(len(first))
    return paired_intervals(first[:, None], second, clusters, n_models=n_models)


def test_models_that_move_together_are_told_apart_by_pairing_alone() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.normal(0.0, 1.0, 60)
    first = hardness + 0.1 + rng.normal(0, 0.05, 60)
    second = hardness + rng.normal(0, 0.05, 60)
    found = paired(first, second)
    assert found.means[0] == pytest.approx(float((first - second).mean()))
    assert found.low[0] > 0
    assert found.p_values[0] < 0.01
    # Their own intervals overlap almost wholly.
    own = mean_intervals(np.stack([first, second], axis=1), Clusters.independent(60))
    assert own.low[0] < own.high[1]


def test_turning_the_pair_around_turns_the_signs() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 25))
    one, other = paired(first, second), paired(second, first)
    assert one.means[0] == pytest.approx(-other.means[0])
    assert (one.low[0], one.high[0]) == pytest.approx((-other.high[0], -other.low[0]))
    assert one.p_values[0] == pytest.approx(other.p_values[0])


def test_equal_models_have_p_of_one_whatever_rounding_leaves() -> None:
    values = np.random.default_rng(0).normal(size=10)
    for same in (paired(values, values), paired(values, values * (1 + 1e-15))):
        found = (same.means[0], same.low[0], same.high[0], same.p_values[0])
        assert found == (0.0, 0.0, 0.0, 1.0)


def test_p_is_never_below_what_the_number_of_perturbations_allows() -> None:
    for n in (3, 5, 6, 8):
        first = np.arange(1.0, n + 1.0)
        found = paired(first, np.zeros(n)).p_values[0]
        assert found >= 2.0 ** (1 - n)
        assert (found < 0.05) == (n >= 6)


def test_p_is_never_zero_and_more_models_take_more_draws() -> None:
    first, second = np.full(30, 0.5), np.zeros(30)
    assert paired(first, second).p_values[0] == pytest.approx(2 / 2001)
    # With 100 models, Holm's factor of 100 must leave room for 0.05.
    many = paired(first, second, n_models=100).p_values[0]
    assert many == pytest.approx(2 / 8001)
    assert 100 * many < 0.05


@pytest.mark.parametrize("n", [6, 9, 33])
def test_a_skewed_difference_of_zero_is_seldom_taken_for_an_advance(n: int) -> None:
    rng = np.random.default_rng(0)
    losses = 1.0 - rng.exponential(size=(n, 1500))
    found = paired_intervals(losses, np.zeros(n), Clusters.independent(n))
    assert np.mean((found.means > 0) & (found.p_values < 0.05)) <= 0.07
