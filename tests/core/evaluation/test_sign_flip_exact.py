"""Drawn signs of the sign-flip test, and what they make of columns: kept, scaled, and alone."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation import sign_flip
from dygenept.evaluation.sign_flip import drawn_signs, sign_flip_p_values


@pytest.fixture
def nothing_kept() -> None:
    """Signs that an earlier test drew are not taken for this one's."""
    sign_flip._kept_signs.cache_clear()


@pytest.mark.usefixtures("nothing_kept")
def test_signs_are_drawn_from_the_seed_and_kept() -> None:
    signs = drawn_signs(30, 200, seed=3)
    expected = np.random.default_rng(3).integers(2, size=(200, 30), dtype=np.int8) * 2.0 - 1.0
    np.testing.assert_array_equal(signs, expected)
    assert not signs.flags.writeable
    assert drawn_signs(30, 200, seed=3) is signs
    # Too many to keep beside others, and still the same.
    many = drawn_signs(1200, 2000, seed=1)
    np.testing.assert_array_equal(many[:2], drawn_signs(1200, 2000, seed=1)[:2])
    assert many.shape == (2000, 1200)


@pytest.mark.usefixtures("nothing_kept")
@pytest.mark.parametrize("seed", [0, 7])
def test_a_p_value_beyond_twenty_is_the_share_of_the_seeds_draws(seed: int) -> None:
    values = np.random.default_rng(9).normal(0.2, 1.0, size=(24, 3))
    sums = np.abs(drawn_signs(24, 500, seed) @ values)
    expected = (1 + (sums >= np.abs(values.sum(axis=0))).sum(axis=0)) / 501
    found = sign_flip_p_values(values, n_draws=500, seed=seed)
    np.testing.assert_allclose(found, expected)


def test_the_seed_and_number_of_draws_that_count_where_none_are_named() -> None:
    values = np.random.default_rng(2).normal(0.3, 1.0, size=(25, 2))
    np.testing.assert_array_equal(
        sign_flip_p_values(values), sign_flip_p_values(values, n_draws=2000, seed=0)
    )


def test_twenty_one_differences_are_not_listed() -> None:
    ones = np.ones((21, 1))
    assert sign_flip_p_values(ones)[0] == pytest.approx(1 / 2001)
    assert sign_flip_p_values(ones[:20])[0] == 2.0**-19


def test_a_column_without_differences_beside_others() -> None:
    values = np.stack((np.zeros(30), np.ones(30)), axis=1)
    assert sign_flip_p_values(values).tolist() == [1.0, pytest.approx(1 / 2001)]
    assert sign_flip_p_values(np.zeros((0, 2))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("n_values", [9, 30])
def test_a_column_of_small_values_is_judged_as_the_same_column_of_large_ones(
    n_values: int,
) -> None:
    values = np.random.default_rng(1).normal(0.2, 1.0, size=(n_values, 1))
    both = np.concatenate((values, values * 1e-14), axis=1)
    first, second = sign_flip_p_values(both)
    assert first == second < 1.0
