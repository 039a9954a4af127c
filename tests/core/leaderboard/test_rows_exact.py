"""Rows and what groups records into boards, number by number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dygenept.leaderboard.board_key import BoardKey, group_records
from dygenept.leaderboard.calibration import NO_CONTROLS
from dygenept.leaderboard.judgements import MIN_GAP
from dygenept.leaderboard.rows import (
    LEADERBOARD,
    LeaderboardRow,
    leaderboard_rows,
)
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


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
        "unit": "perturbation",
        "n_distinct_genes": None,
        "n_cell_types": 1,
        "n_undefined": 1,
        "rank": 1,
        "role": "baseline",
        "higher_is_better": True,
        "is_best": False,
        "indistinguishable_from_best": False,
        "reference": None,
        "beats_reference": None,
        "p_value": None,
        "p_corrected": None,
        "n_family": None,
        "above_ceiling": None,
        "doubts": [],
        "calibrated": None,
        "calibration_reason": NO_CONTROLS,
        "dynamic_range": None,
        "dynamic_range_low": None,
        "dynamic_range_high": None,
        "gap_closed": None,
        "gap_low": None,
        "gap_high": None,
        "gap_reason": None,
        "echo_of": None,
        "min_gap": MIN_GAP,
        "normalised": None,
        "normalised_reason": None,
        "normalised_by": {},
        "cells_min": None,
        "cells_median": None,
        "chance": None,
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


def cell(row: LeaderboardRow, name: str) -> object:
    """What a column of a terminal's table shows of a row."""
    (column,) = [item for item in LEADERBOARD.columns if item.name == name]
    value = column.value(row)
    return value if column.short is None else column.short(value)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.05, 0.1, "[0.050, 0.10]"),
        (-0.0999, 0.0, "[−0.100, 0.00]"),
        (-1.5, 0.99, "[−1.50, 0.99]"),
        (None, 1.0, "–"),
    ],
)
def test_an_interval_shows_small_ends_with_one_digit_more(
    record: MakeRecord, low: float | None, high: float, shown: str
) -> None:
    (row,) = leaderboard_rows([record(values=(0.5,))])
    total = replace(row.total, ci_low=low, ci_high=high)
    assert cell(replace(row, total=total), "interval") == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(-0.001, "0.00"), (-0.006, "−0.01"), (0.456, "0.46"), (1.0, "1.00")]
)
def test_a_gap_closed_by_less_than_half_a_hundredth_has_no_sign(
    record: MakeRecord, share: float, shown: str
) -> None:
    (row,) = leaderboard_rows([record(values=(0.5,))])
    judged = replace(row.judgement, gap_closed=share)
    assert cell(replace(row, judgement=judged), "gap_closed") == shown
