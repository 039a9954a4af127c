"""What a board says of predictions that somebody handed in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from core.leaderboard.attacked_boards import MakeRecord, by_place, records_of

from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.results.records import RunRecord, SubmissionRecord
from dygenept_cli.views.boards import FORMATS, Format, laid_out, written


def submitted(records: Sequence[RunRecord], *names: str, by: str = "") -> list[RunRecord]:
    """Say of some records that one submitter handed them in."""
    return [
        of.model_copy(
            update={
                "role": "submitted",
                "submission": SubmissionRecord(name=of.model, submitter=by),
            }
        )
        if of.model in names
        else of
        for of in records
    ]


def test_what_one_submitter_hands_in_is_one_family_and_what_others_hand_in_is_not(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(1)
    truth = predictions["truth"]
    junk = {f"junk{number}": truth + 2 * rng.normal(size=truth.shape) for number in range(19)}
    made = records_of(record, {**predictions, **junk})
    named = submitted(submitted(made, *junk), "model", by="lab")
    judged = by_place(leaderboard_rows(named))["model", "mse"].judgement
    assert (judged.n_family, judged.p_corrected) == (1, judged.p_value)
    unnamed = submitted(made, *junk, "model")
    rows = leaderboard_rows(unnamed)
    judged = by_place(rows)["model", "mse"].judgement
    assert judged.n_family == 20
    assert judged.p_value is not None
    assert judged.p_corrected == pytest.approx(20 * judged.p_value)
    assert any("corrected over all that its submitter handed in" in of for of in board_notes(rows))


def test_a_submission_that_beats_the_ceiling_is_to_be_checked_for_leakage(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    leaked = {
        "leak": 0.95 * predictions["truth"] + 0.05 * predictions["perturbed_mean"],
        "stolen": predictions["truth"] + 1e-4,
    }
    made = submitted(records_of(record, {**predictions, **leaked}), *leaked, "model")
    rows = leaderboard_rows(made)
    places = by_place(rows)
    for model, above in (("leak", True), ("stolen", True), ("model", False), ("truth", None)):
        assert places[model, "mse"].judgement.above_ceiling is above, model
    notes = board_notes(rows)
    assert any("leak (submitted) is above the ceiling on mse" in note for note in notes)
    assert not any("model (submitted) is above" in note for note in notes)
    # What has seen the truth gets no mark, and takes none from the model.
    for metric in ("mse", "pearson_delta"):
        assert places["stolen", metric].marks == ""
        assert places["stolen", metric].judgement.beats_reference is None
    assert by_place(leaderboard_rows([of for of in made if of.model != "leak"]))[
        "model", "mse"
    ].judgement.is_best
    without = [of for of in made if of.model not in ("technical_duplicate", "truth")]
    assert by_place(leaderboard_rows(without))["stolen", "mse"].judgement.above_ceiling is True
    assert by_place(leaderboard_rows(without))["model", "mse"].judgement.above_ceiling is False


@pytest.mark.parametrize("chosen", FORMATS)
def test_every_format_says_what_was_submitted(record: MakeRecord, chosen: Format) -> None:
    made = [record(key="a", model="ridge"), record(key="b", model="mine", role="submitted")]
    text = written(laid_out([made]), chosen, metrics=(), all_metrics=False)
    assert text.count("submitted") >= 1
    assert "submitted" not in text[text.index("ridge") :].partition("\n")[0]


def test_doubts_of_a_submission_are_said_on_its_board(record: MakeRecord) -> None:
    doubts = SubmissionRecord(name="mine", doubts=("filled in (--fill): 3 genes",))
    made = record(model="mine", role="submitted").model_copy(update={"submission": doubts})
    (row,) = leaderboard_rows([made])
    assert row.document()["doubts"] == ["filled in (--fill): 3 genes"]
    assert "mine (submitted): filled in (--fill): 3 genes" in board_notes([row])
