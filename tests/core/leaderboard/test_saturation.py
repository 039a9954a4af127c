"""How much of the range simple models cover, and boards by that and by the number of DE genes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from dygenept.errors import ResultsError
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.formats import render
from dygenept.leaderboard.groups import grouped_rows
from dygenept.leaderboard.saturation import saturation
from dygenept.results.records import RunRecord
from dygenept_cli.views.boards import FORMATS, Format, laid_out, written

MakeRecord = Callable[..., RunRecord]
# On each perturbation: the reference, the ceiling, two simple models and one that is not simple.
LEVELS = {
    "perturbed_mean": (0.2, 0.2, 0.2, 0.2, 0.6, 0.2),
    "control_mean": (0.0,) * 6,
    "technical_duplicate": (0.7, 0.7, 0.7, 0.7, 0.5, 0.7),
    "ridge": (0.6, 0.3, 0.0, 0.9, 0.4, 0.3),
    "knn_go": (0.1, 0.45, 0.25, 0.0, 0.4, 0.1),
    "network": (0.9,) * 6,
}
SHARES = (0.8, 0.5, 0.1, 1.0, None, 0.2)
REGIMES = ("solved", "contested", "resistant", "solved", "noise", "resistant")


@pytest.fixture
def records(record: MakeRecord) -> list[RunRecord]:
    made = []
    for name, values in LEVELS.items():
        role = "ceiling" if name == "technical_duplicate" else "baseline"
        of = record(key=name, model=name, role=role, values=values, metric="score")
        counts = {
            "K562": {f"g{place}+ctrl": count for place, count in enumerate((0, 1, 5, 9, 0, 2))}
        }
        made.append(of.model_copy(update={"n_de_genes": counts}))
    return made


def test_each_perturbation_has_the_share_that_the_best_simple_model_covers(
    records: list[RunRecord],
) -> None:
    found = saturation(records, "score")
    assert [item.regime for item in found] == list(REGIMES)
    for item, share in zip(found, SHARES, strict=True):
        assert item.share == (None if share is None else pytest.approx(share))
    assert [item.model for item in found[:3]] == ["ridge", "knn_go", "knn_go"]


def test_an_error_is_covered_the_other_way(record: MakeRecord) -> None:
    values = {"perturbed_mean": 1.0, "technical_duplicate": 0.2, "ridge": 0.4}
    made = [
        record(key=name, model=name, values=(of,), metric="mse", higher_is_better=False)
        for name, of in values.items()
    ]
    (found,) = saturation(made, "mse")
    assert (found.share, found.regime) == (pytest.approx(0.75), "contested")


@pytest.mark.parametrize("lacking", ["perturbed_mean", "technical_duplicate", "ridge"])
def test_without_what_it_takes_it_says_what_to_run(records: list[RunRecord], lacking: str) -> None:
    also = {"perturbed_mean": "control_mean", "ridge": "knn_go"}.get(lacking, "")
    kept = [of for of in records if of.model not in (lacking, also)]
    with pytest.raises(ResultsError, match="no saturation of score: it needs"):
        saturation(kept, "score")


def test_a_board_by_regime_claims_nothing_and_says_how_much_is_covered(
    records: list[RunRecord],
) -> None:
    board = leaderboard_of(records, by="regime")
    assert [part.name for part in board.parts] == ["solved", "contested", "resistant", "noise"]
    assert [part.n_perturbations for part in board.parts] == [2, 1, 2, 1]
    for row in board.rows:
        assert (row.judgement.is_best, row.judgement.beats_reference) == (False, None)
        assert row.marks == ""
    (document,) = json.loads(render([board], "json"))
    assert document["by"] == "regime"
    assert [item["regime"] for item in document["saturation"]] == list(REGIMES)
    assert {item["fold"] for item in document["saturation"]} == {1}
    note = document["notes"][-1]
    assert "regimes by score: 2 solved, 1 contested, 2 resistant, 1 noise" in note
    # (0.8 + 0.5 + 0.1 + 1.0 + 0.2) / 5
    assert "covers 0.52 [" in note


def test_de_genes_cut_at_the_median_of_those_that_have_some(records: list[RunRecord]) -> None:
    rows = grouped_rows(records, "de_genes")
    sizes = {row.group: row.total.n_perturbations for row in rows}
    # Of 1, 2, 5 and 9 the median is 3.5.
    assert sizes == {"no DE genes": 2, "1 to 3 DE genes": 2, "over 3 DE genes": 2}
    assert list(sizes) == ["no DE genes", "1 to 3 DE genes", "over 3 DE genes"]
    assert leaderboard_of(records, by="de-genes").by == "de_genes"


def test_records_without_counts_say_how_to_get_them(record: MakeRecord) -> None:
    with pytest.raises(ResultsError, match="run the bench again with --no-resume"):
        grouped_rows([record(values=(0.5,))], "de_genes")


@pytest.mark.parametrize("by", ["effect", "de_genes", "regime"])
@pytest.mark.parametrize("chosen", FORMATS)
def test_every_format_has_number_and_interval_of_each_part(
    record: MakeRecord, chosen: Format, by: str
) -> None:
    n = 12
    labels = [f"g{place}+ctrl" for place in range(n)]
    sizes = {"K562": {label: float(place) for place, label in enumerate(labels)}}
    counts = {"K562": {label: place for place, label in enumerate(labels)}}
    levels = {"perturbed_mean": 0.0, "technical_duplicate": 1.0, "ridge": 0.5}
    made = [
        record(
            key=name,
            model=name,
            role="ceiling" if level == 1.0 else "baseline",
            effects=sizes,
            values=tuple(level + 0.001 * (place % 5) for place in range(n)),
        ).model_copy(update={"n_de_genes": counts})
        for name, level in levels.items()
    ]
    text = written(laid_out([made], by=by), chosen, metrics=(), all_metrics=False)
    if chosen in ("table", "html"):
        assert re.search(r"\[0\.[45]\d+, 0\.5\d+\]", text)
        assert "n=" in text or "perturbations" in text
    else:
        for name in ("n_perturbations", "ci_low", "ci_high"):
            assert name in text.replace("\\", "")
