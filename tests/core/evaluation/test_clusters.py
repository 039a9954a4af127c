"""Perturbations in several cell types: one value per perturbation, and what cell types add."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation.clusters import Clusters

CROSSED = Clusters.of(["a", "a", "b", "b", "c", "c"], ["x", "y"] * 3)


def test_names_are_counted() -> None:
    assert (CROSSED.n_perturbations, CROSSED.n_cell_types) == (3, 2)
    assert CROSSED.perturbations.tolist() == [0, 0, 1, 1, 2, 2]
    alone = Clusters.independent(4)
    assert (alone.n_perturbations, alone.n_cell_types) == (4, 1)


def test_a_perturbation_counts_as_the_mean_of_its_cell_types() -> None:
    values = np.asarray([[1.0], [3.0], [4.0], [6.0], [0.0], [10.0]])
    np.testing.assert_allclose(CROSSED.by_perturbation(values)[:, 0], [2.0, 5.0, 5.0])


def test_perturbations_with_more_values_weigh_more_and_the_mean_stays() -> None:
    clusters = Clusters.of(["a", "a", "a", "b"], ["x", "y", "z", "x"])
    values = np.asarray([[1.0], [2.0], [3.0], [10.0]])
    # Mean 4: a adds (6 - 3 * 4) * 2 / 4 and b adds (10 - 4) * 2 / 4.
    np.testing.assert_allclose(clusters.by_perturbation(values)[:, 0], [1.0, 7.0])


def test_independent_values_pass_untouched() -> None:
    values = np.random.default_rng(0).normal(size=(5, 2))
    assert Clusters.independent(5).by_perturbation(values) is values


@pytest.mark.parametrize("is_crossed", [True, False])
def test_the_error_of_cell_types_is_what_was_planted(is_crossed: bool) -> None:
    rng = np.random.default_rng(1)
    shape = (40, 6, 400)
    names = [f"p{row}" if is_crossed else f"p{row}{kind}" for row in range(40) for kind in "abcdef"]
    clusters = Clusters.of(names, list("abcdef") * 40)
    planted = 0.5 * rng.normal(size=(1, *shape[1:]))
    noise = rng.normal(size=shape) + 2 * rng.normal(size=(40, 1, 400)) * is_crossed
    found = clusters.cell_type_errors((planted + noise).reshape(240, 400))
    assert np.mean(found**2) == pytest.approx(0.25 / 6, rel=0.15)
    # Cut off at 0, half of what chance gives on either side is left.
    chance = clusters.cell_type_errors(noise.reshape(240, 400))
    assert np.mean(chance**2) < 0.1 * 0.25 / 6


@pytest.mark.parametrize("is_crossed", [True, False])
def test_with_its_noise_the_spread_of_cell_types_is_that_of_their_means(is_crossed: bool) -> None:
    rng = np.random.default_rng(2)
    labels = [f"p{row}" if is_crossed else f"p{row}{kind}" for row in range(30) for kind in "abc"]
    clusters = Clusters.of(labels, list("abc") * 30)
    values = rng.normal(size=(90, 5))
    found = clusters.cell_type_spread(values)
    means = values.reshape(30, 3, 5).mean(axis=0)
    np.testing.assert_allclose(found.whole, means.std(axis=0, ddof=1) / 3**0.5)
    assert (found.beyond_chance < found.whole).all()
    # What a perturbation does in all cell types does not set them apart.
    own = 5.0 * rng.normal(size=(30, 5))
    both = clusters.cell_type_spread(values + np.repeat(own, 3, axis=0))
    np.testing.assert_allclose(both.whole, found.whole, rtol=1e-9)


def test_one_cell_type_adds_nothing() -> None:
    assert Clusters.independent(4).cell_type_errors(np.ones((4, 3))).tolist() == [0.0] * 3
    found = Clusters.independent(4).cell_type_spread(np.arange(8.0).reshape(4, 2))
    assert found.whole.tolist() == found.beyond_chance.tolist() == [0.0, 0.0]


def test_the_error_of_cell_types_worked_out_by_hand() -> None:
    # Their sums of what differs from the mean, 7.6, are -13.2 and 13.2; by chance their variances
    # would be 2 * 2 and 8 * 3 / 2.
    clusters = Clusters.of(list("abcde"), ["x", "x", "y", "y", "y"])
    values = np.asarray([[0.0], [2.0], [10.0], [14.0], [12.0]])
    expected = np.sqrt((2 * 13.2**2 - 4 - 12) * 2) / 5
    found = clusters.cell_type_spread(values)
    assert clusters.cell_type_errors(values)[0] == found.beyond_chance[0] == pytest.approx(expected)
    assert found.whole[0] == pytest.approx(np.sqrt(2 * 13.2**2 * 2) / 5)
