"""Comparisons and mean ranks worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from core.leaderboard.score_levels import HIGH, LOW

from dygenept.errors import ConfigError
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import paired_intervals
from dygenept.leaderboard.comparisons import compare_models, rank_models
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


def test_a_comparison_is_printed_with_every_number_under_its_name(board: list[RunRecord]) -> None:
    (row,) = compare_models(board, ["poor", "good"])
    high, low = np.asarray(HIGH)[:, None], np.asarray(LOW)
    expected = paired_intervals(high, low, Clusters.independent(12), n_models=1)
    assert row.document() == {
        "metric": "pearson_delta",
        "higher_is_better": True,
        "model": "poor",
        "other": "good",
        "difference": pytest.approx(-0.7),
        "ci_low": pytest.approx(-expected.high[0]),
        "ci_high": pytest.approx(-expected.low[0]),
        "p_value": expected.p_values[0],
        "p_holm": expected.p_values[0],
        "n_perturbations": 12,
        "better": "good",
    }


def test_the_better_of_two_is_named_from_either_side(board: list[RunRecord]) -> None:
    for models in (["good", "poor"], ["poor", "good"]):
        (row,) = compare_models(board, models)
        assert row.better == "good"
    rows = compare_models(board, ["perturbed_mean", "good", "poor", "good"])
    assert [(row.other, row.better) for row in rows] == [
        ("good", "good"),
        ("poor", "perturbed_mean"),
    ]
    assert rows[0].p_holm == pytest.approx(2 * rows[0].p_value)


def test_equal_models_have_no_better_one(record: MakeRecord) -> None:
    made = [record(key=name, model=name, values=HIGH) for name in "ab"]
    (row,) = compare_models(made, ["a", "b"])
    assert (row.difference, row.p_holm, row.better) == (0.0, 1.0, None)
    assert str(row.difference) == "0.0"


def test_a_model_cannot_be_compared_with_itself_or_with_nothing(board: list[RunRecord]) -> None:
    for models in (["good"], ["good", "good"]):
        with pytest.raises(ConfigError, match="two different models"):
            compare_models(board, models)
    with pytest.raises(ConfigError, match=r"'god'; did you mean 'good'\? known: good, perturbed_"):
        compare_models(board, ["good", "god"])


def test_metrics_that_a_model_lacks_are_passed_over_and_the_others_are_not(
    two_metrics: list[RunRecord],
) -> None:
    records = two_metrics
    found = [(row.metric, row.other) for row in compare_models(records, ["a", "b", "c"])]
    assert found == [("pearson_delta", "b"), ("mse", "c")]
    found = [(row.metric, row.other) for row in compare_models(records, ["c", "b", "a"])]
    assert found == [("mse", "a")]
    found = [
        (row.metric, row.other) for row in compare_models(records, ["a", "b", "c"], metrics=["mse"])
    ]
    assert found == [("mse", "c")]


def test_ranks_are_averaged_over_boards_and_metrics(board: list[RunRecord]) -> None:
    other = [
        item.model_copy(update={"dataset": item.dataset.model_copy(update={"name": "other"})})
        for item in board[:2]
    ]
    rows = rank_models([board, other])
    assert [row.document() for row in rows] == [
        {
            "model": "good",
            "role": "model",
            "mean_rank": 1.0,
            "n_ranked": 2,
            "n_possible": 2,
            "n_best": 2,
            "n_near_best": 2,
            "n_not_beating": 0,
            "n_judged": 1,
        },
        {
            "model": "poor",
            "role": "baseline",
            "mean_rank": 2.5,
            "n_ranked": 2,
            "n_possible": 2,
            "n_best": 0,
            "n_near_best": 0,
            "n_not_beating": 1,
            "n_judged": 1,
        },
        {
            "model": "perturbed_mean",
            "role": "baseline",
            "mean_rank": 2.0,
            "n_ranked": 1,
            "n_possible": 2,
            "n_best": 0,
            "n_near_best": 0,
            "n_not_beating": 0,
            "n_judged": 0,
        },
    ]


def test_ties_share_the_middle_rank_under_an_error_too(record: MakeRecord) -> None:
    made = {"b": 0.5, "c": 0.9, "a": 0.5, "d": 0.1}
    for is_higher, expected in ((True, [1, 2.5, 2.5, 4]), (False, [1, 2.5, 2.5, 4])):
        rows = rank_models(
            [
                [
                    record(key=name, model=name, values=(value,), higher_is_better=is_higher)
                    for name, value in made.items()
                ]
            ]
        )
        names = ["c", "a", "b", "d"] if is_higher else ["d", "a", "b", "c"]
        assert [row.model for row in rows] == names
        assert [row.mean_rank for row in rows] == expected


def test_values_equal_to_twelve_digits_are_ties(record: MakeRecord) -> None:
    made = {"a": 0.5, "b": 0.5 + 1e-14, "c": 0.5 + 1e-11}
    (ranks,) = (
        {
            row.model: row.mean_rank
            for row in rank_models(
                [[record(key=name, model=name, values=(v,)) for name, v in made.items()]]
            )
        },
    )
    assert ranks == {"c": 1.0, "a": 2.5, "b": 2.5}


def test_metrics_without_a_competitor_or_a_value_do_not_count(
    record: MakeRecord, two_metrics: list[RunRecord]
) -> None:
    records = two_metrics
    ceiling = [record(model="truth", role="ceiling", values=(1.0,))]
    empty = [record(model="a", values=(None,), neutral=None)]
    by_both = {row.model: row.n_ranked for row in rank_models([records, ceiling, empty])}
    assert by_both == {"a": 2, "b": 1, "c": 1}
    assert {row.n_possible for row in rank_models([ceiling, empty, records])} == {2}
    one = rank_models([records], metrics=["mse"])
    assert [(row.model, row.n_possible) for row in one] == [("a", 1), ("c", 1)]


def test_a_metric_of_ceilings_alone_does_not_hide_the_metrics_after_it(
    record: MakeRecord,
) -> None:
    ceiling = record(key="1", model="truth", role="ceiling", metric="first")
    ours = record(key="2", model="ours", values=(0.5,), metric="second")
    rows = rank_models([[ceiling, ours]])
    assert [(row.model, row.mean_rank, row.n_possible) for row in rows] == [("ours", 1.0, 1)]
