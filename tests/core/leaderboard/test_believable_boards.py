"""Boards make no claim that their data do not carry, whatever is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from core.leaderboard.attacked_boards import ROLES, MakeRecord, by_place, records_of

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.confidence_set import best_p_values
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.comparisons import rank_models
from dygenept.leaderboard.judgements import INVERTED, NO_CEILING, TRIVIAL
from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.results.records import RunRecord
from dygenept_cli.views.boards import FORMATS, Format, laid_out, written


def test_attacks_earn_nothing_and_the_model_does(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    rows = by_place(leaderboard_rows(records_of(record, predictions)))
    for (model, metric), row in rows.items():
        judged = row.judgement
        if model == "model":
            assert judged.beats_reference is True, metric
            assert judged.is_best, metric
        elif model in (*TRIVIAL, *ROLES):
            assert judged.beats_reference is None
            assert not judged.is_best
        else:
            assert judged.beats_reference is False, (model, metric)
            assert not judged.is_best
            assert "*" not in row.marks
    echo = rows["epsilon", "pearson_delta_perturbed_ref"]
    # Blind to scale, the metric gives it all of the model's value.
    assert echo.total.pooled == pytest.approx(
        rows["model", "pearson_delta_perturbed_ref"].total.pooled
    )
    assert echo.judgement.echo_of == "perturbed_mean"
    assert rows["epsilon of control", "mse"].judgement.echo_of == "control_mean"
    assert rows["model", "mse"].judgement.echo_of is None


def test_the_reference_is_the_better_trivial_one_under_each_metric(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    noisy = {**predictions, "perturbed_mean": predictions["perturbed_mean"] + 3.0}
    rows = by_place(leaderboard_rows(records_of(record, noisy)))
    assert rows["model", "mse"].judgement.reference == "control_mean"
    assert rows["model", "pearson_delta"].judgement.reference == "perturbed_mean"
    assert rows["control_mean", "mse"].judgement.gap_closed == 0.0
    assert rows["technical_duplicate", "mse"].judgement.gap_closed == pytest.approx(1.0)


def test_the_gap_has_an_interval_and_less_than_the_least_share_is_no_advance(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    truth, mean = predictions["truth"], predictions["perturbed_mean"]
    small = {**predictions, "small": mean + 0.03 * (truth - mean)}
    records = records_of(record, small)
    judged = by_place(leaderboard_rows(records))["small", "mse"].judgement
    # 1 - 0.97 squared, of a gap that the duplicate's noise makes a little shorter.
    assert judged.gap_closed == pytest.approx(0.061, abs=0.003)
    assert judged.gap_low is not None
    assert judged.gap_high is not None
    assert judged.gap_low < judged.gap_closed < judged.gap_high
    assert judged.beats_reference is True
    strict = by_place(leaderboard_rows(records, min_gap=0.1))["small", "mse"].judgement
    assert (strict.beats_reference, strict.min_gap) == (False, 0.1)


def test_without_a_ceiling_the_least_share_is_of_the_way_to_perfection(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    kept = {name: of for name, of in predictions.items() if name not in ("technical_duplicate",)}
    rows = by_place(leaderboard_rows(records_of(record, kept)))
    judged = rows["model", "mse"].judgement
    assert (judged.gap_closed, judged.gap_reason) == (None, NO_CEILING)
    assert judged.beats_reference is True
    assert rows["epsilon", "mse"].judgement.beats_reference is False


def test_others_in_the_folder_change_no_mark(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(1)
    truth, mean = predictions["truth"], predictions["perturbed_mean"]
    declared = {
        name: predictions[name]
        for name in ("truth", "technical_duplicate", "perturbed_mean", "control_mean")
    }
    for number, share in enumerate((0.05, 0.1, 0.2, 0.3)):
        noise = 0.5 * share * rng.normal(size=truth.shape)
        declared[f"rival{number}"] = mean + share * (truth - mean) + noise
    family = tuple(declared)
    junk = {f"junk{number}": mean + rng.normal(size=truth.shape) for number in range(19)}

    def marks(of: Mapping[str, np.ndarray]) -> dict[tuple[str, str], str]:
        rows = by_place(leaderboard_rows(records_of(record, of, family)))
        return {place: row.marks for place, row in rows.items() if place[0] in family}

    alone = marks(declared)
    assert marks({**declared, **junk}) == alone
    assert "*" in alone.values()


def test_p_is_corrected_over_the_declared_family_and_the_raw_one_stands_beside(
    record: MakeRecord, predictions: dict[str, np.ndarray]
) -> None:
    family = ("model", "constant", "counts", "scaled mean")
    rows = by_place(leaderboard_rows(records_of(record, predictions, family)))
    judged = rows["model", "mse"].judgement
    assert judged.p_value == pytest.approx(2 / 2001)
    assert judged.p_corrected == pytest.approx(4 * 2 / 2001)
    alone = rows["epsilon", "mse"].judgement
    assert alone.p_corrected == alone.p_value


def test_entries_of_others_change_no_p_value_by_a_digit(record: MakeRecord) -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(0.3, 0.1, 30)

    def judged(n_others: int) -> tuple[float | None, float | None]:
        made = {"perturbed_mean": base, "ours": base + rng_of("ours"), "theirs": base}
        made |= {f"other{number}": base + rng_of(str(number)) for number in range(n_others)}
        rows = leaderboard_rows(
            [
                record(
                    key=name,
                    model=name,
                    values=tuple(of.tolist()),
                    family=(name,) if name.startswith("other") else ("ours", "theirs"),
                )
                for name, of in made.items()
            ]
        )
        (row,) = (row for row in rows if row.model == "ours")
        return row.judgement.p_value, row.judgement.p_corrected

    def rng_of(name: str) -> np.ndarray:
        return np.random.default_rng(len(name) + 5).normal(0.05, 0.15, 30)

    alone = judged(0)
    assert alone[0] is not None
    assert 0.001 < alone[0] < 0.5
    assert judged(40) == alone


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_nothing_is_claimed_on_few_perturbations(record: MakeRecord, n: int) -> None:
    levels = {"good": 0.9, "twin": 0.9, "perturbed_mean": 0.1, "control_mean": 0.0}
    rows = leaderboard_rows(
        [record(key=name, model=name, values=(of,) * n) for name, of in levels.items()]
    )
    assert not any(row.judgement.beats_reference for row in rows)
    assert not any(row.judgement.is_best for row in rows)
    assert any("too few" in note for note in board_notes(rows))


def test_a_metric_that_nobody_has_a_value_of_has_no_first(record: MakeRecord) -> None:
    rows = leaderboard_rows(
        [
            record(key=name, model=name, values=(None,) * 8, neutral=0.0)
            for name in ("a", "perturbed_mean", "control_mean")
        ]
    )
    for row in rows:
        document = row.document()
        assert (document["rank"], document["pooled"], document["n_undefined"]) == (None, None, 8)
        assert not row.judgement.is_best
        assert not row.judgement.indistinguishable_from_best
        assert row.marks == ""


def test_a_ceiling_below_the_mean_gives_no_scale_and_is_named(record: MakeRecord) -> None:
    rng = np.random.default_rng(0)
    levels = {"model": 0.3, "perturbed_mean": 0.33, "control_mean": 0.0, "technical_duplicate": 0.2}
    rows = leaderboard_rows(
        [
            record(
                key=name,
                model=name,
                role=ROLES.get(name, "baseline"),
                values=tuple((of + 0.05 * rng.normal(size=20)).tolist()),
            )
            for name, of in levels.items()
        ]
    )
    for row in rows:
        judged = row.judgement
        assert (judged.normalised, judged.normalised_reason) == (
            None,
            INVERTED.format("technical_duplicate"),
        )
        assert judged.gap_closed is None
    notes = board_notes(rows)
    assert any("noise exceeds signal" in note for note in notes)
    assert "no model is shown to beat perturbed_mean on pearson_delta" in notes


def test_perturbations_in_several_cell_types_are_counted_and_not_taken_for_more(
    record: MakeRecord,
) -> None:
    rng = np.random.default_rng(1)
    lead = np.repeat(rng.normal(0.15, 0.2, 8), 3)
    base = rng.normal(0.3, 0.01, 24)

    def made(n_types: int) -> list[LeaderboardRow]:
        named = []
        for name, of in (("model", base + lead), ("perturbed_mean", base)):
            types = tuple(f"c{number % n_types}" for number in range(24))
            one = record(key=name, model=name, values=tuple(of.tolist()), cell_types=types)
            values = tuple(
                replace(value, perturbation=f"g{place // n_types}+ctrl")
                for place, value in enumerate(one.metrics[0].values)
            )
            metric = one.metrics[0].model_copy(update={"values": values})
            named.append(one.model_copy(update={"metrics": (metric,)}))
        return list(leaderboard_rows(named))

    rows = made(3)
    assert [(row.n_distinct, row.n_cell_types) for row in rows] == [(8, 3)] * 2
    assert rows[0].total.n_perturbations == 24
    assert board_notes(rows)[0].startswith("8 perturbations in 3 cell types")
    assert rows[0].judgement.beats_reference is False
    # As 24 perturbations of one cell type the same lead would be shown.
    assert made(1)[0].judgement.beats_reference is True


def test_seeds_of_the_same_perturbations_rank_as_one_board(record: MakeRecord) -> None:
    def board(seed: int, dataset: str, **levels: float) -> list[RunRecord]:
        return [
            record(key=f"{name}{seed}", model=name, seed=seed, dataset=dataset, values=(of,) * 4)
            for name, of in levels.items()
        ]

    seeds = [board(seed, "x", a=0.5, b=0.4 + seed / 100) for seed in range(3)]
    rows = rank_models([*seeds, board(0, "y", a=0.1, b=0.9)])
    assert [(row.model, row.mean_rank, row.n_possible) for row in rows] == [
        ("a", 1.5, 2),
        ("b", 1.5, 2),
    ]


def test_a_model_that_is_far_off_changes_nothing_for_the_others(record: MakeRecord) -> None:
    rng = np.random.default_rng(0)
    hardness = rng.normal(0.5, 0.1, 20)

    def marks(*others: float) -> dict[str, str]:
        levels = {"good": 0.3, "near": 0.31, "worse": 0.4, "perturbed_mean": 0.5}
        levels |= {f"diverged{number}": level for number, level in enumerate(others)}
        rows = leaderboard_rows(
            [
                record(
                    key=name,
                    model=name,
                    metric="mse",
                    higher_is_better=False,
                    neutral=None,
                    values=tuple((level + 0.1 * hardness * level).tolist()),
                    family=("good", "near", "worse"),
                )
                for name, level in levels.items()
            ]
        )
        return {row.model: row.marks for row in rows if row.model in ("good", "near", "worse")}

    alone = marks()
    assert alone == {"good": "*", "near": "", "worse": ""}
    assert marks(1e30) == marks(1e30, 1e35, 1e300) == alone


def test_a_trivial_prediction_that_a_model_beats_is_not_near_the_best(record: MakeRecord) -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(0.4, 0.02, 8)
    made = {"perturbed_mean": base, "steady": base + 0.05 + rng.normal(0.0, 0.045, 8)}
    made |= {f"wild{number}": base + 0.04 + rng.normal(0.0, 0.12, 8) for number in range(4)}
    # Beside four that scatter, the confidence set by itself keeps the mean.
    p_values = best_p_values(np.stack(list(made.values()), axis=1), Clusters.independent(8))
    assert p_values[0] > 0.05

    def marks(models: Mapping[str, np.ndarray]) -> dict[str, str]:
        records = [
            record(key=name, model=name, values=tuple(of.tolist()), family=("steady",))
            for name, of in models.items()
        ]
        return {row.model: row.marks for row in leaderboard_rows(records)}

    found = marks(made)
    assert (found["steady"], found["perturbed_mean"]) == ("*", "")
    without = marks({name: of for name, of in made.items() if name != "steady"})
    assert without["perturbed_mean"] == "≈"


def test_a_note_on_all_perturbations_does_not_deny_what_is_shown_in_a_part(
    record: MakeRecord,
) -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0.4, 0.02, 24)
    types = ("x",) * 12 + ("y",) * 12
    lead = np.where(np.arange(24) < 12, 0.2, -0.2) + rng.normal(0.0, 0.02, 24)
    made = [
        record(key=name, model=name, values=tuple(of.tolist()), cell_types=types)
        for name, of in (("perturbed_mean", base), ("model", base + lead))
    ]
    whole, parts = leaderboard_of(made), leaderboard_of(made, by="cell_type")
    said = "no model is shown to beat perturbed_mean on pearson_delta"
    assert said in whole.notes
    assert [row.group for row in parts.rows if row.judgement.beats_reference] == ["x"]
    assert said not in parts.notes
    assert f"all parts together: {said}" in parts.notes


def test_an_interval_holds_its_mean_and_ends_where_the_metric_does(record: MakeRecord) -> None:
    values = (0.99, 0.98, 1.0, 0.4, 0.97, 0.99, 0.98)
    made = record(key="1", model="a", values=values)
    bounded = made.metrics[0].model_copy(update={"lower": -1.0, "upper": 1.0})
    (row,) = leaderboard_rows([made.model_copy(update={"metrics": (bounded,)})])
    assert row.total.ci_high == 1.0
    (free,) = leaderboard_rows([made])
    assert free.total.ci_high is not None
    assert free.total.ci_high > 1.0
    (flat,) = leaderboard_rows([record(values=(0.95,) * 12)])
    assert flat.total.ci_low is not None
    assert flat.total.ci_high is not None
    assert flat.total.pooled is not None
    assert flat.total.ci_low <= flat.total.pooled <= flat.total.ci_high


def test_a_model_that_shares_nothing_with_the_reference_is_not_the_best(record: MakeRecord) -> None:
    rows = leaderboard_rows(
        [
            record(key="1", model="a", values=(None,) * 6 + (0.5,) * 6, neutral=None),
            record(key="2", model="perturbed_mean", values=(0.4,) * 6 + (None,) * 6, neutral=None),
        ]
    )
    assert [(row.judgement.is_best, row.judgement.beats_reference) for row in rows] == [
        (False, None)
    ] * 2


@pytest.mark.parametrize("chosen", FORMATS)
def test_every_format_but_csv_says_what_must_be_said(record: MakeRecord, chosen: Format) -> None:
    made = [
        record(key=name, model=name, values=(of,) * 8)
        for name, of in (("a", 0.1), ("perturbed_mean", 0.3), ("control_mean", 0.0))
    ]
    text = written(laid_out([made]), chosen, metrics=(), all_metrics=False)
    said = "no model is shown to beat perturbed" in text.replace("\\", "")
    assert said == (chosen != "csv")
