"""The table of a board as a page shows it before, and without, any script.

One row per model and one cell per metric: the value with its marks, the interval as a bar, and the
trivial reference as a line. Bars of error metrics are turned round: the right end is always better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.columns import MISSING, Cell, leading_first, number
from dygenept.leaderboard.judgements import TRIVIAL
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.leaderboard.wide import by_model, direction
from dygenept.machine.plain_text import fixed, printable

APART = ("ceiling", "floor")
# Bars reach to what lies within so many spreads of the median, the spread being that of values or
# half an interval, whichever is larger; others end at the edge.
REACH = 6.0
SHOWN_FIRST = 6
# Columns of a layout that the page draws in a way of its own.
DRAWN = frozenset(("place", "model", "gap_closed", "folds"))


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval as a bar, in per cent of the cell's width.

    Attributes:
        left: Where it begins.
        width: How long it is.
        point: Where the value is.
        reference: Where the trivial reference's value is; None without one.
    """

    left: float
    width: float
    point: float
    reference: float | None


@dataclass(frozen=True, slots=True)
class TableCell:
    """One value of the table: its text, its sorting key, and how it is drawn."""

    cell: Cell
    key: str
    gap: str
    gap_key: str
    interval: str
    undefined: int
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class TableLine:
    """One model: its name, what is said of it, and a cell for each metric and further column."""

    model: str
    role: str
    tags: tuple[str, ...]
    rank: str
    folds: str
    cells: tuple[TableCell, ...]
    further: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableHead:
    """A metric's heading: its name in parts that may be broken, its direction, and what is said."""

    name: str
    words: tuple[str, ...]
    arrow: str
    is_shown: bool
    is_calibrated: bool | None
    title: str


@dataclass(frozen=True, slots=True)
class PageTable:
    """Headings, the models that compete, and apart from them ceilings and floors.

    Attributes:
        heads: Of metrics.
        further: Headings of columns of the layout that the page does not draw by itself; their
            values are those of the leading metric.
        competitors: Models that compete.
        apart: Ceilings and floors.
    """

    heads: tuple[TableHead, ...]
    further: tuple[str, ...]
    competitors: tuple[TableLine, ...]
    apart: tuple[TableLine, ...]


def page_table(board: Board[LeaderboardRow], rows: Sequence[LeaderboardRow]) -> PageTable:
    """Lay one part of a board out.

    Args:
        board: The board.
        rows: Rows of the part, at least one.
    """
    metrics = leading_first(rows, fixed=board.fixed_lead)
    axes = {name: _axis([row for row in rows if row.metric == name]) for name in metrics}
    further = [each for each in board.layout.shown(rows, "html") if each.name not in DRAWN]
    lines = []
    for found in by_model(rows, metrics[0]):
        first = next(iter(found.values()))
        lead = found.get(metrics[0])
        lines.append(
            TableLine(
                model=first.model,
                role=first.role,
                tags=_tags(first),
                rank="" if lead is None or lead.place is None else str(lead.place),
                folds=f"{first.total.n_folds}/{first.n_split_folds}",
                cells=tuple(_cell(board, found.get(name), axes[name]) for name in metrics),
                further=tuple(
                    MISSING if lead is None else column.short(column.value(lead))
                    for column in further
                ),
            )
        )
    heads = tuple(
        TableHead(
            name=name,
            words=_words(printable(name)),
            arrow=direction(rows, name),
            is_shown=place < SHOWN_FIRST,
            is_calibrated=next(row.calibrated for row in rows if row.metric == name),
            title=_title(next(row for row in rows if row.metric == name)),
        )
        for place, name in enumerate(metrics)
    )
    return PageTable(
        heads=heads,
        further=tuple(column.heading or column.name for column in further),
        competitors=tuple(line for line in lines if line.role not in APART),
        apart=tuple(line for line in lines if line.role in APART),
    )


def _words(name: str) -> tuple[str, ...]:
    """Part a metric's name where a heading may break it."""
    *words, last = name.split("_")
    return (*(f"{word}_" for word in words), last)


def _tags(row: LeaderboardRow) -> tuple[str, ...]:
    tags = [] if row.role in ("model", "baseline") else [row.role]
    tags += ["reference"] if row.model in TRIVIAL else []
    return tuple(tags)


def _title(row: LeaderboardRow) -> str:
    better = "higher is better" if row.higher_is_better else "lower is better"
    of = row.calibration
    ends = (
        "" if of.low is None or of.high is None else f" [{fixed(of.low, 2)}, {fixed(of.high, 2)}]"
    )
    how = "" if of.fraction is None else f"; dynamic range {fixed(of.fraction, 2)}{ends}"
    known = {True: "calibrated on this data set", False: "not calibrated on this data set"}
    said = "" if row.calibrated is None else f"; {known[row.calibrated]}"
    return f"{better}{how}{said}: {of.reason}"


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where the left and the right end of a metric's bars are; the left one is the worse."""

    worse: float
    better: float
    reference: float | None

    def place(self, value: float) -> float:
        span = self.better - self.worse
        share = 0.5 if span == 0 else (value - self.worse) / span
        # No minus before a zero.
        return round(100.0 * min(max(share, 0.0), 1.0), 1) + 0.0


def _axis(rows: Sequence[LeaderboardRow]) -> _Axis:
    values = np.array([row.total.pooled for row in rows if row.total.pooled is not None])
    if not len(values):
        return _Axis(0.0, 1.0, None)
    middle = float(np.median(values))
    halves = [
        (row.total.ci_high - row.total.ci_low) / 2.0
        for row in rows
        if row.total.ci_low is not None and row.total.ci_high is not None
    ]
    # Of few models the values may lie closer than an interval is wide.
    spread = max(float(np.median(np.abs(values - middle))), float(np.median(halves or [0.0])))
    reach = REACH * spread if spread > 0 else np.inf
    ends = [
        float(end)
        for row in rows
        for end in (row.total.pooled, row.total.ci_low, row.total.ci_high)
        if end is not None and abs(end - middle) <= reach
    ]
    low, high = min(ends), max(ends)
    name = rows[0].judgement.reference
    reference = next((row.total.pooled for row in rows if row.model == name), None)
    worse, better = (low, high) if rows[0].higher_is_better else (high, low)
    return _Axis(worse, better, reference)


def _cell(board: Board[LeaderboardRow], row: LeaderboardRow | None, axis: _Axis) -> TableCell:
    if row is None or row.total.pooled is None:
        cell = Cell(MISSING) if row is None else board.layout.cell(row)
        return TableCell(cell, key="", gap=MISSING, gap_key="", interval="", undefined=0, bar=None)
    total, closed = row.total, row.judgement.gap_closed
    point = axis.place(row.total.pooled)
    ends = sorted(
        (point, point)
        if total.ci_low is None or total.ci_high is None
        else (axis.place(total.ci_low), axis.place(total.ci_high))
    )
    return TableCell(
        cell=board.layout.cell(row),
        key=f"{row.total.pooled:.7g}",
        gap=MISSING if closed is None else fixed(closed, 2),
        gap_key="" if closed is None else f"{closed:.6g}",
        interval=(
            ""
            if total.ci_low is None or total.ci_high is None
            else f"[{number(total.ci_low)}, {number(total.ci_high)}]"
        ),
        undefined=total.n_undefined,
        bar=Bar(
            left=ends[0],
            width=round(ends[1] - ends[0], 1),
            point=point,
            reference=None if axis.reference is None else axis.place(axis.reference),
        ),
    )
