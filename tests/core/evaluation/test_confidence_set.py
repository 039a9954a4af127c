"""The confidence set of the best: whom it holds, and that neither copies nor junk move it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import t as student

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.confidence_set import best_p_values
from dygenept.evaluation.mean_intervals import TIES, mean_intervals
from dygenept.evaluation.sign_flip import drawn_signs


def scores(n: int, *levels: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 1))
    return np.asarray(levels) + shared + 0.3 * rng.normal(size=(n, len(levels)))


def by_hand(values: np.ndarray, n_draws: int) -> list[float]:
    """Model by model and choice of signs by choice of signs."""
    n, n_models = values.shape
    if n <= 12:
        signs = np.asarray(list(itertools.product((1.0, -1.0), repeat=n)))
    else:
        signs = drawn_signs(n, n_draws, 5)

    def t_of(differences: np.ndarray) -> float:
        if not differences.any():
            return 0.0
        return float(differences.mean() / (differences.std(ddof=1) / np.sqrt(n)))

    found = []
    for model in range(n_models):
        leads = [values[:, other] - values[:, model] for other in range(n_models)]
        t_values = [t_of(lead) for lead in leads]
        rival = int(np.argmax(t_values))
        if t_values[rival] <= 0:
            found.append(1.0)
            continue
        made = mean_intervals(
            leads[rival][:, None], Clusters.independent(n), n_draws=n_draws, seed=5
        )
        observed = student.ppf(1 - made.p_values[0] / 2, n - 1)
        others = [lead for lead, t in zip(leads, t_values, strict=True) if t >= -3.0]
        largest = [max(t_of(row * lead) for lead in others) for row in signs]
        n_as_far = sum(value >= observed - TIES for value in largest)
        own = 0 if n <= 12 else 1
        found.append((own + n_as_far) / (own + len(signs)))
    return found


@pytest.mark.parametrize(("n", "n_draws"), [(5, 199), (7, 199), (13, 60)])
def test_p_is_the_share_of_signs_with_as_large_a_t(n: int, n_draws: int) -> None:
    for seed in range(3):
        values = scores(n, 0.3, 0.2, 0.1, -2.0, seed=seed)
        values = np.concatenate((values, values[:, :1]), axis=1)
        found = best_p_values(values, Clusters.independent(n), n_draws=n_draws, seed=5)
        assert found.tolist() == pytest.approx(by_hand(values, n_draws))


def test_a_model_that_is_far_off_leaves_small_differences_as_they_are() -> None:
    values = scores(9, 0.3, 0.1, seed=3)
    far = np.concatenate((values, np.full((9, 1), -1e9)), axis=1)
    expected = best_p_values(values, Clusters.independent(9))
    found = best_p_values(far, Clusters.independent(9))
    assert found[:2].tolist() == pytest.approx(expected.tolist())
    assert found[2] < 0.05


@pytest.mark.parametrize("n", [9, 33])
def test_equals_are_in_and_worse_ones_are_out(n: int) -> None:
    found = best_p_values(scores(n, 1.0, 1.0, 0.0, -1.0), Clusters.independent(n))
    assert (found >= 0.05).tolist() == [True, True, False, False]
    assert found.max() == 1.0


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_few_perturbations_leave_nobody_out(n: int) -> None:
    found = best_p_values(scores(n, 5.0, 0.0), Clusters.independent(n))
    assert (found >= 0.05).all()


def test_one_model_and_equal_models_are_in() -> None:
    clusters = Clusters.independent(20)
    assert best_p_values(scores(20, 0.5), clusters).tolist() == [1.0]
    same = np.repeat(scores(20, 0.5), 3, axis=1)
    assert best_p_values(same, clusters).tolist() == [1.0] * 3


def test_a_constant_lead_is_found() -> None:
    base = scores(20, 0.5)
    found = best_p_values(np.concatenate((base, base - 0.1), axis=1), Clusters.independent(20))
    assert found[0] == 1.0
    assert found[1] < 0.05


def test_junk_and_copies_do_not_shield_anybody() -> None:
    rng = np.random.default_rng(1)
    clusters = Clusters.independent(33)
    few = scores(33, 0.6, 0.4, 0.45, 0.6, seed=4)
    junk = few[:, :1] - 2.0 + rng.normal(size=(33, 19))
    copies = np.repeat(few[:, :1], 19, axis=1)
    alone = best_p_values(few, clusters)
    for others in (junk, copies):
        among = best_p_values(np.concatenate((few, others), axis=1), clusters)[:4]
        np.testing.assert_array_equal(alone < 0.05, among < 0.05)
    assert (alone < 0.05).any()


def test_a_lead_in_one_cell_type_of_two_is_not_a_lead() -> None:
    rng = np.random.default_rng(2)
    lead = np.tile([0.0, 1.0], 40) + 0.1 * rng.normal(size=80)
    both = np.stack([np.zeros(80), lead], axis=1)
    names = [f"p{row}" for row in range(40) for _ in "ab"]
    assert best_p_values(both, Clusters.independent(80))[0] < 0.05
    assert best_p_values(both, Clusters.of(names, list("ab") * 40))[0] > 0.05


def test_the_best_is_left_out_in_about_five_percent_of_boards_at_most() -> None:
    left_out = 0
    for seed in range(300):
        values = scores(12, *(0.0,) * 6, seed=seed)
        left_out += bool(best_p_values(values, Clusters.independent(12), n_draws=199)[0] < 0.05)
    assert left_out / 300 <= 0.07
