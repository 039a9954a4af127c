"""Plots of a board: intervals of its models, calibration of its metrics, costs, saturation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dygenept.errors import ResultsError
from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.judgements import TRIVIAL
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.leaderboard.saturation import REGIMES, Saturation
from dygenept.reports.model_facts import Cost
from dygenept.reports.plots.names import name_points
from dygenept.reports.plots.style import (
    BLUE,
    COLOURS,
    DARK,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    brief,
    figure,
    labelled,
    styled,
)
from dygenept.results.provenance import DatasetRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = ("ceiling", "floor")


class MetricRange(Protocol):
    """What a plot of calibration reads of a metric."""

    @property
    def metric(self) -> str:
        """Metric name."""

    @property
    def calibrated(self) -> bool | None:
        """Whether it can tell a good prediction from a trivial one; None where unknown."""

    @property
    def dynamic_range(self) -> float | None:
        """Share of the way to a perfect score that a ceiling goes."""

    @property
    def dynamic_range_low(self) -> float | None:
        """Lower end of its 95 % interval."""

    @property
    def dynamic_range_high(self) -> float | None:
        """Upper end."""


@styled
def forest(board: Board[LeaderboardRow], metric: str | None = None) -> Figure:
    """Plot each model's value with its 95 % interval, the best on top.

    Green: the best and what cannot be told from it, of models that are shown to beat the trivial
    references. Ceilings and floors are hollow, below a line;
    the dashed line is the better trivial reference.

    Args:
        board: The board.
        metric: Metric; None for the leading one.

    Raises:
        ResultsError: If no model has a value under it.
    """
    name = metric or board.lead
    rows = [row for row in board.overall.rows if row.metric == name]
    rows = [row for row in rows if row.total.pooled is not None]
    rows.sort(key=lambda row: (row.role in APART, row.rank or 0))
    if not rows:
        raise ResultsError(f"nothing to plot: no model has a value under {name}")
    made, axes = figure(0.8 + 0.16 * len(rows))
    for place, row in enumerate(rows):
        total, is_best = row.total, row.is_among_best
        colour = GREY if row.role in APART else GREEN if is_best else BLUE
        colour = ORANGE if row.model in TRIVIAL else colour
        if total.ci_low is not None and total.ci_high is not None:
            axes.plot([total.ci_low, total.ci_high], [place, place], color=colour, lw=1.4)
        face = "white" if row.role in APART else colour
        axes.plot(
            [total.pooled or 0.0], [place], "D" if is_best else "o", color=colour, mfc=face, ms=4
        )
    reference = rows[0].judgement.reference if rows else None
    for row in rows:
        if row.model == reference and row.total.pooled is not None:
            axes.axvline(row.total.pooled, color=ORANGE, lw=0.8, ls="--", zorder=0)
    n_competing = sum(row.role not in APART for row in rows)
    if 0 < n_competing < len(rows):
        axes.axhline(n_competing - 0.5, color=GREY, lw=0.6)
    marks = {"submitted": " (submitted)", "ceiling": " (ceiling)", "floor": " (floor)"}
    _name_rows(axes, [brief(row.model) + marks.get(row.role, "") for row in rows])
    better = "higher is better" if not rows or rows[0].higher_is_better else "lower is better"
    axes.set_xlabel(f"{name}\n{better}; mean and 95 % interval")
    return labelled(made, _about(board.first.dataset), is_simulated=board.first.dataset.simulated)


@styled
def calibration(dataset: DatasetRecord, metrics: Sequence[MetricRange]) -> Figure:
    """Plot each metric's dynamic range with its interval, the largest on top.

    Grey and hollow where the metric is not calibrated on the data set.

    Args:
        dataset: The data set.
        metrics: Its metrics; those without a range are listed without a point.
    """
    rows = sorted(
        metrics, key=lambda row: -(-2.0 if row.dynamic_range is None else row.dynamic_range)
    )
    made, axes = figure(0.8 + 0.16 * len(rows))
    axes.axvline(0.0, color=DARK, lw=0.8)
    for place, row in enumerate(rows):
        colour = BLUE if row.calibrated else GREY
        if row.dynamic_range_low is not None and row.dynamic_range_high is not None:
            ends = np.clip([row.dynamic_range_low, row.dynamic_range_high], -1.0, 1.0)
            axes.plot(ends, [place, place], color=colour, lw=1.4)
        if row.dynamic_range is not None:
            face = colour if row.calibrated else "white"
            axes.plot([max(row.dynamic_range, -1.0)], [place], "o", color=colour, mfc=face, ms=4)
    _name_rows(axes, [brief(row.metric, 40) + ("" if row.calibrated else " °") for row in rows])
    axes.set_xlabel("dynamic range (° not calibrated)\n0: as the reference, 1: perfect")
    return labelled(made, _about(dataset), is_simulated=dataset.simulated)


def ranges_of(rows: Sequence[LeaderboardRow]) -> list[MetricRange]:
    """Return what a plot of calibration reads of a board's metrics."""
    return [_Range(row) for row in {row.metric: row for row in rows}.values()]


class _Range:
    def __init__(self, row: LeaderboardRow) -> None:
        self.metric, self.calibrated = row.metric, row.calibrated
        self.dynamic_range = row.calibration.fraction
        self.dynamic_range_low = row.calibration.low
        self.dynamic_range_high = row.calibration.high


@styled
def saturation(dataset: DatasetRecord, found: Sequence[Saturation], metric: str) -> Figure:
    """Plot how much of each perturbation's range the best simple model covers, largest first.

    Args:
        dataset: The data set.
        found: One entry per held-out perturbation.
        metric: The metric that it is about.
    """
    made, axes = figure(2.3)
    kept = sorted(
        (item for item in found if item.share is not None), key=lambda item: -(item.share or 0.0)
    )
    from matplotlib.patches import Patch

    handles = []
    colours = dict(zip(REGIMES, (GREEN, BLUE, ORANGE, GREY), strict=True))
    for regime in REGIMES:
        places = [place for place, item in enumerate(kept) if item.regime == regime]
        n_all = sum(item.regime == regime for item in found)
        shares = [kept[place].share or 0.0 for place in places]
        axes.bar(places, shares, width=1.0, color=colours[regime])
        # What is noise has no bar, and so no colour.
        face = colours[regime] if regime != "noise" else "white"
        handles.append(Patch(facecolor=face, edgecolor=GREY, label=f"{regime} ({n_all})", lw=0.4))
    for level in (0.2, 0.8):
        axes.axhline(level, color=DARK, lw=0.6, ls=":")
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel(f"held-out perturbations, sorted by {metric}\n(noise has no range and no bar)")
    axes.set_ylabel("share of the range covered\nby the best simple model")
    made.legend(handles=handles, frameon=False, ncols=2, loc="outside lower center")
    return labelled(made, _about(dataset), is_simulated=dataset.simulated)


@styled
def cost(
    board: Board[LeaderboardRow],
    costs: Mapping[str, Cost],
    *,
    metric: str | None = None,
    of_memory: bool = False,
) -> Figure:
    """Plot accuracy against time, or against memory.

    Args:
        board: The board.
        costs: What each model took.
        metric: Metric; None for the leading one.
        of_memory: Peak memory in place of the time to fit and predict.

    Raises:
        ResultsError: If no model that competes has a value.
    """
    name = metric or board.lead
    rows = [row for row in board.overall.rows if row.metric == name and row.role not in APART]
    made, axes = figure(3.2, width=PAGE * 0.75)
    placed: list[tuple[float, float, str]] = []
    for row in rows:
        if row.total.pooled is None or row.model not in costs:
            continue
        of = costs[row.model]
        x = of.peak_memory_bytes / 1e9 if of_memory else of.fit_s + of.predict_s
        x = max(x, 1e-4)
        colour = ORANGE if row.model in TRIVIAL else COLOURS[0]
        axes.plot([x], [row.total.pooled], "o", color=colour, ms=4)
        placed.append((x, row.total.pooled, brief(row.model)))
    if not placed:
        raise ResultsError(f"nothing to plot: no model that competes has a value under {name}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    values = [x for x, _, _ in placed]
    if max(values) < 100 * min(values):
        from matplotlib.ticker import LogLocator

        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.set_xlabel("peak memory (GB)" if of_memory else "time to fit and predict, all folds (s)")
    better = "higher" if not rows or rows[0].higher_is_better else "lower"
    axes.set_ylabel(f"{name} ({better} is better)")
    axes.margins(0.12)
    labelled(made, _about(board.first.dataset), is_simulated=board.first.dataset.simulated)
    name_points(axes, sorted(placed, key=lambda of: -of[1]), fontsize=5.5)
    return made


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _about(dataset: DatasetRecord) -> str:
    return f"{dataset.name}: {dataset.n_perturbations:,} perturbations"
