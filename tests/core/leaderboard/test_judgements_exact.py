"""Which models are best, what is normalised, and pairs of models of one table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from core.leaderboard.score_levels import HIGH, LOW

from dygenept.leaderboard.judgements import corrected_differences
from dygenept.leaderboard.metric_table import metric_tables
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


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


def test_a_control_without_a_value_is_named_as_what_is_missing(record: MakeRecord) -> None:
    mean, duplicate = "perturbed_mean", "technical_duplicate"

    def reasons(**models: float | None) -> set[str | None]:
        rows = leaderboard_rows(
            [
                record(
                    key=name,
                    model=name,
                    role="ceiling" if name == duplicate else "baseline",
                    neutral=None,
                    values=(value,),
                )
                for name, value in models.items()
            ]
        )
        return {row.judgement.normalised_by["technical_duplicate"].reason for row in rows}

    assert reasons(**{mean: 0.5, duplicate: None}) == {"technical_duplicate has no value here"}
    assert reasons(**{mean: None, duplicate: 0.5}) == {"perturbed_mean has no value here"}
    assert reasons(**{mean: None, duplicate: None}) == {"technical_duplicate has no value here"}
    assert reasons(**{mean: 0.25, duplicate: 0.5}) == {None}
