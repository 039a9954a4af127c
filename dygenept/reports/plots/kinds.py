"""Every plot of results by its name, for the command line and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError, ResultsError, nearest
from dygenept.leaderboard.boards import Board, leaderboard_of
from dygenept.leaderboard.judgements import CEILING
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.leaderboard.saturation import saturation
from dygenept.reports.changes import condition_changes
from dygenept.reports.model_facts import cost_of
from dygenept.reports.per_perturbation import units_of
from dygenept.reports.plots import boards as of_boards
from dygenept.reports.plots import perturbations as single
from dygenept.reports.scores import BoardScores
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.types import in_cell_type

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("forest", "strips", "paired", "changes", "calibration", "saturation", "time", "memory")


@dataclass(frozen=True, slots=True)
class PlotRequest:
    """What is plotted.

    Attributes:
        kind: One of ``KINDS``.
        metric: Metric; None for the leading one.
        models: Shown names; empty takes those that the kind shows by default.
        perturbation: Label, for ``changes``.
        cell_type: Cell type, for ``changes`` where there are several.
    """

    kind: str
    metric: str | None = None
    models: tuple[str, ...] = ()
    perturbation: str | None = None
    cell_type: str | None = None


def plot_results(records: Sequence[RunRecord], request: PlotRequest, store: ResultsStore) -> Figure:
    """Plot one board's results.

    Args:
        records: Records of one board.
        request: What is plotted.
        store: The results folder, for predictions.

    Raises:
        ConfigError: If the kind, the metric, a model or the perturbation is unknown, or missing.
        ResultsError: If the results lack what the plot needs.
        DataUnavailableError: If matplotlib is not installed.
    """
    if request.kind not in KINDS:
        raise ConfigError(f"unknown plot {request.kind!r}; {nearest(request.kind, KINDS)}")
    board = leaderboard_of(records)
    present = {row.metric for row in board.overall.rows}
    if request.metric is not None and request.metric not in present:
        raise ConfigError(f"unknown metric {request.metric!r}; {nearest(request.metric, present)}")
    metric = request.metric or board.lead
    dataset = records[0].dataset
    if request.kind == "forest":
        return of_boards.forest(board, metric)
    if request.kind == "calibration":
        return of_boards.calibration(dataset, of_boards.ranges_of(board.overall.rows))
    if request.kind == "saturation":
        return of_boards.saturation(dataset, saturation(records, metric), metric)
    if request.kind in ("time", "memory"):
        costs = {
            model: cost_of([record for record in records if record.model == model])
            for model in {record.model for record in records}
        }
        return of_boards.cost(board, costs, metric=metric, of_memory=request.kind == "memory")
    if request.kind == "changes":
        return _changes(records, request, store)
    scores = BoardScores.of(records)
    models = request.models or _typical(board, metric)
    if request.kind == "strips":
        return single.strips(scores, metric, models)
    if len(models) < 2:
        raise ConfigError("name two models: --model A --model B")
    return single.paired(scores, metric, models[0], models[1])


def _typical(board: Board[LeaderboardRow], metric: str) -> tuple[str, ...]:
    """Return the best competitors, the trivial reference and the ceiling."""
    rows = [row for row in board.overall.rows if row.metric == metric]
    rows = [row for row in rows if row.total.pooled is not None]
    reference = rows[0].judgement.reference if rows else None
    rivals = [row.model for row in rows if row.role not in ("ceiling", "floor")]
    best = [model for model in rivals if model != reference][:3]
    models = {row.model for row in rows}
    beside = [name for name in (reference, CEILING) if name in models]
    return tuple(dict.fromkeys((*best[:1], *beside[:1], *best[1:], *beside[1:])))


def _changes(records: Sequence[RunRecord], request: PlotRequest, store: ResultsStore) -> Figure:
    if request.perturbation is None or not request.models:
        raise ConfigError("name a model and a perturbation: --model M --perturbation A+B")
    model = request.models[0]
    scores = BoardScores.of(records)
    (unit, *_) = units_of(scores, model, request.perturbation, request.cell_type)
    record = next((of for of in records if of.model == model and of.fold == unit.fold), None)
    if record is None:
        raise ResultsError(f"{model} has no result on fold {unit.fold + 1}")
    found = condition_changes(store, record, unit)
    if isinstance(found, str):
        raise ResultsError(f"no changes of {model} on {unit.perturbation}: {found}")
    title = f"{model} on {unit.perturbation}{in_cell_type(unit.cell_type)} ({record.dataset.name})"
    return single.changes(found, title, is_simulated=record.dataset.simulated)
