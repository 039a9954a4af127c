"""Metrics that can tell a good prediction from a trivial one, and those that cannot."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.calibration import IN_RANGE, NO_CONTROLS, OUT_OF_RANGE, TOO_FEW
from dygenept.leaderboard.columns import LEAD_METRICS, lead_metric
from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.results.records import RunRecord
from dygenept_cli.views.boards import FORMATS, Format, laid_out, written

MakeRecord = Callable[..., RunRecord]
N = 12
CEILINGS = ("interpolated_duplicate", "technical_duplicate", "truth")


def board(
    record: MakeRecord, metric: str, *, is_error: bool = False, **models: Sequence[float | None]
) -> list[RunRecord]:
    return [
        record(
            key=f"{metric} {name}",
            model=name,
            role="ceiling" if name in CEILINGS else "baseline",
            metric=metric,
            higher_is_better=not is_error,
            neutral=None,
            values=tuple(values),
        )
        for name, values in models.items()
    ]


def merged(*boards: Sequence[RunRecord]) -> list[RunRecord]:
    """Put the metrics of boards of the same models together."""
    return [
        same[0].model_copy(update={"metrics": tuple(m for of in same for m in of.metrics)})
        for same in zip(*boards, strict=True)
    ]


def one(records: Sequence[RunRecord]) -> LeaderboardRow:
    return leaderboard_rows(records)[0]


def test_the_fraction_is_the_mean_over_perturbations_of_each_ones_share_of_the_way(
    record: MakeRecord,
) -> None:
    mean, duplicate = np.linspace(0.4, 0.9, N), np.linspace(0.1, 0.2, N)
    row = one(
        board(
            *(record, "mse"),
            is_error=True,
            perturbed_mean=mean,
            control_mean=mean + 1,
            technical_duplicate=duplicate,
            truth=[0.0] * N,
        )
    )
    # By the published formula, for errors: 1 less the ratio of the two errors.
    assert row.document()["dynamic_range"] == pytest.approx(np.mean(1 - duplicate / mean))
    assert row.calibration.low is not None
    assert row.calibration.fraction is not None
    assert 0 < row.calibration.low < row.calibration.fraction
    assert (row.calibrated, row.calibration.reason) == (True, IN_RANGE)
    assert row.calibration.reference == "perturbed_mean"
    assert row.calibration.ceiling == "technical_duplicate"
    assert row.calibration.n_perturbations == N


def test_a_score_is_measured_against_the_truths_own_where_it_is_there(record: MakeRecord) -> None:
    mean, duplicate = np.linspace(0.2, 0.4, N), np.linspace(0.5, 0.7, N)
    models = {"perturbed_mean": mean, "technical_duplicate": duplicate}
    row = one(board(record, "rank", **models, truth=[0.8] * N))
    assert row.calibration.fraction == pytest.approx(np.mean((duplicate - mean) / (0.8 - mean)))
    row = one(board(record, "rank", **models))
    assert row.calibration.fraction == pytest.approx(np.mean((duplicate - mean) / (1.0 - mean)))


def test_one_perturbation_counts_as_one_whatever_its_ratio(record: MakeRecord) -> None:
    perfect, near = [1.0, 0.99], [0.9, 0.9]
    row = one(
        board(
            *(record, "rank"),
            perturbed_mean=[*perfect, *[0.5] * 10],
            technical_duplicate=[*near, *[0.9] * 10],
        )
    )
    # The first has no way to go; the second goes nine times back, which counts as once.
    assert row.calibration.n_perturbations == 11
    assert row.calibration.fraction == pytest.approx((10 * 0.8 - 1.0) / 11)


def test_a_ceiling_that_noise_holds_down_calibrates_nothing(record: MakeRecord) -> None:
    noisy = 1.0 + np.random.default_rng(0).normal(0, 0.3, N)
    row = one(
        board(record, "mse", is_error=True, perturbed_mean=[1.0] * N, technical_duplicate=noisy)
    )
    assert (row.calibrated, row.calibration.reason) == (False, OUT_OF_RANGE)
    assert row.calibration.low is not None
    assert row.calibration.low < 0


def test_the_interpolated_duplicate_goes_before_half_of_the_cells(record: MakeRecord) -> None:
    rows = board(
        *(record, "mse"),
        is_error=True,
        perturbed_mean=np.linspace(0.9, 1.1, N),
        technical_duplicate=np.linspace(2.0, 2.2, N),
        interpolated_duplicate=np.linspace(0.2, 0.3, N),
    )
    assert one(rows).calibration.ceiling == "interpolated_duplicate"
    assert one(rows).calibrated is True
    assert one(rows[:2]).calibration.ceiling == "technical_duplicate"
    assert one(rows[:2]).calibrated is False


def test_what_cannot_be_said_is_null_with_its_reason(record: MakeRecord) -> None:
    alone = one(board(record, "mse", perturbed_mean=[0.1] * N))
    assert (alone.calibrated, alone.calibration.reason) == (None, NO_CONTROLS)
    few = one(board(record, "mse", perturbed_mean=[0.1] * 5, technical_duplicate=[0.9] * 5))
    assert (few.calibrated, few.calibration.reason, few.calibration.fraction) == (
        None,
        TOO_FEW,
        None,
    )
    assert few.calibration.ceiling == "technical_duplicate"
    assert (few.calibration.reference, few.calibration.n_perturbations) == ("perturbed_mean", 5)
    # The documented first metric stays the first.
    names = [LEAD_METRICS[1], LEAD_METRICS[0]]
    rows = leaderboard_rows(merged(*(board(record, name, a=[0.1] * N) for name in names)))
    assert lead_metric(rows) == LEAD_METRICS[0]
    assert not any("first metric" in note for note in board_notes(rows))


def three_metrics(
    record: MakeRecord, tops: Sequence[float] = (0.3, 0.5, 0.9), **others: Sequence[float]
) -> list[RunRecord]:
    """By default, the first metric is out of range, another has a small one, a third a large."""
    rng = np.random.default_rng(1)
    return merged(
        *(
            board(
                record,
                name,
                perturbed_mean=0.3 + rng.normal(0, 0.02, N),
                technical_duplicate=top + rng.normal(0, 0.02, N),
                **others,
            )
            for name, top in zip((LEAD_METRICS[0], "small", "large"), tops, strict=True)
        )
    )


def test_the_calibrated_metric_of_the_largest_range_leads(record: MakeRecord) -> None:
    records = three_metrics(record)
    board_ = leaderboard_of(records)
    assert board_.lead == "large"
    assert board_.document()["lead_metric"] == "large"
    said = "first metric: large, a calibrated metric whose range cannot be told from the largest"
    assert any(note.startswith(f"{said} (dynamic range 0.8") for note in board_.notes)
    fixed = leaderboard_of(records, lead="small")
    assert fixed.lead == "small"
    assert any("small, as was asked for" in note for note in fixed.notes)
    assert leaderboard_of(records, lead="large", metrics=("small", "large")).lead == "small"


def test_of_ranges_that_cannot_be_told_apart_the_documented_order_decides(
    record: MakeRecord,
) -> None:
    rng = np.random.default_rng(3)
    tops = {"other": 0.75 + rng.normal(0, 0.1, N), LEAD_METRICS[0]: 0.7 + rng.normal(0, 0.1, N)}
    records = merged(
        *(
            board(record, name, perturbed_mean=[0.3] * N, technical_duplicate=top)
            for name, top in tops.items()
        )
    )
    ranges = {row.metric: row.calibration.fraction for row in leaderboard_rows(records)}
    assert (ranges["other"] or 0) > (ranges[LEAD_METRICS[0]] or 0)
    assert leaderboard_of(records).lead == LEAD_METRICS[0]


def test_where_nothing_is_calibrated_the_default_leads_and_the_board_says_so(
    record: MakeRecord,
) -> None:
    board_ = leaderboard_of(three_metrics(record, (0.3, 0.3, 0.3)))
    assert board_.lead == LEAD_METRICS[0]
    assert any("no metric is calibrated on this data set" in note for note in board_.notes)


def test_nothing_that_is_handed_in_moves_the_calibration(record: MakeRecord) -> None:
    rng = np.random.default_rng(2)
    plain = {row.metric: row.calibration for row in leaderboard_rows(three_metrics(record))}
    junk = {f"junk{number}": rng.normal(size=N) for number in range(4)}
    records = [
        of.model_copy(update={"role": "submitted"}) if of.model in junk else of
        for of in three_metrics(record, **junk)
    ]
    assert {row.metric: row.calibration for row in leaderboard_rows(records)} == plain
    assert leaderboard_of(records).lead == "large"


@pytest.mark.parametrize("chosen", FORMATS)
def test_every_format_sets_what_is_not_calibrated_apart(record: MakeRecord, chosen: Format) -> None:
    text = written(laid_out([three_metrics(record)]), chosen, metrics=(), all_metrics=True)
    said = {
        "table": "top20 ↑°",
        "html": 'class="uncalibrated"',
        "json": '"calibrated": false',
        "csv": "False",
        "markdown": "°",
        "latex": "°",
    }
    assert said[chosen] in text


@pytest.mark.parametrize("chosen", FORMATS)
def test_no_format_marks_a_best_under_what_is_not_calibrated(
    record: MakeRecord, chosen: Format
) -> None:
    rng = np.random.default_rng(4)
    models = {"a": 0.7 + rng.normal(0, 0.02, N), "b": 0.4 + rng.normal(0, 0.02, N)}
    text = written(
        laid_out([three_metrics(record, **models)]), chosen, metrics=(), all_metrics=True
    )
    rows = leaderboard_rows(three_metrics(record, **models))
    judged = {row.metric for row in rows if row.judgement.is_best}
    marked = {row.metric for row in rows if row.is_best}
    assert (judged - marked, marked) == ({LEAD_METRICS[0]}, {"small", "large"})
    assert OUT_OF_RANGE in unbroken(text)
    if chosen == "json":
        (document,) = json.loads(text)
        best = [row["metric"] for row in document["leaderboard"] if row["is_best"]]
        assert set(best) == marked
    elif chosen == "csv":
        lines = list(csv.DictReader(io.StringIO(text)))
        assert {line["metric"] for line in lines if line["is_best"] == "True"} == marked
        reasons = {line["calibration_reason"] for line in lines if line["metric"] not in marked}
        assert reasons == {OUT_OF_RANGE}
    else:
        assert f"nothing is marked best on {LEAD_METRICS[0]}" in unbroken(text)


def unbroken(text: str) -> str:
    """Undo what formats do to a sentence: breaks of lines, and escapes."""
    return " ".join(html.unescape(text).replace("\\_", "_").split())


def test_nothing_is_among_the_best_under_what_is_not_calibrated(record: MakeRecord) -> None:
    models = {"a": [0.7] * N, "b": [0.7] * N}
    rows = [row for row in leaderboard_rows(three_metrics(record, **models)) if row.model in models]
    for row in rows:
        assert row.judgement.indistinguishable_from_best
        assert row.is_among_best is (row.metric != LEAD_METRICS[0])
        assert ("*" in row.marks) is (row.metric != LEAD_METRICS[0])


def test_a_part_marks_the_best_as_the_whole_does(record: MakeRecord) -> None:
    labels = [f"g{number}+ctrl" for number in range(N)]
    parts = {"combo_seen0": tuple(labels[:10]), "combo_seen1": tuple(labels[10:])}
    models = {"a": [0.7] * N, "b": [0.4] * N}
    records = [of.model_copy(update={"subgroups": parts}) for of in three_metrics(record, **models)]
    best = [row for row in leaderboard_of(records, by="subgroup").rows if row.is_best]
    assert {row.metric for row in best} == {"small", "large"}


def test_a_part_has_the_calibration_of_the_whole(record: MakeRecord) -> None:
    labels = [f"g{number}+ctrl" for number in range(N)]
    parts = {"combo_seen0": tuple(labels[:3]), "combo_seen1": tuple(labels[3:])}
    records = [of.model_copy(update={"subgroups": parts}) for of in three_metrics(record)]
    grouped = leaderboard_of(records, by="subgroup")
    assert {row.group for row in grouped.rows} == set(parts)
    for row in grouped.rows:
        assert row.calibrated is (row.metric != LEAD_METRICS[0])
