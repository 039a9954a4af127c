"""A metric's values as an array: bounds, rows that models share, resamples, and echoes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import gap_closed, paired_intervals
from dygenept.evaluation.confidence_set import best_p_values
from dygenept.evaluation.mean_intervals import mean_intervals
from dygenept.evaluation.two_way import UNKNOWN, TwoWay
from dygenept.leaderboard.echoes import barred, echoes
from dygenept.leaderboard.metric_table import MetricTable, Unit
from dygenept.leaderboard.score_grid import FAR_OFF, ScoreGrid
from dygenept.types import DoubleArray

N = 12
LABELS = tuple(f"g{row:02d}" for row in range(N))
RNG = np.random.default_rng(0)
GOOD, FAIR, POOR = (level + 0.1 * RNG.normal(size=N) for level in (0.8, 0.5, 0.1))


def grid_of(sign: int = 1, **values: np.ndarray) -> ScoreGrid:
    return ScoreGrid(
        models=tuple(values),
        values=np.stack(list(values.values()), axis=1),
        perturbations=LABELS,
        cell_types=("x",) * N,
        sign=sign,
    )


def table_of(
    values: Mapping[str, Mapping[Unit, float | None]],
    *,
    higher_is_better: bool = True,
    roles: Mapping[str, str] | None = None,
    metric: str = "m",
    **further: object,
) -> MetricTable:
    made: dict[str, object] = {"neutral": None, **further}
    return MetricTable(
        metric=metric,
        higher_is_better=higher_is_better,
        roles=roles or dict.fromkeys(values, "baseline"),
        values=values,
        **made,  # type: ignore[arg-type]
    )


def errors(
    metric: str = "mse", roles: Mapping[str, str] | None = None, **values: np.ndarray
) -> MetricTable:
    rows = {
        model: {Unit(0, LABELS[row], "x"): float(value) for row, value in enumerate(of)}
        for model, of in values.items()
    }
    full = {**dict.fromkeys(values, "baseline"), **(roles or {})}
    return table_of(rows, higher_is_better=False, roles=full, metric=metric)


def test_values_are_laid_out_by_unit_and_model() -> None:
    first, second, third = Unit(0, "a", "y"), Unit(1, "a", "x"), Unit(1, "b", "x")
    table = table_of(
        {"one": {third: 0.25, first: 1e300}, "two": {second: None, first: -1e300}},
        higher_is_better=False,
        lower=-2.0,
        upper=3.0,
        resampled={"one": two_way(np.ones(3))},
    )
    grid = ScoreGrid.of(table)
    assert grid.models == ("one", "two")
    assert (grid.perturbations, grid.cell_types) == (("a", "a", "b"), ("y", "x", "x"))
    np.testing.assert_array_equal(
        grid.values, [[FAR_OFF, -FAR_OFF], [np.nan, np.nan], [0.25, np.nan]]
    )
    assert (grid.sign, grid.lower, grid.upper) == (-1, -2.0, 3.0)
    assert list(grid.resampled) == ["one"]
    # An undefined value counts as the neutral one; a missing one stays missing.
    neutral = ScoreGrid.of(table_of({"one": {third: 0.25}, "two": {second: None}}, neutral=0.5))
    np.testing.assert_array_equal(neutral.values, [[np.nan, 0.5], [0.25, np.nan]])
    assert (neutral.sign, neutral.lower, neutral.upper) == (1, -np.inf, np.inf)


@pytest.mark.parametrize(
    ("sign", "lower", "upper", "perfect"),
    [(1, -1.0, 5.0, 5.0), (1, -1.0, np.inf, 1.0), (-1, 0.5, 9.0, 0.5), (-1, -np.inf, 9.0, 0.0)],
)
def test_the_best_possible_value(sign: int, lower: float, upper: float, perfect: float) -> None:
    grid = ScoreGrid(("a",), np.zeros((1, 1)), ("p",), ("x",), sign, lower, upper)
    assert grid.perfect == perfect


def test_intervals_are_those_of_the_rows_that_a_model_has_and_end_where_the_metric_does() -> None:
    some = np.where(np.arange(N) < 8, GOOD, np.nan)
    nothing = np.full(N, np.nan)
    grid = grid_of(a=GOOD, b=some, c=POOR, d=nothing)
    found = grid.intervals()
    assert list(found) == ["a", "b", "c", "d"]
    assert found["d"] == (None, None)
    clusters = Clusters.of(list(LABELS), ["x"] * N)
    both = mean_intervals(np.stack((GOOD, POOR), axis=1), clusters)
    assert found["a"] == (both.low[0], both.high[0])
    assert found["c"] == (both.low[1], both.high[1])
    eight = mean_intervals(GOOD[:8, None], Clusters.of(list(LABELS[:8]), ["x"] * 8))
    assert found["b"] == (eight.low[0], eight.high[0])
    bounded = ScoreGrid(grid.models, grid.values, LABELS, ("x",) * N, 1, 0.78, 0.79)
    assert bounded.intervals()["a"] == (0.78, 0.79)


def two_way(draws: DoubleArray) -> TwoWay:
    """A mean that varies with the genes alone."""
    return TwoWay(draws, np.zeros_like(draws), np.zeros_like(draws), 30, 40)


def test_resamples_take_the_place_of_intervals_and_p_values() -> None:
    plain = grid_of(a=GOOD, b=POOR)
    draws = {
        "a": two_way(0.8 + 0.01 * RNG.normal(size=400)),
        "b": two_way(0.1 + 0.01 * RNG.normal(size=400)),
    }
    grid = ScoreGrid(plain.models, plain.values, LABELS, ("x",) * N, 1, 0.0, 0.805, draws)
    ends = draws["a"].interval(float(GOOD.mean()))
    assert ends is not None
    assert grid.intervals()["a"] == (ends[0], min(ends[1], 0.805))
    assert ends[1] > 0.805
    (found,) = grid.compare(["a"], "b").values()
    apart = draws["a"].minus(draws["b"])
    gap = float((GOOD - POOR).mean())
    assert found.difference == pytest.approx(gap)
    assert (found.ci_low, found.ci_high) == pytest.approx(apart.interval(gap))
    assert found.p_value == apart.two_sided_p(gap)
    half = ScoreGrid(plain.models, plain.values, LABELS, ("x",) * N, 1, resampled={"a": draws["a"]})
    assert half.compare(["a"], "b") == plain.compare(["a"], "b")
    best = grid.best_p(["a", "b"])
    assert best["a"] == 1.0
    assert best["b"] == pytest.approx(found.p_value)
    assert half.best_p(["a", "b"]) == plain.best_p(["a", "b"])


def test_where_nothing_is_known_of_resamples_there_is_no_interval_and_no_claim() -> None:
    plain = grid_of(a=GOOD, b=POOR)
    draws = {"a": two_way(0.8 + 0.01 * RNG.normal(size=400)), "b": UNKNOWN}
    grid = ScoreGrid(plain.models, plain.values, LABELS, ("x",) * N, 1, resampled=draws)
    assert grid.intervals()["b"] == (None, None)
    assert None not in grid.intervals()["a"]
    (found,) = grid.compare(["a"], "b").values()
    assert (found.ci_low, found.ci_high, found.p_value) == (None, None, 1.0)
    assert found.difference == pytest.approx(float((GOOD - POOR).mean()))
    assert grid.best_p(["a", "b"]) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(("genes", "perturbations"), [(3, 40), (40, 5), (2, 2), (6, 40), (40, 6)])
def test_fewer_than_six_genes_or_perturbations_show_nothing(genes: int, perturbations: int) -> None:
    plain = grid_of(a=GOOD, b=POOR)
    draws = {
        name: TwoWay(
            level + 1e-6 * np.random.default_rng(seed).normal(size=400),
            np.full(400, level),
            np.full(400, level),
            genes,
            perturbations,
        )
        for seed, (name, level) in enumerate({"a": 0.8, "b": 0.1}.items())
    }
    grid = ScoreGrid(plain.models, plain.values, LABELS, ("x",) * N, 1, resampled=draws)
    (found,) = grid.compare(["a"], "b").values()
    by_t = draws["a"].minus(draws["b"]).two_sided_p(found.difference)
    assert by_t < 0.05
    fewest = min(genes, perturbations)
    assert found.p_value == (by_t if fewest == 6 else 2.0 ** (1 - fewest))
    assert (found.p_value >= 0.05) == (fewest < 6)
    assert (grid.best_p(["a", "b"])["b"] >= 0.05) == (fewest < 6)


def test_the_best_of_three_with_resamples_counts_both_others() -> None:
    plain = grid_of(a=GOOD, b=FAIR, c=GOOD + 1e-3)
    draws = {
        name: two_way(level + 0.05 * np.random.default_rng(seed).normal(size=400))
        for seed, (name, level) in enumerate({"a": 0.8, "b": 0.7, "c": 0.801}.items())
    }
    for sign in (1, -1):
        grid = ScoreGrid(plain.models, plain.values, LABELS, ("x",) * N, sign, resampled=draws)
        found = grid.best_p(["a", "b", "c"])
        for model in "abc":
            worse = [
                2 * grid.compare(["a", "b", "c"], other)[model].p_value
                for other in "abc"
                if other != model
                and sign * grid.compare(["a", "b", "c"], other)[model].difference < 0
            ]
            assert found[model] == min([1.0, *worse])
    assert min(found.values()) < 1.0


def test_models_are_compared_on_what_both_have() -> None:
    some = np.where(np.arange(N) >= 3, FAIR, np.nan)
    grid = grid_of(a=GOOD, b=some, c=POOR, d=np.full(N, np.nan))
    found = grid.compare(["d", "b", "a"], "c")
    assert list(found) == ["b", "a"]
    assert found["b"].n_perturbations == 9
    clusters = Clusters.of(list(LABELS[3:]), ["x"] * 9)
    by_hand = paired_intervals(FAIR[3:, None], POOR[3:], clusters, n_models=3)
    assert found["b"].difference == pytest.approx((FAIR - POOR)[3:].mean())
    assert (found["b"].ci_low, found["b"].ci_high) == (by_hand.low[0], by_hand.high[0])
    assert found["b"].p_value == by_hand.p_values[0]
    alone = grid.compare(["b"], "c", n_models=1)["b"]
    many = grid.compare(["b"], "c", n_models=100)["b"]
    # More models take more draws.
    more = paired_intervals(FAIR[3:, None], POOR[3:], clusters, n_models=100)
    assert (many.ci_low, many.ci_high) == (more.low[0], more.high[0])
    assert many.ci_low != alone.ci_low
    # Without a number, those that are asked about are counted.
    assert grid.compare(["b"], "c")["b"] == alone


def test_the_best_are_sought_among_models_that_have_every_row() -> None:
    some = np.where(np.arange(N) >= 3, GOOD + 1.0, np.nan)
    missing = np.where(np.arange(N) == 5, np.nan, 1.0)
    grid = grid_of(a=GOOD * missing, b=some, c=POOR * missing)
    assert grid.with_every_row(["a", "c"]) == ("a", "c")
    assert grid.with_every_row(["a", "b", "c"]) == ()
    assert grid.with_every_row(["b"]) == ("b",)
    assert grid.best_p(["a", "b", "c"]) == {}
    rows = np.arange(N) != 5
    clusters = Clusters.of(
        [label for label, kept in zip(LABELS, rows, strict=True) if kept], ["x"] * 11
    )
    for sign in (1, -1):
        turned = ScoreGrid(grid.models, grid.values, LABELS, ("x",) * N, sign)
        expected = best_p_values(sign * np.stack((GOOD, POOR), axis=1)[rows], clusters)
        assert turned.best_p(["a", "c"]) == dict(zip("ac", expected.tolist(), strict=True))
    assert grid_of(d=np.full(N, np.nan)).with_every_row(["d"]) == ()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_share_of_a_gap_is_over_what_all_three_have(sign: int) -> None:
    some = np.where(np.arange(N) >= 2, FAIR, np.nan)
    ceiling, floor = (GOOD, POOR) if sign > 0 else (POOR, GOOD)
    grid = grid_of(sign, top=ceiling, model=some, floor=floor)
    found, reason = grid.gap("floor", "top")
    assert reason is None
    clusters = Clusters.of(list(LABELS[2:]), ["x"] * 10)
    by_hand = gap_closed(sign * FAIR[2:, None], sign * floor[2:], sign * ceiling[2:], clusters)
    assert found["model"] == pytest.approx((by_hand.shares[0], by_hand.low[0], by_hand.high[0]))
    assert found["top"].share == pytest.approx(1.0)
    assert found["floor"].share == pytest.approx(0.0, abs=1e-12)
    nothing, why = grid.gap("top", "floor")
    assert nothing == {}
    assert why


# ----------------------------------------------------------------------------------------- echoes


def test_who_stays_within_a_share_of_the_gap_repeats() -> None:
    mean = np.linspace(1.0, 2.0, N)
    top = mean - 0.5
    steps = np.where(np.arange(N) % 2, 0.02, -0.02)
    table = errors(
        perturbed_mean=mean,
        technical_duplicate=top,
        near=mean + steps,
        far=mean + 2 * steps,
        copy=mean,
        roles={"technical_duplicate": "ceiling"},
    )
    # 0.02 of 0.5 is 4 % of the gap, up or down; 0.04 is 8 %.
    assert echoes([table], min_gap=0.05) == {"near": "perturbed_mean", "copy": "perturbed_mean"}
    assert echoes([table], min_gap=0.04 + 1e-9) == {
        "near": "perturbed_mean",
        "copy": "perturbed_mean",
    }
    assert echoes([table], min_gap=0.04 - 1e-9) == {"copy": "perturbed_mean"}
    assert set(echoes([table], min_gap=0.081)) == {"near", "far", "copy"}
    # One error metric under which it differs is enough.
    other = errors(
        metric="mae",
        perturbed_mean=mean,
        technical_duplicate=top,
        near=mean + 0.3,
        roles={"technical_duplicate": "ceiling"},
    )
    assert echoes([table, other], min_gap=0.05) == {"copy": "perturbed_mean"}
    assert echoes([], min_gap=0.05) == {}


def test_without_a_gap_the_way_down_to_no_error_counts() -> None:
    mean = np.full(N, 2.0)
    alone = errors(control_mean=mean, near=mean - 0.09, far=mean - 0.11)
    assert echoes([alone], min_gap=0.05) == {"near": "control_mean"}
    worse = errors(
        control_mean=mean,
        near=mean - 0.09,
        technical_duplicate=mean + 1.0,
        roles={"technical_duplicate": "ceiling"},
    )
    assert echoes([worse], min_gap=0.05) == {"near": "control_mean"}
    perfect = errors(control_mean=np.zeros(N), near=np.full(N, 0.1), same=np.zeros(N))
    assert echoes([perfect], min_gap=0.05) == {"same": "control_mean"}


def test_only_rows_that_all_have_are_compared_and_correlations_tell_nothing() -> None:
    mean = np.full(N, 2.0)
    some = np.where(np.arange(N) < 4, 2.0, np.nan)
    table = errors(control_mean=mean, some=some, none=np.full(N, np.nan))
    assert echoes([table], min_gap=0.05) == {"some": "control_mean"}
    upward = table_of(
        {name: {Unit(0, "a", "x"): 1.0} for name in ("control_mean", "same")}, metric="pearson"
    )
    assert echoes([upward], min_gap=0.05) == {}


def test_submissions_without_an_error_are_barred() -> None:
    mean = np.linspace(1.0, 2.0, N)
    roles = {"cheat": "submitted", "fair": "submitted"}
    table = errors(
        perturbed_mean=mean, cheat=mean * 1e-6, fair=mean * 0.5, own=mean * 1e-6, roles=roles
    )
    assert barred([table]) == {"cheat"}
    honest = errors(
        metric="mae", perturbed_mean=mean, cheat=mean * 0.9, roles={"cheat": "submitted"}
    )
    assert barred([table, honest]) == frozenset()
    assert barred([honest, table]) == frozenset()
    upward = table_of({"cheat": {Unit(0, "a", "x"): 1.0}}, roles={"cheat": "submitted"})
    assert barred([upward, table]) == {"cheat"}
    # Without a reference nobody can be told to be perfect.
    assert barred([errors(cheat=mean * 1e-6, roles={"cheat": "submitted"})]) == frozenset()
