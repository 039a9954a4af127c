"""Intervals and p values of means against a plain rendering, one column and level at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dygenept.evaluation import comparison, mean_intervals
from dygenept.evaluation.bootstrap import resample_counts
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import gap_closed, paired_intervals
from dygenept.evaluation.confidence_set import best_p_values
from dygenept.evaluation.mean_intervals import TOO_FEW, MeanIntervals
from dygenept.evaluation.mean_intervals import mean_intervals as intervals_of
from dygenept.evaluation.sign_flip import sign_flip_p_values


def by_hand(
    values: np.ndarray, clusters: Clusters, n_draws: int, seed: int
) -> tuple[float, float, float]:
    """Low and high end and p value of one column."""
    mean = float(values.mean())
    units = clusters.by_perturbation(values[:, None])[:, 0]
    n = len(units)
    error = units.std(ddof=1) / n**0.5
    apart = clusters.cell_type_spread(values[:, None])
    of_types, whole = float(apart.beyond_chance[0]), float(apart.whole[0])
    t_values: list[float] = []
    if n >= 5:
        for counts in resample_counts(n, n_draws, seed):
            drawn = np.repeat(units, counts.astype(int))
            spread = max(drawn.var(), 1e-12 * units.var(ddof=1))
            t_values.append((drawn.mean() - units.mean()) / (spread / (n - 1)) ** 0.5)
    t_values.sort()
    n_types = clusters.n_cell_types

    def ends(number: int) -> tuple[float, float]:
        left_out = number / (n_draws + 1)
        student = stats.t.ppf(1 - left_out, n - 1)
        reach = [student, student]
        if t_values:
            # The number-th largest and the number-th smallest.
            least = student if n_types == 1 else 0.85 * student
            reach = [
                min(max(t_values[-number], least), 2 * student),
                min(max(-t_values[number - 1], least), 2 * student),
            ]
        t_types = stats.t.ppf(1 - left_out, n_types - 1) if n_types > 1 else 0.0
        below, above = (
            max(float(np.hypot(side * error, t_types * of_types)), t_types * whole)
            for side in reach
        )
        return mean - below, mean + above

    p_value = 1.0
    for number in range(n_draws // 2, 0, -1):
        low, high = ends(number)
        if low <= 0 <= high:
            break
        p_value = 2 * number / (n_draws + 1)
    low, high = ends(int(0.025 * (n_draws + 1)))
    return low, high, p_value


CLUSTERS = {
    "three": Clusters.independent(3),
    "four": Clusters.independent(4),
    "five": Clusters.independent(5),
    "nine": Clusters.independent(9),
    "two types": Clusters.of([f"p{row // 2}" for row in range(16)], ["x", "y"] * 8),
    "uneven": Clusters.of(list("aabbcdeffg"), list("xyxyxxyxyz")),
    "others in each type": Clusters.of(list("abcdefghij"), list("xy") * 5),
}


@pytest.mark.parametrize("name", CLUSTERS)
@pytest.mark.parametrize("seed", [0, 3])
def test_ends_and_p_values_are_those_of_a_plain_rendering(name: str, seed: int) -> None:
    clusters = CLUSTERS[name]
    rng = np.random.default_rng(len(name))
    shape = len(clusters.perturbations)
    columns = [
        rng.exponential(size=shape),
        -(rng.exponential(size=shape) ** 3),
        rng.normal(0.6, 1.0, shape),
        rng.normal(-3.0, 1.0, shape),
        rng.normal(0.0, 1.0, shape) + (clusters.cell_types == 0),
    ]
    found = intervals_of(np.stack(columns, axis=1), clusters, n_draws=199, seed=seed)
    for number, column in enumerate(columns):
        low, high, p_value = by_hand(column, clusters, 199, seed)
        assert found.low[number] == pytest.approx(low)
        assert found.high[number] == pytest.approx(high)
        assert found.p_values[number] == pytest.approx(p_value)
    assert found.reason is None


def test_two_thousand_draws_of_seed_zero_where_none_are_named() -> None:
    values = np.random.default_rng(1).exponential(size=(9, 2))
    clusters = Clusters.independent(9)
    named = intervals_of(values, clusters, n_draws=2000, seed=0)
    assert_same(intervals_of(values, clusters), named)
    other = intervals_of(values, clusters, n_draws=1999, seed=0)
    assert (other.high != named.high).any()


def assert_same(one: MeanIntervals, other: MeanIntervals) -> None:
    for name in ("means", "low", "high", "p_values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("scale", [2.0**-700, 2.0**-30, 2.0**40])
def test_the_unit_of_the_values_changes_nothing_else(scale: float) -> None:
    values = np.random.default_rng(2).exponential(size=(9, 2)) - 0.3
    for clusters in (Clusters.independent(9), Clusters.of(list("abcdefghi"), list("xyz") * 3)):
        plain, scaled = (intervals_of(of, clusters) for of in (values, values * scale))
        np.testing.assert_allclose(scaled.low, plain.low * scale, rtol=1e-12)
        np.testing.assert_allclose(scaled.high, plain.high * scale, rtol=1e-12)
        np.testing.assert_array_equal(scaled.p_values, plain.p_values)


def test_each_column_has_a_unit_of_its_own() -> None:
    values = np.random.default_rng(3).exponential(size=(9, 2)) - 0.3
    for clusters in (Clusters.independent(9), Clusters.of(list("abcdefghi"), list("xyz") * 3)):
        both = intervals_of(np.concatenate((values, values * 2.0**-700), axis=1), clusters)
        np.testing.assert_allclose(both.low[2:], both.low[:2] * 2.0**-700, rtol=1e-12)
        np.testing.assert_allclose(both.high[2:], both.high[:2] * 2.0**-700, rtol=1e-12)
        np.testing.assert_array_equal(both.p_values[2:], both.p_values[:2])


def test_a_reach_of_more_than_twice_students_is_cut_there() -> None:
    # One value far off: resamples without it have hardly a spread.
    values = np.append(np.linspace(0.0, 0.01, 9), 5.0)[:, None]
    found = intervals_of(values, Clusters.independent(10), n_draws=1999)
    reach = stats.t.ppf(0.975, 9) * stats.sem(values[:, 0])
    assert found.high[0] - found.means[0] == pytest.approx(2 * reach)
    assert found.means[0] - found.low[0] == pytest.approx(reach)


def test_rounding_of_equal_values_has_no_spread() -> None:
    values = np.full((6, 1), 0.1) * (1 + 1e-15 * np.arange(6)[:, None])
    found = intervals_of(values, Clusters.independent(6), n_draws=199)
    assert found.low[0] == found.high[0] == found.means[0]
    assert found.p_values[0] == pytest.approx(2 / 200)
    # A spread of a billionth of the values is one.
    values = np.full((6, 1), 0.1) * (1 + 1e-9 * np.arange(6)[:, None])
    found = intervals_of(values, Clusters.independent(6), n_draws=199)
    assert found.low[0] < found.means[0] < found.high[0]


def test_an_end_that_touches_zero_but_for_rounding_contains_it() -> None:
    units = np.array([-1.0, 0.0, 1.0])
    reach = stats.t.ppf(0.975, 2) * stats.sem(units)
    for factor, touches in ((1.0, True), (1 + 1e-10, True), (1 + 1e-8, False)):
        values = (units + reach * factor)[:, None]
        p_value = intervals_of(values, Clusters.independent(3), n_draws=1999).p_values[0]
        assert p_value == pytest.approx(2 * (51 if touches else 50) / 2000)
        turned = intervals_of(-values, Clusters.independent(3), n_draws=1999).p_values[0]
        assert turned == p_value


def test_levels_go_from_the_widest_interval_to_the_middle() -> None:
    assert mean_intervals._levels(4).tolist() == [0.2, 0.4]
    assert mean_intervals._levels(5).tolist() == pytest.approx([1 / 6, 2 / 6])
    quantiles = mean_intervals._student(3, 4)
    assert quantiles.shape == (2, 1)
    np.testing.assert_allclose(quantiles[:, 0], stats.t.ppf([0.8, 0.6], 3))
    assert not quantiles.flags.writeable


# ---------------------------------------------------------------------------------------- clusters


def exact_errors(values: list[float], names: str, types: str) -> tuple[float, float]:
    """The standard errors of ``CellTypeSpread``, in fractions."""
    of = [Fraction(value) for value in values]
    n, n_types = len(of), len(set(types))
    mean = sum(of, Fraction()) / n
    rest = []
    for value, name in zip(of, names, strict=True):
        own = [other for other, its in zip(of, names, strict=True) if its == name]
        rest.append(value - (sum(own, Fraction()) / len(own) if len(own) > 1 else mean))
    excess, whole = Fraction(), Fraction()
    for kind in sorted(set(types)):
        own = [item for item, its in zip(rest, types, strict=True) if its == kind]
        centre = sum(own, Fraction()) / len(own)
        within = sum(((item - centre) ** 2 for item in own), Fraction())
        excess += sum(own, Fraction()) ** 2 - within * len(own) / max(len(own) - 1, 1)
        whole += sum(own, Fraction()) ** 2
    excess_error, whole_error = (
        float(max(of, Fraction()) * n_types / (n_types - 1)) ** 0.5 / n for of in (excess, whole)
    )
    return excess_error, whole_error


@pytest.mark.parametrize(
    ("values", "names", "types"),
    [
        ([1, 5, 2, 9, 4, 4, 7], "aabbcde", "xyxyxyz"),
        ([1, 5, 2, 9, 4, 4, 7], "abcdefg", "xxyyyyz"),
        ([3, 1, 2], "abc", "xyz"),
        ([5, 5, 6, 7, 8, 0], "aaabbb", "xyzxyz"),
    ],
)
def test_errors_of_cell_types_are_those_of_exact_arithmetic(
    values: list[float], names: str, types: str
) -> None:
    clusters = Clusters.of(list(names), list(types))
    table = np.array([values, values[::-1]], dtype=np.float64).T
    expected = [exact_errors(values, names, types), exact_errors(values[::-1], names, types)]
    found = clusters.cell_type_spread(table)
    assert np.stack((found.beyond_chance, found.whole), axis=1) == pytest.approx(
        np.array(expected), abs=1e-12
    )
    np.testing.assert_array_equal(clusters.cell_type_errors(table), found.beyond_chance)


def test_codes_are_small_whole_numbers_in_the_order_of_names() -> None:
    clusters = Clusters.of(["b", "a", "b"], ["y", "z", "x"])
    assert clusters.perturbations.tolist() == [1, 0, 1]
    assert clusters.cell_types.tolist() == [1, 2, 0]
    alone = Clusters.independent(3)
    assert alone.perturbations.tolist() == [0, 1, 2]
    assert alone.cell_types.tolist() == [0, 0, 0]
    for codes in (
        clusters.perturbations,
        clusters.cell_types,
        alone.perturbations,
        alone.cell_types,
    ):
        assert codes.dtype == np.int32
    nothing = Clusters.of([], [])
    assert (nothing.n_perturbations, nothing.n_cell_types) == (0, 0)


def test_each_column_is_summed_by_itself() -> None:
    clusters = Clusters.of(list("abab"), list("xxyy"))
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 50.0], [6.0, 0.0]])
    np.testing.assert_allclose(clusters.by_perturbation(values), [[2.0, 30.0], [4.0, 10.0]])


# -------------------------------------------------------------------------------------- comparison


def test_a_comparison_takes_the_larger_p_and_draws_enough_for_all_models() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.4, 1.0, (11, 3)), rng.normal(size=11)
    clusters = Clusters.independent(11)
    for n_models, n_draws in ((2, 2000), (25, 2000), (26, 2080), (100, 8000)):
        found = paired_intervals(first, second, clusters, n_models=n_models, seed=2)
        differences = first - second[:, None]
        own = intervals_of(differences, clusters, n_draws=n_draws, seed=2)
        flipped = sign_flip_p_values(differences, n_draws=n_draws, seed=2)
        np.testing.assert_array_equal(found.low, own.low)
        np.testing.assert_array_equal(found.high, own.high)
        np.testing.assert_array_equal(found.p_values, np.maximum(own.p_values, flipped))
    assert_same(
        paired_intervals(first, second, clusters),
        paired_intervals(first, second, clusters, n_models=2, seed=0),
    )


def test_signs_are_flipped_by_perturbation_and_drawn_by_the_seed() -> None:
    rng = np.random.default_rng(5)
    names = [f"p{row:02d}" for row in range(24) for _ in "xy"]
    clusters = Clusters.of(names, ["x", "y"] * 24)
    first = rng.normal(0.15, 1.0, (48, 6))
    found = paired_intervals(first, np.zeros(48), clusters, seed=3)
    units = first.reshape(24, 2, 6).mean(axis=1)
    flipped = sign_flip_p_values(units, n_draws=2000, seed=3)
    own = intervals_of(first, clusters, n_draws=2000, seed=3)
    np.testing.assert_allclose(found.p_values, np.maximum(own.p_values, flipped))


@pytest.mark.parametrize(("share", "counts"), [(0.5e-12, False), (4e-12, True)])
def test_a_difference_below_rounding_of_either_side_is_none(share: float, counts: bool) -> None:
    large = np.full(6, 1e6)
    found = paired_intervals((large * (1 + share))[:, None], large, Clusters.independent(6))
    assert bool(found.means[0] != 0.0) is counts
    found = paired_intervals(large[:, None], large * (1 + share), Clusters.independent(6))
    assert bool(found.means[0] != 0.0) is counts


def test_shares_of_a_gap_have_the_interval_of_the_linearised_ratio() -> None:
    rng = np.random.default_rng(6)
    reference, ceiling = rng.normal(0.2, 0.1, 12), rng.normal(0.9, 0.1, 12)
    scores = rng.normal(0.5, 0.2, (12, 3))
    clusters = Clusters.independent(12)
    found = gap_closed(scores, reference, ceiling, clusters)
    gap, leads = ceiling - reference, scores - reference[:, None]
    shares = leads.mean(axis=0) / gap.mean()
    np.testing.assert_allclose(found.shares, shares)
    for model in range(3):
        ratio = shares[model] + (leads[:, model] - shares[model] * gap) / gap.mean()
        expected = intervals_of(ratio[:, None], clusters)
        assert found.low[model] == pytest.approx(expected.low[0])
        assert found.high[model] == pytest.approx(expected.high[0])
    assert found.reason is None


def test_a_gap_of_p_above_a_twentieth_is_none_and_every_model_has_nan() -> None:
    # The p value of these differences is 2 k / 2001; between them lies a twentieth.
    noise = np.random.default_rng(7).normal(size=8)
    noise -= noise.mean()
    shifts = np.linspace(0.2, 2.0, 200)
    clusters = Clusters.independent(8)
    for shift in shifts:
        p_value = intervals_of((noise + shift)[:, None], clusters).p_values[0]
        found = gap_closed(np.zeros((8, 2)), np.zeros(8), noise + shift, clusters)
        assert found.shares.shape == found.low.shape == found.high.shape == (2,)
        assert np.isnan(found.shares).all() == (p_value >= 0.05)
        assert (found.reason == comparison.NOT_ABOVE) == (p_value >= 0.05)
    below = gap_closed(np.zeros((8, 2)), np.zeros(8), noise - 9.0, clusters)
    assert below.reason == comparison.NOT_ABOVE


# ---------------------------------------------------------------------------------- confidence set


def test_the_confidence_set_draws_two_thousand_of_seed_zero_where_none_are_named() -> None:
    rng = np.random.default_rng(8)
    scores = rng.normal(size=(15, 4)) + np.array([0.5, 0.3, 0.0, -0.2])
    clusters = Clusters.independent(15)
    named = best_p_values(scores, clusters, n_draws=2000, seed=0)
    np.testing.assert_array_equal(best_p_values(scores, clusters), named)
    assert (best_p_values(scores, clusters, seed=1) != named).any()
    assert (best_p_values(scores, clusters, n_draws=1000) != named).any()
    assert ((0 < named) & (named < 1)).any()


def test_three_perturbations_are_enough_for_a_test_and_two_are_not() -> None:
    scores = np.array([[5.0, 0.0], [6.0, 0.1], [5.5, 0.0]])
    assert best_p_values(scores[:2], Clusters.independent(2)).tolist() == [1.0, 1.0]
    # Of eight choices of signs only the data's own has as large a t.
    assert best_p_values(scores, Clusters.independent(3)).tolist() == [1.0, 0.125]
    # One perturbation in three cell types is one.
    assert best_p_values(scores, Clusters.of(["a"] * 3, list("xyz"))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("n", "least"), [(12, 2.0**-12), (13, 1 / 200)])
def test_up_to_twelve_perturbations_all_choices_of_signs_are_listed(n: int, least: float) -> None:
    rng = np.random.default_rng(9)
    worse = 0.01 * rng.normal(size=n)
    scores = np.stack([np.full(n, 5.0), worse], axis=1)
    found = best_p_values(scores, Clusters.independent(n), n_draws=199)
    assert found[0] == 1.0
    # The interval's p is never below 2 / 200, whose t the data's own choice exceeds.
    assert least <= found[1] < 0.02
    assert TOO_FEW.endswith("3 perturbations")
