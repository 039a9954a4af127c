from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from dygenept.leaderboard.board_key import group_records
from dygenept.leaderboard.notes import board_notes, planted_note
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.results.records import RunRecord
from dygenept_cli.views.boards import Format, laid_out, written

MakeRecord = Callable[..., RunRecord]


def render_boards(
    boards: list[list[RunRecord]], *, chosen: Format, metrics: tuple[str, ...] = ()
) -> str:
    return written(laid_out(boards, metrics=metrics), chosen, metrics=metrics, all_metrics=False)


@pytest.fixture
def records(record: MakeRecord) -> list[RunRecord]:
    """Two models on two folds of unequal size."""
    return [
        record(key="1", model="additive", fold=0, values=(0.2, 0.4)),
        record(key="2", model="additive", fold=1, values=(0.9,)),
        record(key="3", model="ridge[x=1]", fold=0, values=(0.1, None)),
        record(key="4", model="ridge[x=1]", fold=1, values=(0.3,)),
    ]


def test_mean_is_over_folds_and_pooled_over_perturbations(records: list[RunRecord]) -> None:
    best, other = leaderboard_rows(records)
    assert best.model == "additive"
    assert best.total.mean == pytest.approx((0.3 + 0.9) / 2)
    assert best.total.pooled == pytest.approx((0.2 + 0.4 + 0.9) / 3)
    assert best.total.std == pytest.approx(0.6 / 2**0.5)
    assert best.total.stderr == pytest.approx(0.3)
    assert (best.total.n_folds, best.total.n_perturbations, best.total.n_undefined) == (2, 3, 0)
    assert (best.rank, other.rank) == (1, 2)
    # Two different perturbations have no interval.
    assert (best.total.ci_low, best.total.ci_high) == (None, None)


def test_an_undefined_value_counts_as_neutral_and_is_counted(records: list[RunRecord]) -> None:
    other = leaderboard_rows(records)[1]
    assert other.total.pooled == pytest.approx((0.1 + 0.0 + 0.3) / 3)
    assert other.total.n_undefined == 1


def test_equal_values_share_the_better_rank(record: MakeRecord) -> None:
    rows = leaderboard_rows(
        [
            record(key="1", model="a", values=(0.5,)),
            record(key="2", model="b", values=(0.5,)),
            record(key="3", model="c", values=(0.1,)),
        ]
    )
    assert [(row.model, row.rank) for row in rows] == [("a", 1), ("b", 1), ("c", 3)]
    # Of one perturbation, a tie says nothing.
    assert [row.judgement.is_best for row in rows] == [False, False, False]


def test_simulated_and_real_results_never_share_a_leaderboard(record: MakeRecord) -> None:
    groups = group_records([record(key="1"), record(key="2", model="b", simulated=True)])
    assert sorted((key.is_simulated, len(members)) for key, members in groups.items()) == [
        (False, 1),
        (True, 1),
    ]


def test_versions_of_a_simulated_data_set_never_share_a_leaderboard(record: MakeRecord) -> None:
    # A new version of the simulator gives other cells under the same name.
    old = record(key="1", dataset="sim:toy", simulated=True)
    other = old.dataset.model_copy(update={"sha256": "other cells"})
    new = old.model_copy(update={"key": "2", "dataset": other})
    groups = group_records([old, new])
    assert sorted((key.dataset, len(members)) for key, members in groups.items()) == [
        ("sim:toy", 1),
        ("sim:toy", 1),
    ]


def test_draws_of_a_simulated_data_set_never_share_a_leaderboard(record: MakeRecord) -> None:
    # Records from before draws were recorded, of draw 0, beside those of the draw that ships.
    former = record(key="1", dataset="sim:norman", simulated=True)
    other = former.dataset.model_copy(update={"sha256": "other cells", "draw": 1})
    new = former.model_copy(update={"key": "2", "dataset": other})
    groups = group_records([former, new])
    assert [len(members) for members in groups.values()] == [1, 1]
    assert sorted(members[0].dataset.draw or 0 for members in groups.values()) == [0, 1]


def test_a_board_says_which_draw_its_effects_were_planted_in(record: MakeRecord) -> None:
    made = record(dataset="sim:norman", simulated=True)
    planted = {"planted": {"common": 0.6, "own": 0.4}}
    told = made.dataset.model_copy(update=planted | {"draw": 1})
    (note,) = (
        note
        for note in board_notes(leaderboard_rows([made]), made.model_copy(update={"dataset": told}))
        if "planted" in note
    )
    assert note == (
        "Variance of the planted effects of draw 1: 60% common to all perturbations, "
        "40% of the gene alone"
    )
    assert planted_note(made.dataset.model_copy(update=planted)).startswith(
        "Variance of the planted effects: 60%"
    )
    assert planted_note(made.dataset) == ""


def test_the_later_of_two_records_of_one_fold_counts(record: MakeRecord) -> None:
    old = record(key="1", values=(0.1,), created="2026-01-01T00:00:00+00:00")
    new = record(key="2", values=(0.7,), created="2026-01-02T00:00:00+00:00")
    (members,) = group_records([new, old]).values()
    assert [item.key for item in members] == ["2"]


@pytest.mark.parametrize("chosen", ["table", "json", "csv", "markdown", "latex", "html"])
def test_every_format_names_models_values_and_simulation(record: MakeRecord, chosen: str) -> None:
    text = render_boards(
        [[record(model="small[a=1]", values=(0.125,), simulated=True)]],
        chosen=chosen,
    )
    assert "small[a=1]" in text
    assert "0.125" in text
    assert "simulated" in text.lower()


def test_json_and_csv_can_be_read_back(records: list[RunRecord]) -> None:
    (document,) = json.loads(render_boards([records], metrics=("pearson_delta",), chosen="json"))
    assert [row["rank"] for row in document["leaderboard"]] == [1, 2]
    rows = list(csv.DictReader(io.StringIO(render_boards([records], chosen="csv"))))
    assert [row["model"] for row in rows] == ["additive", "ridge[x=1]"]
    assert float(rows[0]["pooled"]) == pytest.approx(0.5)
