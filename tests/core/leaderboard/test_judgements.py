"""Marks, flags, the normalised score, and comparisons on one leaderboard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dygenept.errors import ConfigError
from dygenept.leaderboard.comparisons import compare_models, rank_models
from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
RNG = np.random.default_rng(0)
HARDNESS = RNG.normal(0.5, 0.1, 30)
NOISE = RNG.normal(0.0, 0.02, (6, 30))


def values(shift: float, noise: int) -> tuple[float, ...]:
    return tuple((HARDNESS + shift + NOISE[noise]).tolist())


@pytest.fixture
def records(record: MakeRecord) -> list[RunRecord]:
    """Two good models that cannot be told apart, a middling one, the mean, and ceilings."""
    made = [
        ("good", "model", values(0.3, 0)),
        ("twin", "model", values(0.3, 1)),
        ("middling", "baseline", values(0.1, 2)),
        ("perturbed_mean", "baseline", values(0.0, 3)),
        ("twin_of_mean", "baseline", values(0.0, 4)),
        ("worse", "baseline", values(-0.2, 5)),
        ("technical_duplicate", "ceiling", values(0.5, 0)),
        ("truth", "ceiling", (1.4,) * 30),
        ("shuffled", "floor", values(-0.5, 0)),
    ]
    return [
        record(key=str(number), model=name, role=role, values=of)
        for number, (name, role, of) in enumerate(made)
    ]


def by_model(rows: tuple[LeaderboardRow, ...]) -> dict[str, LeaderboardRow]:
    return {row.model: row for row in rows}


def test_what_cannot_be_told_from_the_best_is_marked_and_nothing_else(
    records: list[RunRecord],
) -> None:
    rows = by_model(leaderboard_rows(records))
    near = {name for name, row in rows.items() if row.judgement.indistinguishable_from_best}
    assert near == {"good", "twin"}
    (best,) = (name for name, row in rows.items() if row.judgement.is_best)
    assert best in near
    # Ceilings rank above it, and compete with no one.
    assert rows[best].rank == 3


def test_every_competitor_that_does_not_beat_the_mean_is_flagged(records: list[RunRecord]) -> None:
    rows = by_model(leaderboard_rows(records))
    beats = {name: row.judgement.beats_reference for name, row in rows.items()}
    assert beats == {
        "good": True,
        "twin": True,
        "middling": True,
        "twin_of_mean": False,
        "worse": False,
        "perturbed_mean": None,
        "technical_duplicate": None,
        "truth": None,
        "shuffled": None,
    }


def test_the_normalised_score_is_0_at_the_mean_and_1_at_the_duplicate(
    records: list[RunRecord],
) -> None:
    rows = by_model(leaderboard_rows(records))
    assert rows["perturbed_mean"].judgement.normalised == 0.0
    assert rows["technical_duplicate"].judgement.normalised == 1.0
    low, high = rows["perturbed_mean"].total.pooled, rows["technical_duplicate"].total.pooled
    assert low is not None
    assert high is not None
    for row in rows.values():
        assert row.total.pooled is not None
        assert row.judgement.normalised == pytest.approx((row.total.pooled - low) / (high - low))


def test_for_an_error_smaller_is_better_everywhere(record: MakeRecord) -> None:
    def errors(name: str, level: float, role: str = "baseline") -> RunRecord:
        found = tuple((level + 0.01 * HARDNESS).tolist())
        return record(
            key=name,
            model=name,
            role=role,
            values=found,
            metric="mse",
            higher_is_better=False,
            neutral=None,
        )

    rows = by_model(
        leaderboard_rows(
            [
                errors("good", 0.1),
                errors("bad", 0.9),
                errors("perturbed_mean", 0.5),
                errors("technical_duplicate", 0.05, "ceiling"),
            ]
        )
    )
    assert [rows[name].rank for name in ("good", "perturbed_mean", "bad")] == [2, 3, 4]
    assert rows["good"].judgement.is_best
    assert not rows["bad"].judgement.indistinguishable_from_best
    assert rows["good"].judgement.beats_reference is True
    assert rows["bad"].judgement.beats_reference is False
    assert rows["good"].judgement.normalised == pytest.approx(0.4 / 0.45)
    assert rows["bad"].judgement.normalised == pytest.approx(-0.4 / 0.45)


def test_without_the_references_the_questions_do_not_arise(records: list[RunRecord]) -> None:
    rows = leaderboard_rows([item for item in records if item.model in ("good", "middling")])
    assert [(row.judgement.beats_reference, row.judgement.normalised) for row in rows] == [
        (None, None)
    ] * 2


def test_an_undefined_value_is_paired_as_neutral_or_left_out(record: MakeRecord) -> None:
    first = record(key="1", model="a", values=(0.4, None, 0.2))
    second = record(key="2", model="b", values=(0.1, 0.3, None))
    (row,) = compare_models([first, second], ["a", "b"])
    assert row.n_perturbations == 3
    assert row.difference == pytest.approx((0.3 - 0.3 + 0.2) / 3)
    bare = [
        record(key=item.key, model=item.model, values=of, neutral=None)
        for item, of in ((first, (0.4, None, 0.2)), (second, (0.1, 0.3, None)))
    ]
    (row,) = compare_models(bare, ["a", "b"])
    assert (row.n_perturbations, row.difference) == (1, pytest.approx(0.3))


def test_models_are_compared_on_the_perturbations_that_both_have(record: MakeRecord) -> None:
    records = [
        record(key="1", model="a", fold=0, values=(0.5, 0.5)),
        record(key="2", model="a", fold=1, values=(0.9,)),
        record(key="3", model="b", fold=0, values=(0.1, 0.2)),
    ]
    (row,) = compare_models(records, ["a", "b"])
    assert (row.n_perturbations, row.difference) == (2, pytest.approx(0.35))


def test_a_comparison_names_the_winner_whatever_the_order(records: list[RunRecord]) -> None:
    (forward,) = compare_models(records, ["good", "worse"])
    (backward,) = compare_models(records, ["worse", "good"])
    assert forward.better == backward.better == "good"
    assert forward.difference == pytest.approx(0.5, abs=0.02)
    assert (backward.ci_low, backward.ci_high) == pytest.approx((-forward.ci_high, -forward.ci_low))
    (tie,) = compare_models(records, ["good", "twin"])
    assert tie.better is None
    assert tie.ci_low < 0 < tie.ci_high


def test_p_is_corrected_over_the_models_that_one_is_compared_with(records: list[RunRecord]) -> None:
    rows = compare_models(records, ["good", "twin", "middling", "worse"])
    assert [row.other for row in rows] == ["twin", "middling", "worse"]
    (alone,) = compare_models(records, ["good", "worse"])
    together = rows[-1]
    assert alone.p_holm == alone.p_value
    assert together.p_holm == pytest.approx(3 * together.p_value)


def test_a_model_without_results_is_named_with_the_nearest(records: list[RunRecord]) -> None:
    with pytest.raises(ConfigError, match="did you mean 'middling'"):
        compare_models(records, ["good", "midling"])
    with pytest.raises(ConfigError, match="two different models"):
        compare_models(records, ["good", "good"])


def test_mean_ranks_leave_ceilings_out_and_share_ties(record: MakeRecord) -> None:
    def board(dataset: str, **level: float) -> list[RunRecord]:
        made = [
            record(key=f"{dataset}{name}", model=name, dataset=dataset, values=(of,) * 3)
            for name, of in level.items()
        ]
        return [*made, record(key=f"{dataset}t", model="truth", role="ceiling", values=(1.0,) * 3)]

    rows = rank_models([board("x", a=0.5, b=0.5, c=0.1), board("y", a=0.2, b=0.6, c=0.4)])
    assert [(row.model, row.mean_rank) for row in rows] == [("b", 1.25), ("a", 2.25), ("c", 2.5)]
    # A tie on three perturbations has no best.
    assert [row.n_best for row in rows] == [1, 0, 0]
    assert all((row.n_ranked, row.n_possible) == (2, 2) for row in rows)


def test_a_model_that_misses_a_leaderboard_ranks_behind_those_that_do_not(
    record: MakeRecord,
) -> None:
    made = (("a", 0.1), ("b", 0.5))
    full = [record(key=name, model=name, values=(of,)) for name, of in made]
    partial = [record(key="2", model="c", values=(0.9,))]
    other = [record(key=name, model=name, values=(of,), dataset="other") for name, of in made]
    rows = rank_models([[*full, *partial], other])
    assert [(row.model, row.n_ranked) for row in rows] == [("b", 2), ("a", 2), ("c", 1)]
    assert rows[-1].mean_rank == 1.0


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_lead_of_a_model_over_the_linear_one_is_positive_where_it_is_better(
    record: MakeRecord, higher_is_better: bool
) -> None:
    sign = 1 if higher_is_better else -1
    made = [
        ("assembled", "model", tuple(sign * v for v in values(0.3, 0))),
        ("linear_loo", "baseline", tuple(sign * v for v in values(0.1, 1))),
        ("perturbed_mean", "baseline", tuple(sign * v for v in values(0.0, 2))),
    ]
    records = [
        record(key=str(number), model=name, role=role, values=of, higher_is_better=higher_is_better)
        for number, (name, role, of) in enumerate(made)
    ]
    rows = by_model(leaderboard_rows(records))
    lead = rows["assembled"].judgement.over_linear
    assert lead is not None
    assert lead.low is not None
    assert lead.high is not None
    assert lead.mean == pytest.approx(0.2 + (NOISE[0] - NOISE[1]).mean())
    assert 0 < lead.low < lead.mean < lead.high < 0.25
    assert rows["linear_loo"].judgement.over_linear is None
    assert any("gain over linear_loo" in note for note in board_notes(tuple(rows.values())))
    document = rows["assembled"].document()
    assert document["over_linear_low"] == lead.low
