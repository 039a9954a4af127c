"""Each note under a board, word by word, from rows made for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dygenept.evaluation.comparison import NOT_ABOVE
from dygenept.leaderboard.calibration import Calibration
from dygenept.leaderboard.judgements import Judgement, Lead
from dygenept.leaderboard.notes import board_notes, part_notes
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.results.records import ControlsRecord, RunRecord

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def row(record: MakeRecord) -> LeaderboardRow:
    """A row of twelve perturbations that asks for no note."""
    (made,) = leaderboard_rows([record(model="a", values=(0.5,) * 12)])
    assert board_notes([made]) == ()
    return made


def judged(row: LeaderboardRow, **values: object) -> LeaderboardRow:
    return replace(row, judgement=replace(row.judgement, **values))  # type: ignore[arg-type]


def calibrated(row: LeaderboardRow, metric: str, *of: object) -> LeaderboardRow:
    is_calibrated, fraction, high = of
    made = Calibration(is_calibrated=is_calibrated, fraction=fraction, high=high)  # type: ignore[arg-type]
    return replace(row, metric=metric, calibration=made)


def test_no_rows_ask_for_no_note() -> None:
    assert board_notes([]) == ()


@pytest.mark.parametrize(
    ("n_distinct", "n_types", "said"),
    [
        (6, 1, None),
        (5, 1, "5 held-out perturbations are too few to show anything of a model"),
        (9, 3, "9 perturbations in 3 cell types: both count for what is shown"),
        (
            5,
            2,
            "5 perturbations in 2 cell types: both count for what is shown; "
            "5 held-out perturbations are too few to show anything of a model",
        ),
    ],
)
def test_the_size_is_that_of_the_largest_row(
    row: LeaderboardRow, n_distinct: int, n_types: int, said: str | None
) -> None:
    rows = [
        replace(row, n_distinct=1, n_cell_types=n_types),
        replace(row, n_distinct=n_distinct, n_cell_types=1),
    ]
    assert board_notes(rows) == (() if said is None else (said,))


def test_metrics_per_gene_count_genes_and_perturbations(row: LeaderboardRow) -> None:
    genes = replace(row, metric="auroc_gene", unit="gene", n_genes=30, n_cell_types=2)
    assert board_notes([replace(genes, n_distinct=None)]) == (
        "30 genes in 2 cell types: both count for what is shown",
    )
    assert board_notes([replace(genes, n_distinct=1)]) == (
        "1 perturbation and 30 genes in 2 cell types: all count for what is shown; "
        "1 held-out perturbation is too few to show anything of a model",
    )
    assert board_notes([replace(genes, n_distinct=9, n_genes=5, n_cell_types=1)]) == (
        "5 genes are too few to show anything of a model",
    )


def test_the_first_metric_is_named_with_the_reason(row: LeaderboardRow) -> None:
    wide = calibrated(row, "mse", True, 0.5, 0.6)
    narrow = calibrated(row, "mae", True, 0.25, 0.3)
    assert board_notes([narrow, wide]) == (
        "first metric: mse, a calibrated metric whose range cannot be told from the largest "
        "(dynamic range 0.50)",
    )
    assert board_notes([narrow, wide], fixed_lead="mae") == (
        "first metric: mae, as was asked for (dynamic range 0.25)",
    )
    # What is fixed but not on the board is not first.
    assert "mse, a calibrated metric" in board_notes([narrow, wide], fixed_lead="other")[0]
    not_one = [calibrated(row, "mse", False, None, None), replace(row, metric="mae")]
    by_default = "first metric: mse, by default: no metric is calibrated on this data set"
    assert board_notes(not_one) == (by_default,)
    asked = "first metric: mae, as was asked for (range unknown)"
    assert board_notes(not_one, fixed_lead="mae") == (asked,)


def test_that_nobody_beats_the_reference_is_said_of_the_first_metric(row: LeaderboardRow) -> None:
    behind = judged(row, beats_reference=False, reference="control_mean")
    said = "no model is shown to beat control_mean on pearson_delta"
    assert board_notes([behind, row]) == (said,)
    ahead = judged(replace(row, model="b"), beats_reference=True, reference="control_mean")
    assert board_notes([behind, ahead]) == ()
    elsewhere = replace(ahead, metric="mse")
    assert board_notes([behind, elsewhere], fixed_lead="pearson_delta") == (said,)
    assert board_notes([replace(behind, metric="mse"), row], fixed_lead="pearson_delta") == ()


def test_the_gain_over_the_linear_model_has_its_interval(row: LeaderboardRow) -> None:
    first = judged(row, over_linear=Lead(0.01234, -0.5, 0.25))
    second = judged(replace(row, model="b"), over_linear=Lead(-1.0, None, None))
    other = judged(replace(row, model="c", metric="mse"), over_linear=Lead(9.0, 8.0, 10.0))
    assert board_notes([first, row, second, other], fixed_lead="pearson_delta") == (
        "gain over linear_loo on pearson_delta: a +0.0123 [−0.500, +0.250]; b −1.000",
    )


def test_who_repeats_what_is_named_once_per_trivial_prediction(row: LeaderboardRow) -> None:
    rows = [
        judged(replace(row, model=model, metric=metric), echo_of=trivial, min_gap=0.07)
        for model, metric, trivial in (
            ("a", "mse", "control_mean"),
            ("a", "mae", "control_mean"),
            ("b", "mse", "perturbed_mean"),
            ("c", "mse", "control_mean"),
            ("d", "mse", None),
        )
    ]
    assert board_notes(rows) == (
        "the errors of a, c are those of control_mean, within 7% of the gap",
        "the errors of b are those of perturbed_mean, within 7% of the gap",
    )


def test_noise_above_signal_is_said_of_the_metrics_where_it_is(row: LeaderboardRow) -> None:
    start = "noise exceeds signal: technical_duplicate is no better than the reference on "
    by_gap = judged(replace(row, metric="mse"), gap_reason=NOT_ABOVE)
    by_score = judged(replace(row, metric="mae"), normalised_reason="because")
    unknown = judged(row, gap_reason="no ceiling")
    unsure = "technical_duplicate is not shown to be better than the reference on "
    no_share = ": no share of the gap is stated"
    assert board_notes([by_gap, by_score, unknown]) == (f"{start}mae; {unsure}mse{no_share}",)
    assert board_notes([by_gap, by_gap]) == (f"{unsure}any metric{no_share}",)
    both = judged(by_gap, normalised_reason="because", gap_reason=NOT_ABOVE)
    assert board_notes([both, by_score]) == (f"{start}any metric",)
    assert board_notes([both, by_score, unknown]) == (f"{start}mse, mae",)
    assert board_notes([unknown]) == ()


def test_chance_levels_cells_and_controls_come_after(
    row: LeaderboardRow, record: MakeRecord
) -> None:
    rows = [
        replace(row, metric="pds", chance=0.51234, n_cells=(8, 2, 4)),
        replace(row, metric="pds", chance=0.51234, model="b", n_cells=(2, 9, 4)),
        replace(row, metric="rank", chance=0.25, model="c", n_cells=(1, 6)),
        replace(row, metric="none", chance=0.0),
    ]
    noisy = record().model_copy(
        update={
            "controls": ControlsRecord(
                seed=0,
                n_cells={"x": 90, "y": 7, "z": 3},
                noise_shares={"x": 0.1, "y": 0.2, "z": 0.4},
            )
        }
    )
    levels = "chance level: pds 0.512, rank 0.250"
    cells = (
        "a, b: from at least 2 cells per perturbation, 4 in the median",
        "c: from at least 1 cell per perturbation, 3.5 in the median",
    )
    assert board_notes(rows) == (*cells, levels)
    warning = (
        "few control cells (3 in z; 2 of 3 cell types): 40% of the noise of a change comes from "
        "them, which the predicted and the true change share; read the metrics that end in "
        "split_control"
    )
    assert board_notes(rows, noisy) == (warning, *cells, levels)
    one = noisy.model_copy(
        update={"controls": ControlsRecord(seed=0, n_cells={"y": 7000}, noise_shares={"y": 0.2})}
    )
    assert board_notes([row], one)[0].startswith("few control cells (7,000): 20% of the noise")
    mapping = {"match_batches": True, "batch_column": "lane"}
    matched = one.model_copy(
        update={"dataset": one.dataset.model_copy(update={"mapping": mapping})}
    )
    said = (
        "few control cells (7,000, of all batches; a perturbation is compared with those of its "
        "own): 20% of the noise"
    )
    assert board_notes([row], matched)[0].startswith(said)
    enough = ControlsRecord(seed=0, n_cells={"x": 90}, noise_shares={"x": 0.1})
    assert board_notes([row], noisy.model_copy(update={"controls": enough})) == ()
    assert board_notes([row], record()) == ()


def test_of_whom_nothing_is_claimed_for_want_of_what_ties_cost(row: LeaderboardRow) -> None:
    reference = judged(row, reference="gene_mean")
    old = replace(reference, metric="auprc_gene", model="gene_mean", is_untied_unknown=True)
    too = replace(old, metric="auprc_perturbation")
    again = "an earlier version recorded {0} without what ties cost; run the bench again with "
    one = again.format("it") + "--no-resume"
    assert board_notes([old, too, row]) == (
        "nothing is claimed on auprc_gene, auprc_perturbation of gene_mean, or against it: " + one,
    )
    several = again.format("them") + "--no-resume"
    assert board_notes([old, replace(old, model="a"), too]) == (
        f"nothing is claimed on auprc_gene of a and gene_mean, or against them: {several}; "
        f"nothing is claimed on auprc_perturbation of gene_mean, or against it: {one}",
    )


def test_beside_parts_what_is_said_of_all_is_said_to_be(row: LeaderboardRow) -> None:
    behind = judged(row, beats_reference=False, reference="control_mean", gap_reason=NOT_ABOVE)
    made = replace(calibrated(behind, "pds", False, 0.1, 0.2), n_distinct=5, chance=0.5)
    alone, beside = board_notes([made]), board_notes([made], in_parts=True)
    is_whole = [note.startswith("all parts together: ") for note in beside]
    # Whether a metric is calibrated is said of the data set.
    assert [note for note, of in zip(alone, is_whole, strict=True) if not of] == [
        "first metric: pds, by default: no metric is calibrated on this data set"
    ]
    assert [note.removeprefix("all parts together: ") for note in beside] == list(alone)
    assert "all parts together: no model is shown to beat control_mean on pds" in beside


def test_parts_say_what_their_own_ties_cost(row: LeaderboardRow) -> None:
    reference = judged(row, reference="gene_mean")
    tied = replace(reference, model="gene_mean", metric="auprc_gene", untied=0.02, group="x")
    old = replace(tied, untied=0.0, is_untied_unknown=True, group="y")
    notes = part_notes([[tied, row], [old], [replace(row, group="z")]])
    assert notes == (
        "x: gene_mean predicts many pairs alike, and any order of these would gain it 0.0200 on "
        "auprc_gene: claims count as if it had",
        "y: nothing is claimed on auprc_gene of gene_mean, or against it: an earlier version "
        "recorded it without what ties cost; run the bench again with --no-resume",
    )


def test_submissions_are_doubted_in_their_own_sentences(row: LeaderboardRow) -> None:
    sent = replace(row, role="submitted", model="mine", doubts=("all alike", "2 genes filled in"))
    rows = [
        judged(sent, above_ceiling=True, n_family=1),
        judged(replace(sent, metric="mse"), above_ceiling=True),
        judged(replace(sent, model="yours", doubts=()), above_ceiling=False),
    ]
    said = (
        "mine (submitted) is above the ceiling on pearson_delta, mse: check for leakage",
        "mine (submitted): all alike",
        "mine (submitted): 2 genes filled in",
    )
    assert board_notes(rows) == said
    several = judged(rows[2], n_family=2)
    assert board_notes([*rows[:2], several]) == (
        *said,
        "p of a submission is corrected over all that its submitter handed in; those who did not "
        "say who they are count as one",
    )
    # A family of a model that nobody handed in is its run's.
    assert board_notes([judged(row, n_family=5)]) == ()


def test_notes_come_in_one_order(row: LeaderboardRow) -> None:
    judgement = Judgement(
        is_best=False,
        indistinguishable_from_best=False,
        beats_reference=False,
        reference="control_mean",
        echo_of="control_mean",
        gap_reason=NOT_ABOVE,
        over_linear=Lead(1.0, 0.5, 1.5),
    )
    made = replace(
        calibrated(row, "mse", True, 0.5, 0.6), judgement=judgement, n_distinct=2, chance=0.5
    )
    starts = (
        "2 held-out",
        "first metric",
        "no model",
        "gain over",
        "the errors",
        "technical_duplicate is not shown",
        "chance",
    )
    notes = board_notes([made])
    assert len(notes) == len(starts)
    for note, start in zip(notes, starts, strict=True):
        assert note.startswith(start)
