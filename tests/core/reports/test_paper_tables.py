from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from dygenept.leaderboard.boards import leaderboard_of
from dygenept.reports.paper_tables import wide
from dygenept.results.records import RunRecord


def test_markdown_has_one_row_per_model_and_the_best_in_bold(
    board_records: list[RunRecord],
) -> None:
    text = wide([leaderboard_of(board_records)], "markdown")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == "| model | pearson_delta ↑ |"
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[1:]] == [
        "ridge",
        "mine (submitted)",
        "linear",
        "perturbed_mean †",
        "technical_duplicate *(apart)*",
    ]
    assert rows[1].startswith("| ridge | **0.459** [")
    assert text.count("**") == 2


def test_nothing_is_bold_where_no_model_is_shown_to_beat_the_reference(
    record: Callable[..., RunRecord],
) -> None:
    levels = (0.4, 0.1, 0.5, 0.2, 0.3, 0.6, 0.1, 0.4)
    records = [
        record(key=f"{number:032d}", model=name, values=values)
        for number, (name, values) in enumerate(
            {
                "perturbed_mean": levels,
                "ridge": levels[::-1],
                "control_mean": levels[4:] + levels[:4],
            }.items()
        )
    ]
    board = leaderboard_of(records)
    # Each of them cannot be told from the best, and none is an advance.
    assert all(row.judgement.indistinguishable_from_best for row in board.overall.rows)
    assert "**" not in wide([board], "markdown")
    assert r"\textbf" not in wide([board], "latex")


def test_latex_has_rules_of_booktabs_and_sets_ceilings_apart(
    board_records: list[RunRecord],
) -> None:
    text = wide([leaderboard_of(board_records)], "latex")
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert text.count(r"\midrule") == 2
    assert r"ridge & \textbf{0.459} {\scriptsize [" in text
    assert r"perturbed\_mean \dag{} &" in text
    last = text.split(r"\midrule")[-1]
    assert last.startswith("\ntechnical\\_duplicate &")
    assert r"pearson\_delta $\uparrow$" in text


def test_csv_has_value_interval_and_marks_of_every_metric(board_records: list[RunRecord]) -> None:
    board = leaderboard_of(board_records)
    rows = list(csv.DictReader(io.StringIO(wide([board], "csv"))))
    assert rows[0]["model"] == "technical_duplicate"
    (ridge,) = [row for row in rows if row["model"] == "ridge"]
    assert float(ridge["pearson_delta"]) == pytest.approx(0.459)
    assert float(ridge["pearson_delta_low"]) < 0.459 < float(ridge["pearson_delta_high"])
    assert ridge["pearson_delta_marks"] == "*"
    assert ridge["dataset"] == "toy"


def test_chosen_metrics_are_shown_in_their_order(board_records: list[RunRecord]) -> None:
    more = [
        of.model_copy(
            update={
                "metrics": (
                    *of.metrics,
                    of.metrics[0].model_copy(update={"name": "mse", "higher_is_better": False}),
                )
            }
        )
        for of in board_records
    ]
    board = leaderboard_of(more)
    text = wide([board], "markdown", metrics=("mse", "pearson_delta"))
    assert "| model | mse ↓ | pearson_delta ↑ |" in text


def test_hostile_names_are_escaped(board_records: list[RunRecord]) -> None:
    named = [of.model_copy(update={"model": f"a|b&{of.model}"}) for of in board_records]
    assert r"| a\|b\&ridge |" in wide([leaderboard_of(named)], "markdown")
    assert r"a\textbar{}b\&ridge &" in wide([leaderboard_of(named)], "latex")


def test_parts_are_tables_of_their_own(board_records: list[RunRecord]) -> None:
    board = leaderboard_of(board_records, by="subgroup")
    assert wide([board], "markdown").count("### ") == 2
    rows = list(csv.DictReader(io.StringIO(wide([board], "csv"))))
    assert {row["group"] for row in rows} == {"unseen_single", "combo_seen1"}
