"""Leaderboards, derived from records: their rows, and the columns that every format shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from dygenept.evaluation.aggregates import Aggregate, aggregate, competition_ranks
from dygenept.leaderboard.calibration import calibrate
from dygenept.leaderboard.columns import (
    DATA,
    PAPER,
    UNCALIBRATED,
    WIDE,
    BoardRow,
    Cell,
    Column,
    JsonDocument,
    Layout,
    View,
    number,
)
from dygenept.leaderboard.echoes import barred, echoes
from dygenept.leaderboard.judgements import MIN_GAP, TRIVIAL, Judgement, judge_models
from dygenept.leaderboard.metric_table import MetricTable, Unit, metric_tables
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.machine.plain_text import fixed
from dygenept.machine.process_memory import collector_paused
from dygenept.machine.threads import in_threads, one_blas_thread
from dygenept.results.record_index import IndexedRecords
from dygenept.results.records import RunRecord

BEST, NEAR, NOT_BEATING = "*", "≈", "!"
MARKS = (
    f"{BEST} best, {NEAR} cannot be told from the best, {NOT_BEATING} not shown to beat "
    f"{' and '.join(TRIVIAL[:2])} (or {TRIVIAL[2]}), {UNCALIBRATED} metric not calibrated on this "
    "data set, under which nothing is marked best"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardRow(BoardRow):
    """One model under one metric, ranked by ``total.pooled``.

    Attributes:
        total: Its values over folds and over all held-out perturbations.
        judgement: What can be said of it beside the other models.
        n_distinct: Different perturbations among its held-out conditions; of a metric of genes
            those that genes are scored over, None where records do not name them.
        n_cell_types: Their cell types.
        n_split_folds: Folds of the split, with a result or without.
        doubts: What looks wrong in a submission, or was filled in.
        group: The part of the held-out perturbations that the row is about; None for all.
        chance: What a guess gets under the metric; None where it has no such level.
        n_cells: Cells behind each prediction of a ceiling; empty for other models.
        place: Rank among those that compete; None for ceilings and floors, and where nobody has a
            value.
        unit: What has one value each, and is what ``total.n_perturbations`` counts.
        n_genes: Different genes, where each has a value; None where perturbations have one.
        untied: What its mean would gain were tied predictions ordered at random.
        is_untied_unknown: True where its records, of an earlier version, do not say that, though
            others of the metric do: nothing is claimed of it or against it.
    """

    total: Aggregate
    judgement: Judgement
    n_distinct: int | None
    n_cell_types: int
    n_split_folds: int
    doubts: tuple[str, ...] = ()
    group: str | None = None
    chance: float | None = None
    n_cells: tuple[int, ...] = ()
    place: int | None = None
    unit: Literal["perturbation", "gene"] = "perturbation"
    n_genes: int | None = None
    untied: float = 0.0
    is_untied_unknown: bool = False

    @property
    def is_best(self) -> bool:
        """True for the best under a metric that may tell: one not known to be uncalibrated."""
        return self.judgement.is_best and self.calibrated is not False

    @property
    def marks(self) -> str:
        """What ``MARKS`` explains."""
        judged = self.judgement
        near = NEAR if judged.indistinguishable_from_best else ""
        behind = NOT_BEATING if judged.beats_reference is False else ""
        return (BEST if self.is_best else near) + behind

    @property
    def is_among_best(self) -> bool:
        """True for the best, and for what cannot be told from it, unless it shows no advance.

        A trivial prediction shows none, nor does a model that is not shown to beat these, nor
        anything under a metric that is not calibrated on the data set.
        """
        judged = self.judgement
        advances = self.model not in TRIVIAL and judged.beats_reference is not False
        near = judged.indistinguishable_from_best and advances
        return self.is_best or (near and self.calibrated is not False)

    def document(self) -> JsonDocument:
        """Return the row as ``bench --json`` prints it; ``group`` only where it has one."""
        return LEADERBOARD.document(self)


ROWS = TypeAdapter(tuple[LeaderboardRow, ...])


def _cell(row: LeaderboardRow) -> Cell:
    total, judged = row.total, row.judgement
    if total.pooled is None:
        return Cell(number(None))
    near = ("near",) if judged.indistinguishable_from_best else ()
    faint = ("uncalibrated",) if row.calibrated is False else ()
    behind = ("behind",) if judged.beats_reference is False else ()
    ends = "" if total.ci_low is None else f"[{number(total.ci_low)}, {number(total.ci_high)}]"
    undefined = f"{total.n_undefined} undefined" if total.n_undefined else ""
    return Cell(
        text=number(total.pooled),
        marks=row.marks,
        note=", ".join(part for part in (ends, undefined) if part),
        tones=(*(("best",) if row.is_best else near), *behind, *faint),
    )


def _interval(row: LeaderboardRow) -> str | None:
    low, high = row.total.ci_low, row.total.ci_high
    return None if low is None or high is None else f"[{_brief(low)}, {_brief(high)}]"


def _normalised_by(row: LeaderboardRow) -> dict[str, dict[str, float | str | None]]:
    return {
        ceiling: {"value": found.value, "reason": found.reason}
        for ceiling, found in row.judgement.normalised_by.items()
    }


def _brief(value: float) -> str:
    return fixed(value, 3 if 0 < abs(value) < 0.1 else 2)


def _two_decimals(value: object) -> str:
    return fixed(value, 2) if isinstance(value, float) else number(value)


def _has_no_group(rows: Sequence[LeaderboardRow], view: View) -> bool:
    return all(row.group is None for row in rows)


def _has_no_gap(rows: Sequence[LeaderboardRow], view: View) -> bool:
    return view in WIDE and all(row.judgement.gap_closed is None for row in rows)


def _over_linear(part: Literal["mean", "low", "high"]) -> Callable[[LeaderboardRow], object]:
    def value(row: LeaderboardRow) -> float | None:
        lead = row.judgement.over_linear
        if lead is None:
            return None
        return {"mean": lead.mean, "low": lead.low, "high": lead.high}[part]

    return value


def _has_no_lead(rows: Sequence[LeaderboardRow], view: View) -> bool:
    return all(row.judgement.over_linear is None for row in rows)


def _has_all_folds(rows: Sequence[LeaderboardRow], view: View) -> bool:
    return all(row.total.n_folds >= row.n_split_folds for row in rows)


# The one list of a leaderboard's columns. JSON's names are a contract; add, but do not rename.
LEADERBOARD: Layout[LeaderboardRow] = Layout(
    columns=(
        Column("group", lambda row: row.group, DATA | PAPER, is_text=True, left_out=_has_no_group),
        Column("rank", lambda row: row.rank, DATA | PAPER),
        Column("place", lambda row: row.place, WIDE, "rank", place="start"),
        Column("model", lambda row: row.model, place="key", is_text=True),
        Column("role", lambda row: row.role, DATA | PAPER, is_text=True),
        Column("metric", lambda row: row.metric, DATA | PAPER, is_text=True),
        Column("higher_is_better", lambda row: row.higher_is_better, frozenset(("json",))),
        Column("pooled", lambda row: row.total.pooled, DATA | PAPER),
        Column("ci_low", lambda row: row.total.ci_low, DATA | PAPER),
        Column("ci_high", lambda row: row.total.ci_high, DATA | PAPER),
        Column("interval", _interval, frozenset(("table",)), "95 %\ninterval", is_text=True),
        Column("mean", lambda row: row.total.mean, DATA | PAPER),
        Column("std", lambda row: row.total.std, DATA | PAPER),
        Column("stderr", lambda row: row.total.stderr, frozenset(("json",))),
        Column("n_folds", lambda row: row.total.n_folds, DATA | PAPER),
        Column("n_perturbations", lambda row: row.total.n_perturbations, DATA | PAPER),
        Column("n_distinct_perturbations", lambda row: row.n_distinct, DATA),
        Column("unit", lambda row: row.unit, DATA, is_text=True),
        Column("n_distinct_genes", lambda row: row.n_genes, DATA),
        Column("n_cell_types", lambda row: row.n_cell_types, DATA),
        Column("n_undefined", lambda row: row.total.n_undefined, DATA | PAPER),
        Column(
            "gap_closed",
            lambda row: row.judgement.gap_closed,
            heading="gap\nclosed",
            short=_two_decimals,
            left_out=_has_no_gap,
        ),
        Column("gap_low", lambda row: row.judgement.gap_low, DATA | PAPER),
        Column("gap_high", lambda row: row.judgement.gap_high, DATA | PAPER),
        Column("over_linear", _over_linear("mean"), DATA | PAPER, left_out=_has_no_lead),
        Column("over_linear_low", _over_linear("low"), DATA, left_out=_has_no_lead),
        Column("over_linear_high", _over_linear("high"), DATA, left_out=_has_no_lead),
        Column("gap_reason", lambda row: row.judgement.gap_reason, frozenset(("json",))),
        Column("echo_of", lambda row: row.judgement.echo_of, DATA, is_text=True),
        Column("min_gap", lambda row: row.judgement.min_gap, frozenset(("json",))),
        Column("normalised", lambda row: row.judgement.normalised, DATA | PAPER),
        Column(
            "normalised_reason",
            lambda row: row.judgement.normalised_reason,
            frozenset(("json",)),
        ),
        Column("chance", lambda row: row.chance, DATA),
        Column("normalised_by", _normalised_by, frozenset(("json",))),
        Column("cells_min", lambda row: min(row.n_cells, default=None), DATA),
        Column("cells_median", lambda row: median(row.n_cells) if row.n_cells else None, DATA),
        Column(
            "marks",
            lambda row: row.marks + (UNCALIBRATED if row.calibrated is False else ""),
            PAPER,
            is_text=True,
        ),
        Column("calibrated", lambda row: row.calibrated, DATA),
        Column("dynamic_range", lambda row: row.calibration.fraction, DATA),
        Column("dynamic_range_low", lambda row: row.calibration.low, frozenset(("json",))),
        Column("dynamic_range_high", lambda row: row.calibration.high, frozenset(("json",))),
        Column("calibration_reason", lambda row: row.calibration.reason, DATA, is_text=True),
        Column("is_best", lambda row: row.is_best, DATA),
        Column(
            "indistinguishable_from_best",
            lambda row: row.judgement.indistinguishable_from_best,
            DATA,
        ),
        Column("reference", lambda row: row.judgement.reference, DATA, is_text=True),
        Column("beats_reference", lambda row: row.judgement.beats_reference, DATA),
        Column("p_value", lambda row: row.judgement.p_value, DATA),
        Column("p_corrected", lambda row: row.judgement.p_corrected, DATA | PAPER),
        Column("n_family", lambda row: row.judgement.n_family, DATA),
        Column("above_ceiling", lambda row: row.judgement.above_ceiling, DATA),
        Column("doubts", lambda row: list(row.doubts), frozenset(("json",))),
        Column(
            "folds",
            lambda row: f"{row.total.n_folds}/{row.n_split_folds}",
            WIDE,
            place="end",
            left_out=_has_all_folds,
        ),
    ),
    cell=_cell,
    caption="pooled over held-out perturbations",
    legend=MARKS,
    page_note="Below each value: its 95 % interval, drawn as a bar whose right end is the better "
    "one; the line across it is the trivial reference. Gap closed: 0 is the better one of "
    "perturbed_mean and control_mean, 1 is technical_duplicate. Ceilings and floors stand apart "
    "and compete with no one.",
)


@collector_paused()
def leaderboard_rows(
    records: Sequence[RunRecord],
    *,
    keep: Callable[[Unit], bool] | None = None,
    group: str | None = None,
    min_gap: float = MIN_GAP,
) -> tuple[LeaderboardRow, ...]:
    """Derive the rows of one leaderboard, by metric and then by rank.

    Args:
        records: Records of one group, one per model and fold.
        keep: Keeps only some held-out perturbations; None keeps all.
        group: What to call them.
        min_gap: The least share of the gap to the ceiling that a claim needs.
    """
    if isinstance(records, IndexedRecords) and keep is None and group is None:
        make = partial(leaderboard_rows, min_gap=min_gap)
        return kept_rows(records, f"rows, least gap {min_gap}", make)
    return board_rows(
        metric_tables(records, keep=keep),
        n_split_folds=records[0].split.n_folds,
        group=group,
        min_gap=min_gap,
    )


def kept_rows(
    records: IndexedRecords,
    what: str,
    make: Callable[[Sequence[RunRecord]], tuple[LeaderboardRow, ...]],
) -> tuple[LeaderboardRow, ...]:
    """Return rows that the index keeps, or derive them from the records and let it keep them.

    Args:
        records: Records of one group.
        what: Names the rows among all that are derived of these records.
        make: Derives them.
    """
    made: list[LeaderboardRow] = []

    def text() -> str:
        made.extend(make(tuple(records)))
        written = ROWS.dump_json(tuple(made)).decode()
        # JSON has no infinity: rows that would come back otherwise are derived each time.
        return written if ROWS.validate_json(written) == tuple(made) else ""

    kept = records.derived(what, text)
    if not made and kept:
        with suppress(ValidationError):
            return ROWS.validate_json(kept)
    return tuple(made) or make(tuple(records))


@one_blas_thread()
def board_rows(
    tables: Sequence[MetricTable],
    *,
    n_split_folds: int,
    group: str | None = None,
    min_gap: float = MIN_GAP,
) -> tuple[LeaderboardRow, ...]:
    """Derive the rows of one leaderboard, by metric and then by rank.

    Args:
        tables: The values of all its metrics.
        n_split_folds: Folds of the split, with a result or without.
        group: The part of the held-out perturbations that they are about; None for all.
        min_gap: The least share of the gap to the ceiling that a claim needs.
    """
    judge = partial(
        judge_models,
        echo_of=echoes(tables, min_gap=min_gap),
        min_gap=min_gap,
        barred=barred(tables),
    )
    of_metrics = in_threads(partial(_metric_rows, judge=judge), tables)
    return tuple(
        replace(row, n_split_folds=n_split_folds, group=group)
        for rows in of_metrics
        for row in rows
    )


def _metric_rows(
    table: MetricTable, judge: Callable[..., dict[str, Judgement]]
) -> list[LeaderboardRow]:
    grid = ScoreGrid.of(table)
    intervals = grid.intervals()
    totals = {
        model: aggregate(table.folds(model), neutral=table.neutral, interval=intervals[model])
        for model in table.values
    }
    pooled = {model: total.pooled for model, total in totals.items()}
    ranked = competition_ranks(list(pooled.values()), higher_is_better=table.higher_is_better)
    has_values = any(value is not None for value in pooled.values())
    ranks = dict(zip(pooled, ranked if has_values else [None] * len(ranked), strict=True))
    rivals = {model: pooled[model] for model in table.competitors}
    places = competition_ranks(list(rivals.values()), higher_is_better=table.higher_is_better)
    place = dict(zip(rivals, places, strict=True)) if has_values else {}
    calibration = calibrate(grid, pooled)
    judgements = judge(table, grid, pooled)
    rows = [
        LeaderboardRow(
            model=model,
            role=table.roles[model],
            metric=table.metric,
            higher_is_better=table.higher_is_better,
            rank=ranks[model],
            place=place.get(model),
            total=total,
            judgement=judgements[model],
            n_distinct=table.n_perturbations(model),
            unit=table.unit,
            n_genes=table.n_genes(model),
            untied=table.untied.get(model, 0.0),
            is_untied_unknown=model in table.unknown_ties,
            n_cell_types=len({unit.cell_type for unit in table.values[model]}),
            n_split_folds=0,
            chance=table.chance,
            n_cells=table.n_cells.get(model, ()),
            calibration=calibration,
            doubts=table.doubts.get(model, ()),
        )
        for model, total in totals.items()
    ]
    return sorted(rows, key=lambda row: (row.rank or 0, row.model))
