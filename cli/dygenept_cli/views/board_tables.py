"""Boards as Rich tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from dygenept.machine.plain_text import printable
from dygenept_cli.views.box_table import BoxTable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from dygenept.leaderboard.boards import Board, Part
    from dygenept.leaderboard.columns import BoardRow, Cell, Layout
    from dygenept.leaderboard.wide import Heading, WideTable

    Row = TypeVar("Row", bound=BoardRow)

ROLE_MARKS = {
    **{"ceiling": " (ceiling)", "floor": " (floor)", "submitted": " (submitted)"},
    **{"baseline": "", "model": ""},
}
WIDTH = 160
# A column's padding and border.
GAP = 3
VALUE_WIDTH = 7
MARKS_WIDTH = 3
MAX_NAME = 40
LEAST_NAME = 16
GROUP_WIDTH = 16
KEY = "model"


def board_tables(
    board: Board[Row], *, metrics: Sequence[str] = (), width: int = WIDTH
) -> list[RenderableType]:
    """Lay a board of any kind out; one that is grouped has one column per group.

    Args:
        board: The board.
        metrics: Metrics to show; empty shows as many as fit, or the leading one of a grouped board.
        width: Columns of the terminal.
    """
    if not board.rows:
        return []
    if board.by is None:
        return _wide_tables(board, metrics=metrics, width=width)
    shown = metrics or (board.lead,)
    return [table for name in shown for table in _grouped_tables(board, name, width=width)]


def _wide_tables(
    board: Board[Row], *, metrics: Sequence[str] = (), width: int = WIDTH
) -> list[RenderableType]:
    """Lay rows out, one line per model and one column per metric.

    Args:
        board: The board.
        metrics: Metrics to show, in as many tables as the width needs; empty shows one table with
            as many as fit, leading ones first.
        width: Columns of the terminal.
    """
    from dygenept.leaderboard.columns import leading_first
    from dygenept.leaderboard.wide import wide_table

    layout, rows = board.layout, board.rows
    present = list(dict.fromkeys(row.metric for row in rows))
    left = [name for name in metrics if name in present]
    is_one_table = not left
    if is_one_table:
        left = leading_first(rows, fixed=board.fixed_lead)
    tables: list[RenderableType] = []
    while left:
        is_first = not tables
        whole = _marked_new(
            wide_table(layout, rows, left, "table", is_detailed=is_first), board.new
        )
        n_shown = _n_fitting(whole, width)
        table = whole
        if n_shown < len(left):
            fitting = wide_table(layout, rows, left[:n_shown], "table", is_detailed=is_first)
            table = _marked_new(fitting, board.new)
        hidden = [name for name in present if name not in left[:n_shown]] if is_one_table else []
        caption = _caption(layout, hidden)
        tables.append(_drawn(table, board.title, caption, width=width))
        left = [] if is_one_table else left[n_shown:]
    return tables


def _marked_new(table: WideTable, new: frozenset[str]) -> WideTable:
    """Mark the models that a run has just added to those of its folder."""
    if not new:
        return table
    names = set(map(printable, new))
    place = next(place for place, head in enumerate(table.headings) if head.text == KEY)
    lines = []
    for role, cells in table.lines:
        name = cells[place]
        shown = replace(name, text=f"{name.text} (new)") if name.text in names else name
        lines.append((role, (*cells[:place], shown, *cells[place + 1 :])))
    return replace(table, lines=tuple(lines))


def _grouped_tables(board: Board[Row], metric: str, *, width: int) -> list[Table]:
    """Lay one metric out: one row per model, one column per part of the held-out perturbations."""
    from dygenept.leaderboard.columns import MISSING, Cell
    from dygenept.leaderboard.wide import direction

    parts, missing = (board.overall, *board.groups), Cell(MISSING)
    cells = [
        {row.model: board.layout.cell(row) for row in part.rows if row.metric == metric}
        for part in parts
    ]
    overall = [row for row in board.overall.rows if row.metric == metric]
    models = sorted(overall, key=lambda row: (row.rank or 0, row.model))
    longest = max(len(row.model + ROLE_MARKS[row.role]) for row in models)
    n_fitting = max(1, (width - 1 - min(longest, MAX_NAME) - GAP) // (GROUP_WIDTH + GAP))
    heading = f"{board.title}\n{metric} {direction(overall, metric)} by {board.by}"
    tables = []
    for first in range(0, len(parts), n_fitting):
        shown = range(len(parts))[first : first + n_fitting]
        table = _empty_table(heading, board.layout.legend)
        table.add_column("model", overflow="fold")
        for place in shown:
            name = printable(parts[place].name or "all").replace("_", "\n").replace(" ", "\n")
            size = _size(parts[place], metric)
            table.add_column(f"{name}\n{size}" if size else name, no_wrap=True)
        for row in models:
            found = (cells[place].get(row.model, missing) for place in shown)
            values = (_joined([(_aligned(cell), cell), (_interval(cell), cell)]) for cell in found)
            table.add_row(printable(row.model) + ROLE_MARKS[row.role], *values)
        tables.append(table)
    return tables


def _size(part: Part[Row], metric: str) -> str:
    """Return how many held-out conditions a part has; in words where genes have a value each."""
    words = part.size_by_metric.get(metric, "")
    if "gene" in words:
        return words.replace(", ", ",\n").replace(" in ", "\nin ")
    return "" if part.n_perturbations is None else f"n={part.n_perturbations}"


def _interval(cell: Cell) -> str:
    """Return the interval alone of what a page notes below a value."""
    interval, end, _ = cell.note.partition("]")
    return interval + end if end else ""


def _drawn(table: WideTable, heading: str, caption: str, *, width: int) -> RenderableType:
    """Draw a table; rich folds its names where they do not fit."""
    box = box_table(table, heading, caption)
    is_whole = sum(box.widths()) + GAP * len(table.headings) < width
    return box if is_whole else folded_table(table, heading, caption, width=width)


def _narrowed(table: WideTable, width: int) -> WideTable:
    """Leave columns out, those beside the metrics first, until names have room to be read."""
    while sum(_least(table, place) + GAP for place in range(len(table.headings))) + 1 > width:
        spare = [at for at, of in enumerate(table.headings) if not of.direction and of.text != KEY]
        if not spare:
            break
        # What stands behind the value goes first, and the rank last: the order of rows tells it.
        place = spare[-1]
        table = replace(
            table,
            headings=(*table.headings[:place], *table.headings[place + 1 :]),
            lines=tuple(
                (role, (*cells[:place], *cells[place + 1 :])) for role, cells in table.lines
            ),
        )
    return table


def _least(table: WideTable, place: int) -> int:
    """Return how many characters a column needs: a name may be folded, a metric's heading too."""
    head, longest = table.headings[place], _longest(table, place, has_heading=False)
    if head.text == KEY:
        return min(longest, LEAST_NAME)
    return longest if head.direction else _longest(table, place)


def _longest(table: WideTable, place: int, *, has_heading: bool = True) -> int:
    from rich.cells import cell_len

    head = table.headings[place]
    texts = [_shown(head, cells[place], role) for role, cells in table.lines]
    return max(map(cell_len, (*texts, *(_heading_lines(head) if has_heading else ("",)))))


def _fitted(table: WideTable, width: int) -> list[int]:
    """Return the width of each column: room goes to names, then headings, then roles of names."""
    places = range(len(table.headings))
    widths = [_least(table, place) for place in places]
    name = next((place for place in places if table.headings[place].text == KEY), 0)
    names = max((len(cells[name].text) for _, cells in table.lines), default=0)
    wanted = [
        (name, names),
        *((place, _longest(table, place)) for place in places if place != name),
    ]
    room = width - 1 - sum(widths) - GAP * len(widths)
    for place, most in (*wanted, (name, _longest(table, name))):
        more = max(min(most - widths[place], room), 0)
        widths[place] += more
        room -= more
    return widths


def box_table(table: WideTable, heading: str, caption: str) -> BoxTable:
    """Lay a table out for a terminal in which all of it fits."""
    return BoxTable(
        title=heading,
        caption=caption,
        headings=[[printable(line) for line in _heading_lines(head)] for head in table.headings],
        is_text=[head.is_text for head in table.headings],
        rows=[
            [
                (printable(_shown(head, cell, role)), _style(cell))
                for head, cell in zip(table.headings, cells, strict=True)
            ]
            for role, cells in table.lines
        ],
    )


def folded_table(table: WideTable, heading: str, caption: str, *, width: int = WIDTH) -> Table:
    """Lay a table out for a terminal that is too narrow for its names."""
    table = _narrowed(table, width)
    rich_table = _empty_table(heading, caption)
    for head, room in zip(table.headings, _fitted(table, width), strict=True):
        rich_table.add_column(
            "\n".join(_heading_lines(head)),
            justify="left" if head.is_text else "right",
            no_wrap=head.text != KEY and not head.direction,
            # A name longer than the room is folded onto a second line.
            overflow="fold",
            width=room,
        )
    for role, cells in table.lines:
        shown = zip(table.headings, cells, strict=True)
        rich_table.add_row(*(_joined([(_shown(head, of, role), of)]) for head, of in shown))
    return rich_table


def _shown(head: Heading, cell: Cell, role: str) -> str:
    if head.direction:
        return _aligned(cell)
    return cell.text + (ROLE_MARKS[role] if head.text == KEY else "")


def _style(cell: Cell) -> str:
    """Name the style of a value: faint where the metric is not calibrated, bold for the best."""
    if "uncalibrated" in cell.tones:
        return "dim"
    return "bold" if "best" in cell.tones else ""


def _joined(cells: Sequence[tuple[str, Cell]]) -> Text:
    """Put texts one below another, each in its style."""
    from rich.text import Text

    lines = [Text(text, style=_style(cell)) for text, cell in cells]
    return Text("\n").join(lines)


def _n_fitting(table: WideTable, width: int) -> int:
    """Count the metrics, from the front, for which there is room; one always fits."""
    room, needed = width - 1, []
    for place, head in enumerate(table.headings):
        marks = ROLE_MARKS if head.text == KEY else {}
        texts = (cells[place].text + marks.get(role, "") for role, cells in table.lines)
        longest = max(map(len, (*_heading_lines(head), *texts)))
        if head.direction:
            needed.append(max(longest, VALUE_WIDTH + MARKS_WIDTH) + GAP)
        else:
            room -= min(longest, MAX_NAME) + GAP
    return max(1, sum(total <= room for total in accumulate(needed)))


def _heading_lines(head: Heading) -> list[str]:
    """Put a metric's name on several short lines."""
    if not head.direction:
        return head.text.split("\n")
    *words, last = head.text.split("_")
    return [*words, f"{last} {head.direction}"]


def _empty_table(heading: str, caption: str) -> Table:
    from rich.table import Table

    return Table(
        title=heading,
        caption=caption,
        title_justify="left",
        caption_justify="left",
    )


def _caption(layout: Layout[Row], hidden: Sequence[str]) -> str:
    text = "; ".join(part for part in (layout.caption, layout.legend) if part)
    if hidden:
        text += f"\n{len(hidden)} more metric(s): --all-metrics, or --metric {hidden[0]}"
    return text


def _aligned(cell: Cell) -> str:
    return f"{cell.text:>{VALUE_WIDTH}} {cell.marks}".rstrip()
