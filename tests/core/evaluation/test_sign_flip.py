"""The sign-flip test: exact against a list of all signs, zeros, ties, and what n allows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dygenept.evaluation.sign_flip import sign_flip_p_values


def by_hand(values: np.ndarray) -> float:
    signs = np.asarray(list(itertools.product((1, -1), repeat=len(values))))
    sums = np.abs(signs @ values)
    return float(np.mean(sums >= abs(values.sum()) - 1e-9))


@pytest.mark.parametrize("n_values", [1, 2, 5, 6, 9, 12])
def test_it_is_the_share_of_all_choices_of_signs(n_values: int) -> None:
    values = np.random.default_rng(n_values).normal(0.5, 1.0, size=(n_values, 8))
    found = sign_flip_p_values(values)
    assert found.tolist() == pytest.approx([by_hand(column) for column in values.T])


def test_ties_count_as_being_as_far() -> None:
    values = np.asarray([[1.0], [1.0], [1.0], [-1.0]])
    # Sums of 2 or more, either way: 1 + 4 of 16, twice.
    assert sign_flip_p_values(values)[0] == pytest.approx(10 / 16)
    # 0.1 + 0.2 - 0.3 is not 0 in floating point, but a tie of it.
    assert sign_flip_p_values(np.asarray([[0.1], [0.2], [-0.3]]))[0] == 1.0


def test_zeros_have_no_sign() -> None:
    values = np.asarray([[1.0], [2.0], [0.5]])
    padded = np.concatenate((values, np.zeros((6, 1)), np.full((1, 1), 1e-17)))
    assert sign_flip_p_values(values)[0] == sign_flip_p_values(padded)[0] == 0.25
    assert sign_flip_p_values(np.zeros((4, 1)))[0] == 1.0


@pytest.mark.parametrize("n_values", [1, 3, 5, 6, 20])
def test_the_smallest_p_is_that_of_differences_all_on_one_side(n_values: int) -> None:
    assert sign_flip_p_values(np.ones((n_values, 1)))[0] == 2.0 ** (1 - n_values)


def test_no_claim_is_possible_below_six() -> None:
    five, six = (sign_flip_p_values(np.ones((n, 1)))[0] for n in (5, 6))
    assert five > 0.05 > six


def test_beyond_twenty_signs_are_drawn_and_the_data_count_as_one_draw() -> None:
    rng = np.random.default_rng(0)
    assert sign_flip_p_values(np.ones((40, 1)))[0] == pytest.approx(1 / 2001)
    null = sign_flip_p_values(rng.normal(size=(40, 2000)))
    assert np.mean(null < 0.05) == pytest.approx(0.05, abs=0.015)
    values = rng.normal(0.3, 1.0, size=(20, 5))
    exact = sign_flip_p_values(values)
    drawn = sign_flip_p_values(np.concatenate((values, np.zeros((5, 5)))), n_draws=20_000)
    assert drawn == pytest.approx(exact, abs=0.015)
