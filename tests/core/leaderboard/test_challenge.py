"""The Virtual Cell Challenge's score, with the values that cell-eval's own function gave."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dygenept.leaderboard.challenge import challenge_note, challenge_scores, from_baseline
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]

# Mean scores of a user's model and of the baseline, and what score_agg_metrics made of them.
USER = {"mae": 0.02, "perturbation_discrimination": 0.7, "des": 0.1}
BASE = {"mae": 0.03, "perturbation_discrimination": 0.5, "des": 0.2}
CELL_EVAL = {"mae": 1 / 3, "perturbation_discrimination": 0.4, "des": 0.0}
AVERAGE = 0.24444444444444438


def test_scaled_scores_are_those_of_cell_eval() -> None:
    for name, expected in CELL_EVAL.items():
        best = 0.0 if name == "mae" else 1.0
        assert from_baseline(USER[name], BASE[name], best) == pytest.approx(expected)
    assert from_baseline(None, 0.5, 1.0) == from_baseline(0.5, 1.0, 1.0) == 0.0


def test_a_board_with_the_three_metrics_names_the_score_of_each_model(record: MakeRecord) -> None:
    records = [
        record(
            key=f"{model}{name}",
            model=model,
            fold=fold,
            values=(values[name],),
            metric=name,
            higher_is_better=name != "mae",
            neutral=None,
        )
        for model, values in (("mine", USER), ("perturbed_mean", BASE))
        for fold, name in enumerate(USER)
    ]
    rows = leaderboard_rows(records)
    assert challenge_scores(rows) == pytest.approx({"mine": AVERAGE, "perturbed_mean": 0.0})
    assert list(challenge_scores(rows)) == ["mine", "perturbed_mean"]
    assert "mine 0.244, perturbed_mean 0.000" in challenge_note(rows)
    without = [row for row in rows if row.metric != "des"]
    assert (challenge_scores(without), challenge_note(without)) == ({}, "")
