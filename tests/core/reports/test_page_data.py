from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dygenept.leaderboard.boards import leaderboard_of
from dygenept.reports.changes import NO_TRUTH, TopChanges
from dygenept.reports.packed import ALPHABET, pack, pack_whole
from dygenept.reports.page import page_board
from dygenept.reports.page_data import packed_changes, page_data
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

MakeRecord = Callable[..., RunRecord]


def whole(signs: str, digits: int) -> list[int]:
    """Read what a page's script reads."""
    found = []
    for start in range(0, len(signs), digits):
        value = 0
        for sign in signs[start : start + digits]:
            value = 64 * value + ALPHABET.index(sign)
        found.append(value)
    return found


@pytest.mark.parametrize("digits", [2, 3])
def test_packed_numbers_come_back_within_a_step(digits: int) -> None:
    values = np.array([-1.5, 0.25, np.nan, 7.0, np.inf])
    low, high, signs = pack(values, digits=digits).document()
    top = 64**digits - 3
    places = whole(str(signs), digits)
    assert places[2] == top + 1
    assert places[4] == top + 2
    for place, value in zip(np.array(places)[[0, 1, 3]], values[[0, 1, 3]], strict=True):
        assert low + (high - low) * place / top == pytest.approx(value, abs=8.5 / top)  # type: ignore[operator]


def test_a_row_of_one_value_and_an_empty_one_are_packed() -> None:
    assert pack(np.array([0.3, 0.3])).document()[:2] == [0.3, 0.3]
    assert whole(pack(np.array([np.nan])).signs, 2) == [64**2 - 2]


def test_whole_numbers_are_packed_row_by_row() -> None:
    assert whole(pack_whole(np.array([[0, 63], [64, 4095]]), digits=2), 2) == [0, 63, 64, 4095]


def test_a_page_has_every_score_in_the_order_of_its_units(board_records: list[RunRecord]) -> None:
    document = page_data(page_board(leaderboard_of(board_records), board_records))
    names = [model["name"] for model in document["models"]]  # type: ignore[union-attr, index]
    assert names[0] == "technical_duplicate"
    scores = document["scores"]
    low, high, signs = scores["of"]["pearson_delta"][names.index("ridge")]  # type: ignore[index]
    places = whole(signs, scores["digits"])  # type: ignore[index]
    top = 64 ** scores["digits"] - 3  # type: ignore[index]
    assert places[-1] == top + 1
    values = [low + (high - low) * place / top for place in places[:-1]]
    assert values == pytest.approx([0.5 + 0.01 * (place % 3) for place in range(9)], abs=1e-6)
    assert document["units"]["names"][:2] == ["g0+ctrl", "g1+ctrl"]  # type: ignore[index]


def test_parts_are_those_of_the_groupings_and_reasons_where_there_are_none(
    board_records: list[RunRecord],
) -> None:
    parts = page_data(page_board(leaderboard_of(board_records), board_records))["parts"]
    assert set(parts["subgroup"]["names"]) == {"unseen_single", "combo_seen1"}  # type: ignore[index]
    assert whole(parts["subgroup"]["of"], 1).count(0) in (4, 6)  # type: ignore[index]
    assert parts["regime"]["names"]  # type: ignore[index]
    assert "the number of DE genes is not recorded" in parts["de_genes"]  # type: ignore[index]


def test_without_predictions_the_page_says_why(
    board_records: list[RunRecord], tmp_path: Path
) -> None:
    shown = page_board(leaderboard_of(board_records), board_records, results=ResultsStore(tmp_path))
    assert page_data(shown)["changes"] == {"missing": NO_TRUTH}


def changes_of_three() -> TopChanges:
    rng = np.random.default_rng(0)
    genes = np.array([[2, 0, -1], [1, 2, 0]], dtype=np.int32)
    true = np.where(genes >= 0, rng.normal(size=(2, 3)), np.nan)
    return TopChanges(("A", "B", "C"), genes, true, {"m": 0.5 * true, "n": 9 * true})


def test_packed_changes_come_back_in_units_of_the_largest_measured_one() -> None:
    found = changes_of_three()
    document = packed_changes(found, ["m", "n"], room=10**6)
    scale = np.array(document["scale"])

    def read(text: object) -> np.ndarray:
        places = np.frombuffer(base64.b64decode(str(text)), dtype=np.uint8).astype(float)
        values = (places / 254 * 2 - 1) * 2.0 * np.repeat(scale, 3)
        return np.where(places > 254, np.nan, values).reshape(2, 3)

    step = 2.0 * scale[:, None] / 127
    assert np.nanmax(np.abs(read(document["true"]) - found.true) / step) <= 0.51
    assert np.nanmax(np.abs(read(document["of"]["m"]) - 0.5 * found.true) / step) <= 0.51  # type: ignore[index]
    # What goes far beyond is drawn at the edge.
    assert np.nanmax(np.abs(read(document["of"]["n"]))) == pytest.approx(2.0 * scale.max())  # type: ignore[index]
    assert np.isnan(read(document["true"])[0, 2])
    symbols = document["symbols"]
    places = whole(str(document["genes"]), 2)
    assert [symbols[place] for place in places if place < 3] == ["C", "A", "B", "C", "A"]  # type: ignore[index]


def test_where_changes_do_not_fit_the_last_models_are_left_out_by_name() -> None:
    document = packed_changes(changes_of_three(), ["m", "n"], room=0)
    assert list(document["of"]) == ["m"]  # type: ignore[call-overload]
    assert "the changes of n" in str(document["missing"])
