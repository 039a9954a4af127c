"""What a board's columns are: declared once, shown by every format.

A column that is added to a ``Layout`` appears in JSON, CSV, Markdown and LaTeX, which have one row
per model and metric, and in the terminal's table and the HTML page, which have one row per model
and one column per metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from dygenept.leaderboard.calibration import UNKNOWN, Calibration
from dygenept.machine.plain_text import brief, fixed, printable

JsonDocument: TypeAlias = dict[str, object]
View = Literal["json", "csv", "markdown", "latex", "table", "html"]
Place = Literal["start", "key", "lead", "end"]

# Formats with one row per model and metric, for programs and for papers.
DATA: frozenset[View] = frozenset(("json", "csv"))
PAPER: frozenset[View] = frozenset(("markdown", "latex"))
# Formats with one row per model and one column per metric.
WIDE: frozenset[View] = frozenset(("table", "html"))
ALL = DATA | PAPER | WIDE

# What a narrow table shows, in this order, as many as fit; each measures something of its own.
LEAD_METRICS = (
    "pearson_delta_top20",
    "pearson_delta_perturbed_ref",
    "mse_top20",
    "perturbation_discrimination",
    "de_overlap",
    "energy_distance",
)
MISSING = "–"
UNCALIBRATED = "°"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """One model under one metric, on any kind of board.

    Attributes:
        model: Shown name.
        role: ``model``, ``baseline``, ``submitted``, ``ceiling`` or ``floor``.
        metric: Metric name.
        higher_is_better: The metric's direction.
        rank: 1 is best; equal values share the better rank. None where nobody has a value.
        calibration: Whether the metric can tell a good prediction from a trivial one here.
    """

    model: str
    role: str
    metric: str
    higher_is_better: bool
    rank: int | None
    calibration: Calibration = UNKNOWN

    @property
    def calibrated(self) -> bool | None:
        """True or False where the metric is known to be calibrated or not on this data set."""
        return self.calibration.is_calibrated


Row = TypeVar("Row", bound=BoardRow)


def number(value: object) -> str:
    """Write a value as people read it: a number in a few digits, a dash where there is none."""
    if not isinstance(value, float):
        return MISSING if value is None else printable(str(value))
    return brief(value)


def decimal(value: object) -> str:
    """Write a value with four decimals."""
    return fixed(value, 4) if isinstance(value, float) else number(value)


def never(rows: Sequence[object], view: View) -> bool:
    """Leave a column out of nothing."""
    return False


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        name: Field in JSON, and heading in CSV, Markdown and LaTeX.
        value: Its value in a row.
        views: Formats that show it.
        heading: Heading in the terminal and on the page; the name where empty.
        place: Where the terminal and the page have it: at the ``start`` or beside the ``lead``
            metric (both from that metric's row), as the line's ``key``, or at the ``end``.
        is_text: True sets it to the left.
        text: Writes the value for Markdown and LaTeX.
        short: Writes the value for the terminal and the page.
        left_out: True where rows need no such column in a format.
    """

    name: str
    value: Callable[[Row], object]
    views: frozenset[View] = ALL
    heading: str = ""
    place: Place = "lead"
    is_text: bool = False
    text: Callable[[object], str] = decimal
    short: Callable[[object], str] = number
    left_out: Callable[[Sequence[Row], View], bool] = never


@dataclass(frozen=True, slots=True)
class Cell:
    """What a table with one column per metric shows in one place.

    Attributes:
        text: The value.
        marks: What sets it apart, such as ``*`` for the best.
        note: What a page adds below it.
        tones: How it is set: ``best``, ``near``, ``behind``.
    """

    text: str
    marks: str = ""
    note: str = ""
    tones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout(Generic[Row]):
    """How one kind of board is laid out, in whatever format.

    Attributes:
        columns: Its columns, in the order of the formats that have one row per model and metric.
        cell: What a table with one column per metric shows for a row.
        caption: What the values are.
        legend: What the marks mean; empty where there are none.
        page_note: What a page explains beside caption and legend.
    """

    columns: tuple[Column[Row], ...]
    cell: Callable[[Row], Cell]
    caption: str
    legend: str = ""
    page_note: str = ""

    def shown(self, rows: Sequence[Row], view: View) -> tuple[Column[Row], ...]:
        """Return the columns that a format shows for some rows."""
        return tuple(
            column
            for column in self.columns
            if view in column.views and not column.left_out(rows, view)
        )

    def document(self, row: Row) -> JsonDocument:
        """Return a row for JSON."""
        return {column.name: column.value(row) for column in self.shown([row], "json")}


def lead_metric(rows: Sequence[BoardRow], *, fixed: str | None = None) -> str:
    """Return the metric that orders a table; see ``leading_first``."""
    return leading_first(rows, fixed=fixed)[0]


def leading_first(rows: Sequence[BoardRow], *, fixed: str | None = None) -> list[str]:
    """Return the metrics of some rows in the order in which a narrow table shows them.

    The first is the one that a suite or a user fixes. Else it is a calibrated one with the largest
    dynamic range: of those whose interval reaches it, the first in the order of ``LEAD_METRICS``.
    Without a calibrated one that order holds. Metrics that are not calibrated come late, and last
    those without any value.
    """
    present = list(dict.fromkeys(row.metric for row in rows))
    ordered = dict.fromkeys((*(name for name in LEAD_METRICS if name in present), *present))
    valued = {row.metric for row in rows if row.rank is not None}
    known = {row.metric: row for row in rows}
    ranges = {name: known[name].calibration for name in ordered if known[name].calibrated}
    late = {name for name in ordered if ranges and name not in ranges}
    names = sorted(ordered, key=lambda name: (name not in valued, name in late))
    largest = max((of.fraction or 0.0 for of in ranges.values()), default=0.0)
    near = (name for name, of in ranges.items() if (of.high or 0.0) >= largest)
    first = fixed if fixed in valued else next(near, None)
    return names if first is None else [first, *(name for name in names if name != first)]
