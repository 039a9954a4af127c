"""A whole board: what it is about, its rows, and how they are laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

from dygenept.leaderboard import across_seeds
from dygenept.leaderboard import rows as leaderboard
from dygenept.leaderboard.across_seeds import SeedRow, seed_groups, seed_rows
from dygenept.leaderboard.columns import JsonDocument, Layout, Row, lead_metric
from dygenept.leaderboard.counts import counted_in_words
from dygenept.leaderboard.groups import REGIME, grouped_rows
from dygenept.leaderboard.judgements import MIN_GAP
from dygenept.leaderboard.notes import board_notes, part_notes
from dygenept.leaderboard.published import PublishedRow
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.leaderboard.saturation import Saturation, saturation, saturation_note
from dygenept.machine.plain_text import printable
from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.records import RunRecord

SCHEMA_VERSION = 1
SIMULATED = "SIMULATED DATA"


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    """Rows about the same held-out perturbations.

    Attributes:
        rows: By metric and then by rank.
        name: Name of the group; None for all held-out perturbations.
        n_perturbations: How many held-out conditions the group has; None where nobody counts them.
        size: What the rows are of, in words; empty where nobody counts it.
        size_by_metric: The same of each metric.
    """

    rows: tuple[Row, ...]
    name: str | None = None
    n_perturbations: int | None = None
    size: str = ""
    size_by_metric: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board(Generic[Row]):
    """One board to show.

    Attributes:
        layout: Its columns.
        first: A record of it, for its data set, suite and split.
        overall: Its rows over all held-out perturbations.
        groups: Its rows group by group; empty where it is not grouped.
        by: What it is grouped by; None where it is not.
        fixed_lead: The metric that a suite or a user puts first; None leaves it to the metrics'
            calibration.
        seeds: The seeds that it spans; empty for the seed of its split.
        quoted: Published figures under the same protocol, shown apart.
        notes: What a reader must know beside the rows.
        saturation: What simple models cover of each perturbation's range, where that groups it.
        new: Models that a run has just added to those of a results folder.
    """

    layout: Layout[Row]
    first: RunRecord
    overall: Part[Row]
    groups: tuple[Part[Row], ...] = ()
    by: str | None = None
    fixed_lead: str | None = None
    seeds: tuple[int, ...] = ()
    quoted: tuple[PublishedRow, ...] = ()
    notes: tuple[str, ...] = ()
    saturation: tuple[Saturation, ...] = ()
    new: frozenset[str] = frozenset()

    @property
    def parts(self) -> tuple[Part[Row], ...]:
        """What the board shows: its groups, or all held-out perturbations."""
        return (self.overall,) if self.by is None else self.groups

    @property
    def rows(self) -> tuple[Row, ...]:
        """Rows of all parts."""
        return tuple(row for part in self.parts for row in part.rows)

    @property
    def lead(self) -> str:
        """The metric that orders a table."""
        return lead_metric(self.overall.rows, fixed=self.fixed_lead)

    @property
    def title(self) -> str:
        """What the board is about; simulated data are labelled."""
        if not self.seeds:
            return title(self.first.dataset, self.first.split)
        shown = ", ".join(str(seed) for seed in self.seeds)
        return f"{title(self.first.dataset, self.first.split, with_seed=False)}, seeds {shown}"

    def document(self) -> JsonDocument:
        """Return the board for JSON."""
        first = self.first
        rows = [self.layout.document(row) for row in self.rows]
        # Over seeds, neither a seed nor the manifest's hash is the board's own.
        shared = {"name", "n_folds"} if self.seeds else None
        document: JsonDocument = {
            "schema_version": SCHEMA_VERSION,
            "dataset": first.dataset.model_dump(mode="json", exclude={"notes"}),
            "split": first.split.model_dump(mode="json", include=shared),
            "suite": first.suite,
            "de_list": first.de_list,
        }
        if self.seeds:
            return {**document, "seeds": list(self.seeds), "across_seeds": rows}
        grouped: JsonDocument = {} if self.by is None else {"by": self.by}
        if self.saturation:
            grouped["saturation"] = [item.document() for item in self.saturation]
        references = [row.document() for row in self.quoted]
        return {
            **document,
            **grouped,
            "lead_metric": self.lead if self.overall.rows else None,
            "leaderboard": rows,
            "references": references,
            "notes": list(self.notes),
        }

    def origin(self) -> JsonDocument:
        """Return what tells the board's rows from those of other boards in one table."""
        first = self.first
        return {
            "dataset": first.dataset.name,
            "simulated": first.dataset.simulated,
            "suite": first.suite,
            "split": first.split.name,
            **({} if self.seeds else {"seed": first.split.seed}),
        }


def _alone(rows: Sequence[LeaderboardRow]) -> tuple[str, ...]:
    rivals = {row.model for row in rows if row.role not in ("ceiling", "floor")}
    return (
        ("one model alone: there is nothing here to compare it with",) if len(rivals) == 1 else ()
    )


def leaderboard_of(
    records: Sequence[RunRecord],
    *,
    metrics: Sequence[str] = (),
    by: str | None = None,
    quoted: Sequence[PublishedRow] = (),
    min_gap: float = MIN_GAP,
    lead: str | None = None,
) -> Board[LeaderboardRow]:
    """Put the leaderboard of one group of records together.

    Args:
        records: Records of one group, one per model and fold, at least one.
        metrics: Metrics to show; empty shows all.
        by: Show parts of the held-out perturbations, as ``grouped_rows`` names them.
        quoted: Published figures that belong beside it; left out where it is grouped.
        min_gap: The least share of the gap to the ceiling that a claim needs.
        lead: The metric that a suite fixes as the first; the first of ``metrics`` goes before it.

    Raises:
        ConfigError: If ``by`` is something else.
        ResultsError: If the records lack what they are grouped by.
    """
    overall = _part(_of_metrics(leaderboard_rows(records, min_gap=min_gap), metrics))
    fixed = metrics[0] if metrics else lead
    first = records[0]
    board = Board(
        layout=leaderboard.LEADERBOARD,
        first=first,
        overall=overall,
        fixed_lead=fixed,
        notes=(
            *_alone(overall.rows),
            *board_notes(overall.rows, first, fixed_lead=fixed, in_parts=by is not None),
        ),
    )
    if by is None:
        beside = tuple(row for row in quoted if not metrics or row.metric in metrics)
        return replace(board, quoted=beside)
    # Whether a metric is calibrated is said of the data set, not of a part of it.
    known = {row.metric: row for row in overall.rows}
    by = by.replace("-", "_")
    cut = board.lead
    found: dict[str | None, list[LeaderboardRow]] = {}
    for row in _of_metrics(grouped_rows(records, by, min_gap=min_gap, metric=cut), metrics):
        whole = replace(row, calibration=known[row.metric].calibration)
        found.setdefault(row.group, []).append(whole)
    notes = (*board.notes, *part_notes(tuple(found.values())))
    board = replace(board, groups=tuple(map(_part, found.values())), by=by, notes=notes)
    if by != REGIME:
        return board
    saturated = saturation(records, cut)
    notes = (*board.notes, saturation_note(saturated, cut))
    return replace(board, saturation=saturated, notes=notes)


def seed_boards(
    boards: Sequence[Sequence[RunRecord]], *, metrics: Sequence[str] = ()
) -> tuple[Board[SeedRow], ...]:
    """Put leaderboards that differ only in their seed together, with the spread over seeds.

    Without ``metrics`` all are shown.
    """
    return tuple(
        Board(
            layout=across_seeds.SEEDS,
            first=group[0][0],
            overall=Part(_of_metrics(seed_rows(group), metrics)),
            seeds=tuple(records[0].seed for records in group),
        )
        for group in seed_groups(boards)
    )


def title(dataset: DatasetRecord, split: SplitRecord, *, with_seed: bool = True) -> str:
    """Say what a board is about; simulated data are labelled."""
    label = f"{SIMULATED} · " if dataset.simulated else ""
    seed = f", seed {split.seed}" if with_seed else ""
    name, how = printable(dataset.name), printable(split.name)
    if dataset.kind == "effects" and dataset.n_pairs is not None:
        size = f"{dataset.n_pairs:,} measured pairs ·"
    else:
        size = f"{dataset.n_cells:,} cells ×"
    folds = f"{split.n_folds} fold{'' if split.n_folds == 1 else 's'}"
    return (
        f"{label}{name} · {size} {dataset.n_genes:,} genes · "
        f"{dataset.n_perturbations:,} perturbations · {how}, {folds}{seed}"
    )


def _part(rows: Sequence[LeaderboardRow]) -> Part[LeaderboardRow]:
    by_metric: dict[str, list[LeaderboardRow]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    return Part(
        tuple(rows),
        rows[0].group if rows else None,
        max((row.total.n_perturbations for row in rows if row.unit != "gene"), default=None),
        size=counted_in_words(rows),
        size_by_metric={metric: counted_in_words(of) for metric, of in by_metric.items()},
    )


def _of_metrics(rows: Sequence[Row], metrics: Sequence[str]) -> tuple[Row, ...]:
    return tuple(row for row in rows if not metrics or row.metric in metrics)
