"""Leaderboards, comparisons, ranks, seeds and quoted figures with values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from dygenept.errors import ConfigError, ResultsError
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import paired_intervals
from dygenept.leaderboard.comparisons import compare_models, rank_models
from dygenept.leaderboard.groups import grouped_rows
from dygenept.leaderboard.judgements import MIN_GAP, corrected_differences, judge_models
from dygenept.leaderboard.metric_table import Unit, metric_tables
from dygenept.leaderboard.published import Publication, PublishedModel, check_figures
from dygenept.leaderboard.rows import BoardKey, group_records, leaderboard_rows
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.leaderboard.seeds import seed_groups, seed_rows
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
HIGH = tuple((0.8 + 0.01 * np.arange(12)).tolist())
MIDDLE = tuple((0.5 + 0.01 * np.arange(12)).tolist())
LOW = tuple((0.1 + 0.01 * np.arange(12)).tolist())


@pytest.fixture
def board(record: MakeRecord) -> list[RunRecord]:
    """A good and a poor model, the mean, and a ceiling, each far from the next."""
    return [
        record(key="1", model="good", role="model", values=HIGH),
        record(key="2", model="poor", role="baseline", values=LOW),
        record(key="3", model="perturbed_mean", role="baseline", values=MIDDLE),
        record(key="4", model="technical_duplicate", role="ceiling", values=(1.255,) * 12),
    ]


def test_a_row_is_printed_with_every_number_under_its_name(record: MakeRecord) -> None:
    records = [
        record(key="1", model="a", fold=0, values=(0.25, None)),
        record(key="2", model="a", fold=1, values=(0.75, 0.75, 0.75)),
    ]
    (row,) = leaderboard_rows(records)
    assert row.total.ci_low is not None
    assert row.total.ci_high is not None
    assert row.total.ci_low < 0.5 < row.total.ci_high
    # Means of the folds: 0.125 and 0.75.
    assert row.document() == {
        "model": "a",
        "metric": "pearson_delta",
        "mean": 0.4375,
        "std": pytest.approx(0.625 / 2**0.5),
        "stderr": pytest.approx(0.3125),
        "pooled": 0.5,
        "ci_low": row.total.ci_low,
        "ci_high": row.total.ci_high,
        "n_folds": 2,
        "n_perturbations": 5,
        "n_distinct_perturbations": 3,
        "n_cell_types": 1,
        "n_undefined": 1,
        "rank": 1,
        "role": "baseline",
        "higher_is_better": True,
        "is_best": True,
        "indistinguishable_from_best": True,
        "reference": None,
        "beats_reference": None,
        "p_value": None,
        "p_corrected": None,
        "n_family": None,
        "above_ceiling": None,
        "doubts": [],
        "gap_closed": None,
        "gap_low": None,
        "gap_high": None,
        "gap_reason": None,
        "echo_of": None,
        "min_gap": MIN_GAP,
        "normalised": None,
        "normalised_reason": None,
    }


def test_a_row_of_a_part_names_the_part(record: MakeRecord) -> None:
    (row,) = leaderboard_rows([record(values=(0.5,))], group="small effect")
    assert row.group == "small effect"
    assert row.document()["group"] == "small effect"


def test_a_leaderboard_is_named_by_all_that_must_agree(record: MakeRecord) -> None:
    groups = group_records([record(key="1", simulated=True)])
    assert list(groups) == [
        BoardKey(
            dataset="toy",
            dataset_sha256="ab",
            is_simulated=True,
            suite="custom",
            split_sha256="cd42",
            de_list="top_non_dropout_de_20",
        )
    ]


def test_models_and_folds_of_one_leaderboard_all_stay(record: MakeRecord) -> None:
    made = [
        record(key=f"{model}{fold}", model=model, fold=fold) for model in "ab" for fold in (0, 1)
    ]
    (members,) = group_records(reversed(made)).values()
    assert [item.key for item in members] == ["a0", "a1", "b0", "b1"]


def test_of_two_records_of_one_time_the_larger_key_counts(record: MakeRecord) -> None:
    (members,) = group_records([record(key="2"), record(key="1")]).values()
    assert [item.key for item in members] == ["2"]


def test_rows_come_by_rank_and_then_by_name(record: MakeRecord) -> None:
    made = {"b": 0.5, "c": 0.9, "a": 0.5}
    rows = leaderboard_rows(
        [record(key=name, model=name, values=(value,)) for name, value in made.items()]
    )
    assert [row.model for row in rows] == ["c", "a", "b"]
    assert [row.rank for row in rows] == [1, 2, 2]
    errors = leaderboard_rows(
        [
            record(key=name, model=name, values=(value,), metric="mse", higher_is_better=False)
            for name, value in made.items()
        ]
    )
    assert [row.model for row in errors] == ["a", "b", "c"]
    assert {row.higher_is_better for row in errors} == {False}


def test_standing_of_each_model(board: list[RunRecord]) -> None:
    rows = {row.model: row for row in leaderboard_rows(board)}
    assert {name: row.rank for name, row in rows.items()} == {
        "technical_duplicate": 1,
        "good": 2,
        "perturbed_mean": 3,
        "poor": 4,
    }
    assert [name for name, row in rows.items() if row.judgement.is_best] == ["good"]
    assert [name for name, row in rows.items() if row.judgement.indistinguishable_from_best] == [
        "good"
    ]
    assert {name: row.judgement.beats_reference for name, row in rows.items()} == {
        "technical_duplicate": None,
        "good": True,
        "perturbed_mean": None,
        "poor": False,
    }
    # 0 at the mean's 0.555 and 1 at the duplicate's 1.255.
    assert rows["perturbed_mean"].judgement.normalised == 0
    assert rows["technical_duplicate"].judgement.normalised == pytest.approx(1)
    assert rows["good"].judgement.normalised == pytest.approx(0.3 / 0.7)
    assert rows["poor"].judgement.normalised == pytest.approx(-0.4 / 0.7)


def test_a_mean_as_good_as_the_duplicate_leaves_nothing_to_normalise(record: MakeRecord) -> None:
    rows = leaderboard_rows(
        [
            record(key="1", model="perturbed_mean", values=(0.5,)),
            record(key="2", model="technical_duplicate", role="ceiling", values=(0.5,)),
        ]
    )
    assert [row.judgement.normalised for row in rows] == [None, None]


def test_ceilings_without_a_competitor_stand_alone(record: MakeRecord) -> None:
    (row,) = leaderboard_rows([record(model="truth", role="ceiling", values=(1.0,))])
    assert not row.judgement.is_best
    assert not row.judgement.indistinguishable_from_best
    assert row.judgement.beats_reference is None


def test_two_that_share_the_best_value_are_both_the_best(record: MakeRecord) -> None:
    tied = [record(key=name, model=name, values=HIGH) for name in "ba"]
    rows = leaderboard_rows([*tied, record(key="z", model="z", values=LOW)])
    assert [
        (row.model, row.judgement.is_best, row.judgement.indistinguishable_from_best)
        for row in rows
    ] == [
        ("a", True, True),
        ("b", True, True),
        ("z", False, False),
    ]


def test_a_table_keeps_the_parts_that_are_asked_for(record: MakeRecord) -> None:
    made = [
        record(key="1", model="a", fold=1, values=(0.1, 0.2), cell_types=("x", "y")),
        record(key="2", model="a", fold=0, values=(0.3,), cell_types=("x",)),
        record(key="3", model="b", fold=0, values=(0.4,), cell_types=("y",)),
    ]
    (table,) = metric_tables(made, keep=lambda unit: unit.cell_type == "x")
    assert table.metric == "pearson_delta"
    assert (table.higher_is_better, table.neutral) == (True, 0.0)
    assert table.roles == {"a": "baseline"}
    assert table.values == {
        "a": {Unit(0, "g0+ctrl", "x"): 0.3, Unit(1, "g0+ctrl", "x"): 0.1},
    }
    assert table.folds("a") == [[0.3], [0.1]]


def test_a_model_without_the_metric_is_not_in_its_table(record: MakeRecord) -> None:
    made = [
        record(key="1", model="a", metric="mse", higher_is_better=False, neutral=None),
        record(key="2", model="b"),
    ]
    first, second = metric_tables(made)
    assert (first.metric, first.higher_is_better, first.neutral) == ("mse", False, None)
    assert list(first.values) == ["a"]
    assert list(second.values) == ["b"]


def test_a_pair_is_compared_on_shared_units_with_undefined_ones_filled(
    record: MakeRecord,
) -> None:
    made = [
        record(key="1", model="a", values=(0.5, None, 0.7)),
        record(key="2", model="b", values=(0.25, 0.5)),
    ]
    (table,) = metric_tables(made)
    found = ScoreGrid.of(table).compare(["a"], "b")["a"]
    assert found.n_perturbations == 2
    assert found.difference == pytest.approx((0.25 - 0.5) / 2)
    assert table.is_better(found) is False


def test_models_that_share_no_unit_are_not_compared(record: MakeRecord) -> None:
    made = [
        record(key="1", model="a", values=(0.5,), cell_types=("x",)),
        record(key="2", model="b", values=(0.5,), cell_types=("y",)),
    ]
    (table,) = metric_tables(made)
    grid = ScoreGrid.of(table)
    assert grid.compare(["a"], "b") == {}
    assert compare_models(made, ["a", "b"]) == ()
    standing = judge_models(table, grid, {"a": 0.5, "b": 0.5})
    assert not any(item.is_best for item in standing.values())


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


def two_metrics(record: MakeRecord) -> list[RunRecord]:
    """Model a is scored under both metrics, b under one, c under the other."""
    made = [
        record(key="1", model="a", values=HIGH),
        record(key="2", model="b", values=LOW),
        record(key="3", model="c", values=LOW, metric="mse", higher_is_better=False, neutral=None),
    ]
    both = made[0].model_copy(
        update={"metrics": (*made[0].metrics, *(made[2].metrics[0],))},
    )
    return [both, made[1], made[2]]


def test_metrics_that_a_model_lacks_are_passed_over_and_the_others_are_not(
    record: MakeRecord,
) -> None:
    records = two_metrics(record)
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


def test_metrics_without_a_competitor_or_a_value_do_not_count(record: MakeRecord) -> None:
    records = two_metrics(record)
    ceiling = [record(model="truth", role="ceiling", values=(1.0,))]
    empty = [record(model="a", values=(None,), neutral=None)]
    by_both = {row.model: row.n_ranked for row in rank_models([records, ceiling, empty])}
    assert by_both == {"a": 2, "b": 1, "c": 1}
    assert {row.n_possible for row in rank_models([ceiling, empty, records])} == {2}
    one = rank_models([records], metrics=["mse"])
    assert [(row.model, row.n_possible) for row in one] == [("a", 1), ("c", 1)]


def seeds_of(record: MakeRecord) -> list[list[RunRecord]]:
    return [
        [
            record(key=f"a{seed}", model="a", role="model", values=(value,), seed=seed),
            record(key=f"b{seed}", model="b", values=(0.5,), seed=seed),
        ]
        for seed, value in ((3, 0.9), (1, 0.3))
    ]


def test_a_row_over_seeds_is_printed_with_every_number_under_its_name(
    record: MakeRecord,
) -> None:
    (group,) = seed_groups(seeds_of(record))
    assert [records[0].seed for records in group] == [1, 3]
    first, second = seed_rows(group)
    assert first.document() == {
        "model": "a",
        "metric": "pearson_delta",
        "mean": pytest.approx(0.6),
        "std": pytest.approx(0.6 / 2**0.5),
        "low": 0.3,
        "high": 0.9,
        "n_seeds": 2,
        "by_seed": {"1": 0.3, "3": 0.9},
        "rank": 1,
        "role": "model",
        "higher_is_better": True,
    }
    assert (second.model, second.rank, second.std) == ("b", 2, 0.0)


def test_errors_over_seeds_rank_the_other_way(record: MakeRecord) -> None:
    boards = [
        [item.model_copy(update={"metrics": (lower(item),)}) for item in records]
        for records in seeds_of(record)
    ]
    rows = seed_rows(boards)
    assert [(row.model, row.rank, row.higher_is_better) for row in rows] == [
        ("b", 1, False),
        ("a", 2, False),
    ]


def lower(record: RunRecord) -> object:
    return record.metrics[0].model_copy(update={"higher_is_better": False})


def test_seeds_that_tie_come_by_name_and_a_seed_without_a_value_is_left_out(
    record: MakeRecord,
) -> None:
    boards = [
        [
            record(key="1", model="b", values=(0.5,), seed=1),
            record(key="2", model="a", values=(0.5,), seed=1),
            record(key="3", model="c", values=(None,), neutral=None, seed=1),
        ],
        [record(key="4", model="c", values=(None,), neutral=None, seed=2)],
    ]
    rows = {row.model: row for row in seed_rows(boards)}
    assert list(rows) == ["a", "b", "c"]
    assert rows["a"].by_seed == {1: 0.5}
    assert (rows["a"].std, rows["a"].low, rows["a"].high) == (None, 0.5, 0.5)
    assert (rows["c"].mean, rows["c"].std, rows["c"].low, rows["c"].high) == (None,) * 4
    assert rows["c"].by_seed == {1: None, 2: None}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("dataset", {"sha256": "ba"}),
        ("dataset", {"simulated": True}),
        (None, {"suite": "other"}),
        ("split", {"name": "other"}),
        ("split", {"version": 2}),
        ("split", {"n_folds": 3}),
        (None, {"de_list": "other"}),
    ],
)
def test_leaderboards_that_differ_in_more_than_their_seed_stay_apart(
    record: MakeRecord, part: str | None, change: dict[str, object]
) -> None:
    first, second = record(seed=1), record(seed=2)
    assert len(seed_groups([[first], [second]])) == 1
    if part is not None:
        change = {part: getattr(second, part).model_copy(update=change)}
    assert len(seed_groups([[first], [second.model_copy(update=change)]])) == 2


def test_parts_come_in_the_order_of_difficulty_and_then_by_name(record: MakeRecord) -> None:
    groups = {
        "other_b": ("g0+ctrl",),
        "combo_seen1": ("g1+ctrl",),
        "seen_single": ("g2+ctrl",),
        "other_a": ("g3+ctrl",),
    }
    made = record(values=(0.1, 0.2, 0.3, 0.4, 0.5), subgroups=groups)
    rows = grouped_rows([made], "subgroup")
    assert [(row.group, row.total.pooled) for row in rows] == [
        ("seen_single", 0.3),
        ("combo_seen1", 0.2),
        ("other_a", 0.4),
        ("other_b", 0.1),
    ]


def test_terciles_of_effect_size_put_a_boundary_into_the_smaller_part(record: MakeRecord) -> None:
    # Quantiles at 1/3 and 2/3 of 0, 1, 2, 3 are 1 and 2.
    sizes = {f"g{number}+ctrl": float(number) for number in range(4)}
    made = record(values=(0.0, 0.1, 0.2, 0.3), effects={"K562": sizes})
    rows = grouped_rows([made], "effect")
    assert [(row.group, row.total.n_perturbations, row.total.pooled) for row in rows] == [
        ("small effect", 2, pytest.approx(0.05)),
        ("medium effect", 1, 0.2),
        ("large effect", 1, 0.3),
    ]


def test_missing_effect_sizes_are_counted(record: MakeRecord) -> None:
    made = record(values=(0.0, 0.1, 0.2), effects={"K562": {"g0+ctrl": 1.0}})
    with pytest.raises(ResultsError, match=r"^2 held-out perturbation\(s\) of toy .*--no-resume"):
        grouped_rows([made], "effect")


QUOTED = Publication(
    paper="Somebody 2024",
    citation="doi:10.1/x",
    table="Table 1",
    dataset="toy",
    error="stderr",
    note="other folds",
    models=(
        PublishedModel(
            model="Theirs",
            values={"pearson_delta": 0.5, "mse": 0.1},
            errors={"pearson_delta": 0.01},
            same_as="ours",
        ),
        PublishedModel(model="Elsewhere", values={"pearson_delta": 0.9}),
    ),
)


def test_a_quoted_figure_is_printed_with_its_source() -> None:
    first, second, third = QUOTED.quoted()
    assert first.document() == {
        "model": "Theirs",
        "metric": "pearson_delta",
        "value": 0.5,
        "error": 0.01,
        "error_kind": "stderr",
        "dataset": "toy",
        "paper": "Somebody 2024",
        "citation": "doi:10.1/x",
        "table": "Table 1",
        "note": "other folds",
        "same_as": "ours",
        "quoted": True,
    }
    assert (second.metric, second.error, second.error_kind) == ("mse", None, None)
    assert (third.model, third.same_as) == ("Elsewhere", None)


def test_a_citation_must_be_one() -> None:
    with pytest.raises(ValidationError, match="citation"):
        Publication.model_validate({**QUOTED.model_dump(), "citation": "somewhere"})


@pytest.mark.parametrize(
    ("ours", "matches"),
    [(0.5, True), (0.5104, True), (0.5106, False), (0.4896, True), (0.4894, False)],
)
def test_ours_matches_within_the_published_error_and_half_a_digit(
    record: MakeRecord, ours: float, matches: bool
) -> None:
    rows = leaderboard_rows([record(model="ours", values=(ours,))])
    first, second = check_figures(QUOTED.quoted(), rows)
    assert first.document() == {
        "dataset": "toy",
        "metric": "pearson_delta",
        "published_model": "Theirs",
        "model": "ours",
        "published": 0.5,
        "published_error": 0.01,
        "ours": ours,
        "difference": pytest.approx(ours - 0.5),
        "allowed": pytest.approx(0.0105),
        "matches": matches,
        "table": "Table 1",
        "citation": "doi:10.1/x",
    }
    assert (second.ours, second.difference, second.matches) == (None, None, False)
    assert second.allowed == 0.0005


def test_figures_are_passed_over_one_by_one() -> None:
    first, second, third = QUOTED.quoted()
    found = check_figures([third, first], [])
    assert [item.quoted for item in found] == [first]
    assert check_figures([third], []) == ()
    assert [item.quoted for item in check_figures([first, third, second], [])] == [first, second]


def test_a_metric_of_ceilings_alone_does_not_hide_the_metrics_after_it(
    record: MakeRecord,
) -> None:
    ceiling = record(key="1", model="truth", role="ceiling", metric="first")
    ours = record(key="2", model="ours", values=(0.5,), metric="second")
    rows = rank_models([[ceiling, ours]])
    assert [(row.model, row.mean_rank, row.n_possible) for row in rows] == [("ours", 1.0, 1)]


@pytest.mark.parametrize("without", ["ours", "perturbed_mean", "technical_duplicate"])
def test_without_one_of_three_values_nothing_is_normalised(
    record: MakeRecord, without: str
) -> None:
    made = {"ours": 0.5, "perturbed_mean": 0.4, "technical_duplicate": 0.9}
    rows = leaderboard_rows(
        [
            record(
                key=name,
                model=name,
                role="ceiling" if name == "technical_duplicate" else "baseline",
                values=(None if name == without else value,),
                neutral=None,
            )
            for name, value in made.items()
        ]
    )
    normalised = {row.model: row.judgement.normalised for row in rows}
    assert normalised["ours"] is None
    assert normalised[without] is None


def test_equal_models_are_no_better_under_an_error_either(record: MakeRecord) -> None:
    made = [
        record(key=name, model=name, values=HIGH, metric="mse", higher_is_better=False)
        for name in ("a", "perturbed_mean")
    ]
    (table,) = metric_tables(made)
    found = ScoreGrid.of(table).compare(["a"], "perturbed_mean")
    assert not table.is_better(found["a"])


def test_many_rivals_take_more_draws(record: MakeRecord) -> None:
    made = [
        record(key=str(i), model=f"m{i}", values=tuple(value + i / 100 for value in HIGH))
        for i in range(31)
    ]
    (table,) = metric_tables(made)
    found = corrected_differences(ScoreGrid.of(table), "m0", [f"m{i}" for i in range(1, 31)])
    comparison, p_value = found["m30"]
    assert comparison.p_value == pytest.approx(2 / (80 * 30 + 1))
    assert p_value == pytest.approx(60 / (80 * 30 + 1))


def test_seeds_are_shown_under_every_metric(record: MakeRecord) -> None:
    rows = seed_rows([two_metrics(record)])
    assert [(row.metric, row.model) for row in rows] == [
        ("pearson_delta", "a"),
        ("pearson_delta", "b"),
        ("mse", "a"),
        ("mse", "c"),
    ]
