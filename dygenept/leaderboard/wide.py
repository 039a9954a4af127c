"""Boards with one row per model and one column per metric, as the terminal and the page show them.

The terminal and the page only decorate what is laid out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dygenept.leaderboard.columns import (
    MISSING,
    UNCALIBRATED,
    Cell,
    Column,
    Layout,
    Place,
    Row,
    View,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of one column.

    Attributes:
        text: Name of the column or metric.
        is_text: True sets the column to the left.
        direction: ``↑`` or ``↓`` for a metric; empty elsewhere.
    """

    text: str
    is_text: bool = False
    direction: str = ""


@dataclass(frozen=True, slots=True)
class WideTable:
    """Headings, and per model (best first) its role and a cell per heading."""

    headings: tuple[Heading, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]


def wide_table(
    layout: Layout[Row],
    rows: Sequence[Row],
    metrics: Sequence[str],
    view: View,
    *,
    is_detailed: bool = True,
) -> WideTable:
    """Lay rows out, one line per model.

    Args:
        layout: Columns, and what a metric's cell shows.
        rows: Rows of one board, at least one.
        metrics: Metrics to show; the first one leads: it orders the lines.
        view: ``table`` or ``html``.
        is_detailed: False leaves out the columns beside the leading metric.
    """
    lead, *others = metrics
    shown = layout.shown(rows, view)

    def at(*places: Place) -> list[Column[Row]]:
        return [column for column in shown if column.place in places]

    front, end = at("start", "key"), at("end")
    details = at("lead") if is_detailed else []
    headings = (
        *map(_heading, front),
        _metric_heading(lead, rows),
        *map(_heading, details),
        *(_metric_heading(name, rows) for name in others),
        *map(_heading, end),
    )
    lines = []
    for found in by_model(rows, lead):
        cells = (
            *(_plain(column, found, lead) for column in front),
            _value(layout, found.get(lead)),
            *(_plain(column, found, lead) for column in details),
            *(_value(layout, found.get(name)) for name in others),
            *(_plain(column, found, lead) for column in end),
        )
        lines.append((next(iter(found.values())).role, cells))
    return WideTable(headings, tuple(lines))


def by_model(rows: Sequence[Row], lead: str) -> list[Mapping[str, Row]]:
    """Return each model's rows by metric, ordered by rank in the leading one."""
    models: dict[str, dict[str, Row]] = {}
    for row in rows:
        models.setdefault(row.model, {})[row.metric] = row

    def place(found: Mapping[str, Row]) -> tuple[float, str]:
        row = found.get(lead)
        return (float("inf"), "") if row is None else (row.rank or 0, row.model)

    return sorted(models.values(), key=place)


def direction(rows: Sequence[Row], metric: str) -> str:
    """Return an arrow to where a metric is better, and a mark where it is not calibrated."""
    row = next(row for row in rows if row.metric == metric)
    arrow = "↑" if row.higher_is_better else "↓"
    return f"{arrow}{UNCALIBRATED}" if row.calibrated is False else arrow


def _heading(column: Column[Row]) -> Heading:
    return Heading(column.heading or column.name, column.is_text)


def _metric_heading(name: str, rows: Sequence[Row]) -> Heading:
    return Heading(name, is_text=True, direction=direction(rows, name))


def _plain(column: Column[Row], found: Mapping[str, Row], lead: str) -> Cell:
    # A rank or an interval is one metric's; a name and the number of folds are the model's.
    is_of_model = column.place in ("key", "end")
    row = found.get(lead) or (next(iter(found.values())) if is_of_model else None)
    if row is None:
        return Cell(MISSING)
    return Cell(column.short(column.value(row)), note=row.role if column.place == "key" else "")


def _value(layout: Layout[Row], row: Row | None) -> Cell:
    return Cell(MISSING) if row is None else layout.cell(row)
