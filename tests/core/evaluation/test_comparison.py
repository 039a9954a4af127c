"""Paired bootstrap between two models, and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dygenept.evaluation.bootstrap import bootstrap_interval
from dygenept.evaluation.comparison import holm, paired_difference


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


def test_models_that_move_together_are_told_apart_by_pairing_alone() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.normal(0.0, 1.0, 60)
    first = hardness + 0.1 + rng.normal(0, 0.05, 60)
    second = hardness + rng.normal(0, 0.05, 60)
    paired = paired_difference(first, second)
    assert paired.difference == pytest.approx(float((first - second).mean()))
    assert paired.ci_low > 0
    assert paired.p_value < 0.01
    # Their own intervals overlap almost wholly.
    assert bootstrap_interval(first)[0] < bootstrap_interval(second)[1]


def test_the_interval_is_that_of_a_plain_paired_bootstrap() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 40))
    found = paired_difference(first, second)
    draws = rng.integers(0, 40, (20_000, 40))
    means = first[draws].mean(axis=1) - second[draws].mean(axis=1)
    assert (found.ci_low, found.ci_high) == pytest.approx(
        tuple(np.quantile(means, [0.025, 0.975])), abs=0.03
    )
    tail = 2 * min((means <= 0).mean(), (means >= 0).mean())
    assert found.p_value == pytest.approx(tail, abs=0.03)


def test_turning_the_pair_around_turns_the_signs() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 25))
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.ci_low, one.ci_high) == pytest.approx((-other.ci_high, -other.ci_low))
    assert one.p_value == pytest.approx(other.p_value)


def test_equal_models_have_p_of_one() -> None:
    values = np.random.default_rng(0).normal(size=10)
    same = paired_difference(values, values)
    assert (same.difference, same.ci_low, same.ci_high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_p_is_never_zero_and_more_models_take_more_draws() -> None:
    first, second = np.arange(1.0, 9.0), np.zeros(8)
    assert paired_difference(first, second).p_value == pytest.approx(2 / 2001)
    # With 100 models, Holm's factor of 100 must leave room for 0.05.
    many = paired_difference(first, second, n_models=100).p_value
    assert many == pytest.approx(2 / 8001)
    assert 100 * many < 0.05


def test_under_no_difference_p_is_below_five_percent_about_that_often() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(300, 2, 40))
    share = np.mean([paired_difference(a, b).p_value < 0.05 for a, b in pairs])
    assert 0.02 < share < 0.09
