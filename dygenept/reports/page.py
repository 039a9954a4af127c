r"""Boards as one HTML page that needs no other file and no network.

Names come from results of others: jinja2 escapes whatever is put in, control characters are shown
as ``\x1b``, the data are JSON in which ``<`` is escaped, and the page's own policy forbids every
request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Generic, cast

import dygenept
from dygenept.leaderboard.boards import SIMULATED, Board, Part
from dygenept.leaderboard.columns import Layout, Row
from dygenept.leaderboard.published import HEADING, published_lines
from dygenept.leaderboard.rows import LEADERBOARD, LeaderboardRow
from dygenept.leaderboard.wide import WideTable, wide_table
from dygenept.machine.plain_text import printable, printable_lines
from dygenept.machine.process_memory import collector_paused
from dygenept.reports.finding import finding
from dygenept.reports.page_data import PageBoard, page_data, page_json
from dygenept.reports.page_table import PageTable, TableLine, page_table
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = ("charts.js", "board.js", "detail.js")
# Signs of a page beside the data of a board of 20 models: its script, style and table.
AROUND = 132_000
APART = "Ceilings and floors: they know the truth, or ignore it, and compete with no one"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFrame:
    """What a page has around its boards.

    Attributes:
        heading: Its title.
        links: Further pages, as address and text.
        citations: BibTeX of what was used; empty says how to get it.
        feed: Address of a feed of records.
        date: Day on which it is made, as in 2026-11-29; empty is today, in UTC.
    """

    heading: str = "Leaderboards"
    links: tuple[tuple[str, str], ...] = ()
    citations: str = ""
    feed: str = ""
    date: str = ""


PLAIN = PageFrame()


@dataclass(frozen=True, slots=True)
class _Body:
    kind: str
    heading: str
    lines: tuple[TableLine, ...]


@dataclass(frozen=True, slots=True)
class _PagePart:
    name: str | None
    size: str
    table: PageTable | None
    wide: WideTable | None
    has_folds: bool = False

    @property
    def bodies(self) -> tuple[_Body, ...]:
        """The models that compete, and those that do not."""
        if self.table is None:
            return ()
        return (
            _Body("competitors", "", self.table.competitors),
            _Body("set-apart", APART, self.table.apart),
        )


@dataclass(frozen=True, slots=True)
class _Section(Generic[Row]):
    id: str
    board: Board[Row]
    parts: tuple[_PagePart, ...]
    data: str = ""
    finding: str = ""
    quoted: Sequence[str] = field(default=())

    @property
    def title(self) -> str:
        return self.board.title.removeprefix(f"{SIMULATED} · ")

    @property
    def is_simulated(self) -> bool:
        return self.board.first.dataset.simulated

    @property
    def notes(self) -> tuple[str, ...]:
        return self.board.notes

    @property
    def legend(self) -> str:
        return _legend(self.board.layout)


@collector_paused()
def html_page(boards: Sequence[PageBoard] | Sequence[Board[Row]], frame: PageFrame = PLAIN) -> str:
    """Write boards of one kind as a page that needs no other file.

    Args:
        boards: Leaderboards with what is behind them, or boards of any kind by themselves.
        frame: What the page has around them.
    """
    shown = [item if isinstance(item, PageBoard) else _bare(item) for item in boards]
    sections = [
        _section(number, item) for number, item in enumerate(shown) if item.board.overall.rows
    ]
    records = [record for item in shown for record in item.records]
    newest = max((record.created for record in records), default="")
    return (
        _environment()
        .get_template("page.html")
        .render(
            heading=frame.heading,
            links=[{"href": href, "text": text} for href, text in frame.links],
            feed=frame.feed,
            intro="" if not sections else f"Values: {sections[0].board.layout.caption}.",
            sections=sections,
            simulated=SIMULATED,
            quoted_heading=HEADING,
            has_data=any(section.data for section in sections),
            hashes=_hashes([item.board.first for item in shown]),
            newest=newest[:10],
            citations=frame.citations,
            date=frame.date or datetime.now(UTC).date().isoformat(),
            version=dygenept.__version__,
            css=_text("page.css"),
            script=_script() if any(part.table for of in sections for part in of.parts) else "",
        )
    )


@collector_paused()
def page_board(
    board: Board[LeaderboardRow],
    records: Sequence[RunRecord],
    *,
    results: ResultsStore | None = None,
) -> PageBoard:
    """Put a leaderboard together with what its page shows behind it."""
    return PageBoard(board=board, records=tuple(records), store=results)


def render_template(name: str, values: Mapping[str, object]) -> str:
    """Fill one of the templates of this room in; what is put in is escaped."""
    shared = {"version": dygenept.__version__, "css": _text("page.css")}
    return _environment().get_template(name).render(**shared, **values)


def _bare(board: Board[Row]) -> PageBoard:
    # A board over seeds is shown as it is laid out: it has no rows of a leaderboard.
    return PageBoard(board=cast("Board[LeaderboardRow]", board))


def _section(number: int, shown: PageBoard) -> _Section[LeaderboardRow]:
    board = shown.board
    is_leaderboard = board.layout is LEADERBOARD
    data = ""
    if is_leaderboard and shown.records:
        from markupsafe import Markup

        # ``page_json`` leaves no sign in it that could end the element.
        data = Markup(page_json(page_data(shown, n_around=AROUND)))
    return _Section(
        id=f"board-{number + 1}",
        board=board,
        parts=tuple(_part(board, part, is_leaderboard) for part in board.parts),
        data=data,
        finding=finding(board) if is_leaderboard else "",
        quoted=published_lines(board.quoted),
    )


def _part(
    board: Board[LeaderboardRow],
    part: Part[LeaderboardRow],
    is_leaderboard: bool,
) -> _PagePart:
    if is_leaderboard:
        has_folds = any(row.total.n_folds < row.n_split_folds for row in part.rows)
        table = page_table(board, part.rows)
        return _PagePart(part.name, part.size, table, None, has_folds)
    metrics = list(dict.fromkeys(row.metric for row in part.rows))
    metrics.sort(key=lambda name: name != board.lead)
    wide = wide_table(board.layout, part.rows, metrics, "html")
    return _PagePart(part.name, part.size, None, wide)


def _hashes(firsts: Sequence[RunRecord]) -> list[dict[str, str]]:
    return [
        {"name": first.dataset.name, "data": first.dataset.sha256, "split": first.split.sha256}
        for first in firsts
    ]


def _legend(layout: Layout[Row]) -> str:
    parts = (layout.legend and f"{layout.legend}.", layout.page_note)
    return " ".join(part for part in parts if part)


def _text(name: str) -> str:
    from markupsafe import Markup

    text = (files("dygenept.reports") / "templates" / name).read_text(encoding="utf-8")
    return Markup(text)


def _script() -> str:
    from markupsafe import Markup

    return Markup('"use strict";\n').join(["", *map(_text, SCRIPTS)])


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("dygenept.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = printable
    made.filters["lines_shown"] = printable_lines
    return made
