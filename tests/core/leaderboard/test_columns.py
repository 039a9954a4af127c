"""One list of columns serves every format."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from dygenept.leaderboard import across_seeds
from dygenept.leaderboard import rows as leaderboard
from dygenept.leaderboard.boards import leaderboard_of, seed_boards
from dygenept.leaderboard.columns import MISSING, Column, decimal, lead_metric, number
from dygenept.leaderboard.formats import render
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.machine.terminal import safe_console
from dygenept.reports import page
from dygenept.results.records import RunRecord
from dygenept_cli.views.boards import FORMATS, Format, laid_out, written

MakeRecord = Callable[..., RunRecord]


def render_boards(
    boards: Sequence[Sequence[RunRecord]],
    *,
    chosen: Format,
    metrics: Sequence[str] = (),
    across_seeds: bool = False,
) -> str:
    """Write boards as the command does."""
    found = seed_boards(boards) if across_seeds else laid_out(boards, metrics=metrics)
    return written(found, chosen, metrics=metrics, all_metrics=False)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dygenept_cli.console.stdout", lambda: safe_console(width=160))


@pytest.fixture
def records(record: MakeRecord) -> list[RunRecord]:
    made = [("a", "model", 0.9), ("b", "baseline", 0.4), ("top", "ceiling", 1.0)]
    return [
        record(key=name, model=name, role=role, values=(value,) * 3, simulated=True)
        for name, role, value in made
    ]


@pytest.mark.parametrize("chosen", FORMATS)
def test_a_column_that_is_added_in_one_place_shows_in_every_format(
    records: list[RunRecord], monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    column = Column("doubled", lambda row: 2000.0 * (row.total.pooled or 0.0))
    layout = replace(leaderboard.LEADERBOARD, columns=(*leaderboard.LEADERBOARD.columns, column))
    # The page knows a leaderboard by its layout, wherever it was imported before.
    monkeypatch.setattr(leaderboard, "LEADERBOARD", layout)
    monkeypatch.setattr(page, "LEADERBOARD", layout)
    text = render_boards([records], chosen=chosen)  # type: ignore[arg-type]
    assert "doubled" in text
    for value in ("1800.0", "800.0", "2000.0"):
        assert value in text


@pytest.mark.parametrize("chosen", FORMATS)
def test_so_does_a_column_of_a_board_over_seeds(
    record: MakeRecord, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    column = Column("range", lambda row: row.high - row.low)
    layout = replace(across_seeds.SEEDS, columns=(*across_seeds.SEEDS.columns, column))
    monkeypatch.setattr(across_seeds, "SEEDS", layout)
    boards = [[record(key=f"{seed}", seed=seed, values=(seed / 8,))] for seed in (1, 4)]
    text = render_boards(boards, chosen=chosen, across_seeds=True)  # type: ignore[arg-type]
    assert "range" in text
    assert "0.375" in text


def test_json_keeps_the_fields_that_programs_read(records: list[RunRecord]) -> None:
    (document,) = json.loads(render([leaderboard_of(records)], "json"))
    assert list(document) == [
        *("schema_version", "dataset", "split", "suite", "de_list", "lead_metric"),
        *("leaderboard", "references", "notes"),
    ]
    assert set(document["leaderboard"][0]) == {
        *("model", "role", "metric", "higher_is_better", "rank"),
        *("mean", "std", "stderr", "pooled", "ci_low", "ci_high"),
        *("n_folds", "n_perturbations", "n_undefined"),
        *("n_distinct_perturbations", "n_cell_types", "is_best", "indistinguishable_from_best"),
        *("unit", "n_distinct_genes"),
        *("reference", "beats_reference", "p_value", "p_corrected", "min_gap", "echo_of"),
        *("gap_closed", "gap_low", "gap_high", "gap_reason", "normalised", "normalised_reason"),
        *("normalised_by", "cells_min", "cells_median", "chance"),
        *("n_family", "above_ceiling", "doubts", "calibrated", "calibration_reason"),
        *("dynamic_range", "dynamic_range_low", "dynamic_range_high"),
    }
    assert leaderboard.leaderboard_rows(records)[0].document() == document["leaderboard"][0]


def test_json_over_seeds_keeps_its_fields(record: MakeRecord) -> None:
    boards = seed_boards([[record(key="1", seed=1, values=(0.5,))]])
    (document,) = json.loads(render(boards, "json"))
    assert document["split"] == {"name": "kfold", "n_folds": 2}
    assert document["seeds"] == [1]
    assert set(document["across_seeds"][0]) == {
        *("model", "role", "metric", "higher_is_better", "rank"),
        *("mean", "std", "low", "high", "n_seeds", "by_seed"),
    }


def test_csv_markdown_and_latex_have_the_same_columns_in_the_same_order(
    records: list[RunRecord],
) -> None:
    board = leaderboard_of(records)
    head = next(csv.reader(io.StringIO(render([board], "csv"))))
    data = [name for name in head if name not in board.origin()]
    paper = re.findall(r"[a-z_]+", render([board], "markdown").splitlines()[2])
    latex = re.findall(r"[a-z_]+", render([board], "latex").split("\\hline\n")[1].replace("\\", ""))
    assert paper == latex
    assert [name for name in paper if name in data] == [name for name in data if name in paper]
    judgements = {
        *("is_best", "indistinguishable_from_best", "reference", "beats_reference", "p_value"),
        *("n_distinct_perturbations", "n_cell_types", "echo_of", "unit", "n_distinct_genes"),
        *("cells_min", "cells_median", "chance"),
        *("n_distinct_perturbations", "n_cell_types", "echo_of", "n_family", "above_ceiling"),
        *("calibrated", "dynamic_range", "calibration_reason"),
    }
    assert set(data) - set(paper) == judgements
    assert set(paper) - set(data) == {"marks"}


def test_a_group_is_a_column_only_where_a_board_has_groups(records: list[RunRecord]) -> None:
    whole, parts = leaderboard_of(records), leaderboard_of(records, by="cell_type")
    for chosen in ("csv", "markdown", "latex"):
        assert "group" not in render([whole], chosen)
        assert "group" in render([parts], chosen)
    assert "group" not in json.loads(render([whole], "json"))[0]["leaderboard"][0]
    (document,) = json.loads(render([parts], "json"))
    assert document["by"] == "cell_type"
    assert {row["group"] for row in document["leaderboard"]} == {"K562"}


@pytest.mark.parametrize("chosen", ["table", "html"])
def test_folds_show_only_where_some_are_missing(
    records: list[RunRecord], record: MakeRecord, chosen: str
) -> None:
    # The split has two folds; the fixture's models have one.
    partial = render_boards([records], chosen=chosen)  # type: ignore[arg-type]
    assert "1/2" in partial
    others = [
        record(key=f"{item.key}1", model=item.model, role=item.role, fold=1, simulated=True)
        for item in records
    ]
    text = render_boards([[*records, *others]], chosen=chosen)  # type: ignore[arg-type]
    assert "2/2" not in text


def test_names_are_escaped_in_every_format(record: MakeRecord) -> None:
    board = leaderboard_of([record(model="a|b<i>&_[bold]", values=(0.5,))])
    assert "a\\|b\\<i\\>" in render([board], "markdown")
    assert r"a\textbar{}b\textless{}i\textgreater{}\&\_[bold]" in render([board], "latex")
    assert "[bold]" in render_boards([[record(model="a[bold]", values=(0.5,))]], chosen="table")


def test_no_board_is_an_empty_document() -> None:
    assert json.loads(render([], "json")) == []
    assert render([], "markdown") == ""


@pytest.mark.parametrize(
    ("value", "short", "long"),
    [
        (None, MISSING, MISSING),
        (0.5, "0.500", "0.5000"),
        (0.05, "0.0500", "0.0500"),
        (0.0004, "0.00040", "0.0004"),
        (-7.6e-4, "−0.00076", "−0.0008"),
        (0.0, "0.000", "0.0000"),
        (-0.05, "−0.0500", "−0.0500"),
        (-1e-12, "0.00000000", "0.0000"),
        (float("-inf"), "−inf", "−inf"),
        (12, "12", "12"),
        (True, "True", "True"),
        ("1/2", "1/2", "1/2"),
    ],
)
def test_values_are_written_in_few_digits(value: object, short: str, long: str) -> None:
    assert (number(value), decimal(value)) == (short, long)


def test_the_leading_metric_is_the_first_known_one_with_a_value(record: MakeRecord) -> None:
    def rows(*metrics: str, values: tuple[float | None, ...] = (0.5,)) -> list[LeaderboardRow]:
        made = [record(metric=name, values=values, neutral=0.0) for name in metrics]
        return [row for item in made for row in leaderboard.leaderboard_rows([item])]

    assert lead_metric(rows("mse", "mse_top20", "pearson_delta_top20")) == "pearson_delta_top20"
    assert lead_metric(rows("mine", "mse")) == "mine"
    undefined = rows("pearson_delta_top20", values=(None, None))
    assert lead_metric([*undefined, *rows("mse")]) == "mse"
