"""What perturbations have in common: how changes are weighed, and choices beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.model.start.beyond_chance import (
    are_gains,
    best_beyond_chance,
    best_for_strong_and_weak,
    best_on_path,
)
from dygenept.model.start.left_out import Targets
from dygenept.model.start.readout import LINEAR_EXPONENTS, ReadoutChoice, fit_readout
from dygenept.model.start.typical import EXPONENTS, Rows, TypicalChange, Weighing
from dygenept.types import DoubleArray

N_GENES = 60


def test_a_setting_must_help_strong_and_weak_perturbations() -> None:
    sizes = np.array([100.0, 100.0, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    jitter = 1e-3 * np.arange(1, 10)
    reference = sizes.copy()
    strong = reference - np.where(sizes > 1, 10.0, -0.2) - jitter
    both = reference * 0.97 - jitter
    errors = np.stack([strong, both, reference], axis=1)
    base = 0.3 + jitter
    cosines = np.stack([base + np.where(sizes > 1, 0.1, -0.1), base * 1.1, base], axis=1)
    assert best_beyond_chance(errors, reference=2, n_spreads=1.0) == 0

    def taken(errors: DoubleArray, cosines: DoubleArray, *settings: int) -> tuple[int, int]:
        of = list(settings)
        given = errors[:, of, None], cosines[:, of, None]
        return best_for_strong_and_weak(*given, level=0.05)

    assert taken(errors, cosines, 2, 0, 1) == (2, 0)
    # Nothing helps both: the reference stays.
    assert taken(errors, cosines, 2, 0) == (0, 0)
    # Of several that do, the one of the smallest squared error.
    better = np.stack([both, reference * 0.96 - jitter, reference], axis=1)
    of_better = np.stack([base * 1.2, base * 1.1, base], axis=1)
    assert taken(better, of_better, 2, 0, 1) == (2, 0)
    # A gain of rounding is none.
    near = np.stack([reference * (1 - 1e-12), reference], axis=1)
    assert taken(near, of_better, 1, 0) == (0, 0)
    # The reference has its own best penalty, and so has what is taken.
    of_two = np.stack([1 + jitter, 0.8 - jitter], axis=1)[:, :, None] + np.array([0.5, 0.0, 0.7])
    angles = np.stack([base, base * 1.1], axis=1)[:, :, None] - np.array([0.1, 0.0, 0.2])
    assert best_for_strong_and_weak(of_two, angles, level=0.05) == (1, 1)
    assert best_for_strong_and_weak(of_two[:, :1], angles[:, :1], level=0.05) == (0, 1)


@pytest.mark.parametrize("n", [8, 40])
@pytest.mark.parametrize("alike", [0.0, 0.9])
def test_where_nothing_gains_a_dozen_settings_are_left_alone_in_19_of_20_choices(
    n: int, alike: float
) -> None:
    rng = np.random.default_rng(n)
    taken, n_choices = 0, 200
    for _ in range(n_choices):
        shared = rng.standard_normal((n, 1))
        gains = alike * shared + (1 - alike**2) ** 0.5 * rng.standard_normal((n, 12))
        taken += bool(are_gains(gains, level=0.05).any())
    # Within three standard errors of 5 %.
    assert abs(taken - 0.05 * n_choices) < 3 * (n_choices * 0.05 * 0.95) ** 0.5


def test_gains_are_those_that_no_choice_of_signs_explains() -> None:
    gains = np.array([[1.0, 0.0, -1.0, 3.0]] * 8) + 0.1 * np.arange(8)[:, None]
    gains[:, 1] = 0.0
    assert are_gains(gains, level=0.05).tolist() == [True, False, False, True]
    # All of four gains are one choice of signs in sixteen, and one of eight in 256.
    assert not are_gains(gains[:4], level=0.05).any()
    assert not are_gains(gains, level=0.003).any()
    assert not are_gains(gains[:1], level=0.5).any()
    # Exactly the same gain of all has no spread.
    assert are_gains(np.ones((8, 1)), level=0.05).tolist() == [True]


def test_a_step_on_the_way_that_gains_beyond_chance_is_enough_to_go_as_far_as_errors_say() -> None:
    chance = np.array([3.0, -3.0] * 8)
    half, whole = 1.0 + 0.1 * chance, 1.5 + 2.0 * chance
    start = np.full(16, 10.0)
    errors = np.stack([start, start - half, start - whole], axis=1)
    # The end gains more, with more chance in it.
    assert best_beyond_chance(errors, reference=0) == 0
    assert best_on_path(errors) == 2
    # It is not taken where its error is larger, and nothing is left where no step gains.
    assert best_on_path(errors + np.array([0.0, 0.0, 0.7])) == 1
    assert best_on_path(errors[:, [0, 2]]) == 0
    assert best_on_path(errors[:, [0]]) == 0
    assert best_on_path(errors[:1]) == 0


def test_one_perturbation_alone_never_decides() -> None:
    for gain in (1.0, 1e6):
        start = np.zeros((30, 3))
        start[7, 1:] = [-gain, -2 * gain]
        assert best_on_path(start) == 0
        assert best_on_path(start, n_spreads=0.99) == 2


def mostly_null(n: int, rng: np.random.Generator) -> DoubleArray:
    """Changes of which 65 of 100 are next to nothing but noise; the others go one way."""
    common, noise = np.ones(N_GENES), rng.standard_normal((n, N_GENES))
    # As many as that, so that chance decides nothing but which they are.
    is_null = rng.permutation(n) < 0.65 * n
    sizes = np.where(is_null, 0.05, 1.0) * np.exp(0.5 * rng.standard_normal(n))
    return sizes[:, None] * (common + rng.standard_normal((n, N_GENES))) + noise


def of_own_ways(n: int, rng: np.random.Generator) -> DoubleArray:
    """Weak changes that go one way, and strong ones that go each its own."""
    sizes = np.exp(rng.standard_normal(n))
    return 0.5 + sizes[:, None] * rng.standard_normal((n, N_GENES))


def chosen(changes: DoubleArray, rows: Rows | None = None) -> float:
    return Weighing.chosen(changes, rows or Rows.single(len(changes)), EXPONENTS).exponent


@pytest.mark.parametrize("seed", range(5))
def test_the_plain_mean_is_the_typical_change_where_most_perturbations_do_nothing(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    changes, others = mostly_null(200, rng), mostly_null(2000, rng)
    weighing = Weighing.chosen(changes, Rows.single(200), EXPONENTS)
    assert weighing.exponent == 0
    np.testing.assert_array_equal(weighing.divisors, np.ones(200))
    # It predicts others better: by squared error, and by the direction that is predicted of them.
    inverse = changes.T @ (1 / np.linalg.norm(changes, axis=1))
    inverse /= (1 / np.linalg.norm(changes, axis=1)).sum()
    plain = changes.mean(axis=0)
    errors = [np.square(others - typical).mean() for typical in (inverse, plain)]
    assert errors[1] < errors[0]
    ways = [typical.sum() / np.linalg.norm(typical) for typical in (inverse, plain)]
    assert ways[1] > ways[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [24, 200])
def test_inverse_norms_stay_where_strong_changes_go_their_own_ways(n: int, seed: int) -> None:
    changes = of_own_ways(n, np.random.default_rng(seed))
    weighing = Weighing.chosen(changes, Rows.single(n), EXPONENTS)
    assert weighing.exponent == 1
    np.testing.assert_array_equal(weighing.divisors, np.linalg.norm(changes, axis=1))


@pytest.mark.parametrize("seed", range(5))
def test_few_perturbations_do_not_speak_against_inverse_norms(seed: int) -> None:
    assert chosen(mostly_null(20, np.random.default_rng(seed))) == 1


def test_inverse_norms_stay_where_all_changes_are_as_strong() -> None:
    rng = np.random.default_rng(0)
    assert chosen(rng.standard_normal(8) + 0.3 * rng.standard_normal((60, 8))) == 1
    assert chosen(rng.standard_normal((1, 8))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_mean_between_the_two_is_chosen_where_it_predicts_best(seed: int) -> None:
    # The stronger a change, the further it goes the common way; the strongest go their own.
    rng = np.random.default_rng(seed)
    sizes = np.exp(0.7 * rng.standard_normal(400))
    is_own = sizes > np.quantile(sizes, 0.97)
    own = np.where(is_own, 3.0, 0.6) * sizes
    changes = own[:, None] * rng.standard_normal((400, N_GENES))
    changes += np.where(is_own, 0.0, 0.5 * sizes)[:, None]
    assert chosen(changes) == 0.5


def test_errors_of_a_weighing_are_those_of_refits_without_each_perturbation() -> None:
    changes = mostly_null(9, np.random.default_rng(0))
    rows = Rows(np.array([0, 1, 2, 3, 0, 1, 2, 3, 4]), np.array([0] * 4 + [1] * 5), 2)
    for exponent in EXPONENTS:
        weighing = Weighing.chosen(changes, rows, (exponent,))
        weights = np.linalg.norm(changes, axis=1) ** -exponent
        expected = []
        for number in range(5):
            is_out = rows.perturbations == number
            typical = weights[~is_out] @ changes[~is_out] / weights[~is_out].sum()
            expected.append(np.square(changes[is_out] - typical).sum(axis=1).mean())
        np.testing.assert_allclose(weighing.left_out_errors(changes, rows), expected)


def test_changes_are_weighed_by_their_norms_however_small_these_are() -> None:
    changes = mostly_null(9, np.random.default_rng(0))
    rows = Rows.single(9)
    for size in (1e-3, 1.0, 1e3):
        scaled = changes * size / np.linalg.norm(changes, axis=1).max()
        norms = np.linalg.norm(scaled, axis=1)
        assert norms.max() == pytest.approx(size)
        assert norms.min() < 0.9 * size
        typical = TypicalChange(scaled, np.ones(9), norms, rows).whole(np.inf)[0]
        expected = np.average(scaled, axis=0, weights=1 / norms)
        np.testing.assert_allclose(typical, expected)


def of_all_strengths(n: int, rng: np.random.Generator) -> DoubleArray:
    """Changes of many strengths, of which a third goes one way."""
    sizes = np.exp(0.6 * rng.standard_normal(n))
    return sizes[:, None] * (0.6 + rng.standard_normal((n, N_GENES)))


def typical_of(changes: DoubleArray, exponent: float) -> DoubleArray:
    rows = Rows.single(len(changes))
    weighing = Weighing.chosen(changes, rows, (exponent,))
    return TypicalChange(changes, np.ones(len(changes)), weighing.divisors, rows).whole(np.inf)[0]


@pytest.mark.parametrize("n", [4, 24, 200])
def test_a_change_of_zero_does_not_decide_what_is_typical(n: int) -> None:
    changes = of_all_strengths(n, np.random.default_rng(n))
    with_none = np.vstack([changes, np.zeros(N_GENES)])
    for exponent in (1.0, 0.5):
        # It has no direction; zero but for rounding is the same.
        expected = typical_of(changes, exponent)
        np.testing.assert_allclose(typical_of(with_none, exponent), expected)
        with_none[-1] = 1e-17
        np.testing.assert_allclose(typical_of(with_none, exponent), expected)
        with_none[-1] = 0.0
    # The plain mean counts it as any other.
    np.testing.assert_allclose(typical_of(with_none, 0.0), changes.sum(axis=0) / (n + 1))
    assert chosen(with_none) == chosen(changes)
    features = np.column_stack([np.eye(n + 1), np.ones(n + 1)])
    found = [fit_readout(features[: len(of)], of, np.eye(n + 2)[-1]) for of in (changes, with_none)]
    assert found[0].exponent == found[1].exponent
    if found[0].exponent == 1:
        np.testing.assert_allclose(found[0].typical, found[1].typical)


def test_a_change_of_next_to_nothing_counts_as_ten_others_at_most() -> None:
    changes = of_all_strengths(24, np.random.default_rng(0))
    sizes = np.linalg.norm(changes, axis=1)
    for size in (1e-6, 1e-3, 0.03, 0.0999, 0.1001, 0.3):
        added = np.vstack([changes, changes[0] / sizes[0] * size * np.median(sizes)])
        divisors = Weighing.chosen(added, Rows.single(25), (1.0,)).divisors
        np.testing.assert_array_equal(divisors[:-1], np.linalg.norm(added[:-1], axis=1))
        # Weights rise down to a tenth of the median, and fade from there on.
        median = np.median(np.append(sizes, size * np.median(sizes)))
        relative = size * np.median(sizes) / median
        expected = relative if relative >= 0.1 else 0.01 / relative
        assert divisors[-1] / median == pytest.approx(expected)
        assert divisors[-1] > 0.0999 * median


def test_changes_that_are_all_zero_have_a_typical_change_of_zero() -> None:
    for exponent in EXPONENTS:
        np.testing.assert_array_equal(typical_of(np.zeros((5, 8)), exponent), np.zeros(8))
    only = np.zeros((5, 8))
    only[2] = 3.0
    np.testing.assert_allclose(typical_of(only, 1.0), only[2])


def test_a_perturbation_is_left_out_of_both_its_cell_types_and_all_types_weigh_alike() -> None:
    changes = mostly_null(200, np.random.default_rng(0))
    twice = Rows(np.repeat(np.arange(200), 2), np.tile([0, 1], 200), 2)
    shifted = np.repeat(changes, 2, axis=0) + np.tile([0.0, 0.1], 200)[:, None]
    assert chosen(shifted, twice) == 0
    # Of a cell type by itself, it is the plain mean as well.
    codes = np.random.default_rng(1).standard_normal((400, 30))
    direction = np.eye(31)[-1]
    features = np.column_stack([codes, np.ones(400)])
    fit = ReadoutChoice.of(features, Targets.of(shifted, twice), direction).solved()
    assert fit.exponent == 0
    share = 0 if fit.prior == np.inf else 200 / (200 + fit.prior)
    own = np.stack([shifted[twice.cell_types == code].mean(axis=0) for code in (0, 1)])
    expected = share * own + (1 - share) * shifted.mean(axis=0)
    np.testing.assert_allclose(fit.typical, expected)


def test_linear_loo_chooses_between_the_two_ends_where_the_plain_mean_itself_gains() -> None:
    changes = mostly_null(200, np.random.default_rng(0))
    direction = np.eye(4)[-1]
    features = np.random.default_rng(1).standard_normal((200, 4))
    features[:, -1] = 1.0
    assert LINEAR_EXPONENTS == (1.0, 0.0)
    assert fit_readout(features, changes, direction).exponent == 1
    many = np.random.default_rng(2).standard_normal((60, 1)) * 0.3
    strong = np.linspace(0.05, 3.0, 60)[:, None] * np.ones(8) + many
    assert fit_readout(features[:60], strong, direction).exponent == 0


def test_a_cell_type_with_one_condition_has_a_say_in_its_own_typical_change() -> None:
    rng = np.random.default_rng(3)
    targets = rng.normal(size=(4, 5))
    rows = Rows(np.arange(4), np.array([0, 0, 0, 1]), 2)
    ones = np.ones(4)
    typical = TypicalChange(targets, ones, ones, rows)
    pooled = targets.mean(axis=0)
    np.testing.assert_allclose(typical.whole(1.0)[1], (targets[3] + pooled) / 2)
    np.testing.assert_allclose(typical.whole(0.0)[1], targets[3])
    # Without it the type has no condition, whatever the prior.
    np.testing.assert_allclose(typical.without(1, 0.0)[3], targets[:3].mean(axis=0))


def test_rows_of_a_perturbation_are_grouped_in_their_order() -> None:
    rng = np.random.default_rng(4)
    perturbations = rng.integers(0, 3, size=300)
    groups = Rows(perturbations, np.zeros(300, dtype=np.int64)).groups()
    found = [row for group in groups for row in group]
    assert sorted(len(row) for row in found) == sorted(np.bincount(perturbations))
    for row in found:
        np.testing.assert_array_equal(row, np.flatnonzero(perturbations == perturbations[row[0]]))
