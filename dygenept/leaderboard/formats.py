"""Boards as text: JSON, CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Literal

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.columns import Column, Row, View
from dygenept.leaderboard.pages import html_page
from dygenept.leaderboard.published import HEADING, PublishedRow, published_lines

TextFormat = Literal["json", "csv", "markdown", "latex", "html"]


def render(boards: Sequence[Board[Row]], chosen: TextFormat) -> str:
    """Write boards of one kind in a format that needs no terminal.

    Args:
        boards: What to show, one below another.
        chosen: ``json``, ``csv``, ``markdown``, ``latex`` or ``html``.
    """
    if chosen == "json":
        documents = [board.document() for board in boards]
        return json.dumps(documents, indent=2, ensure_ascii=False) + "\n"
    if chosen == "csv":
        return _csv(boards)
    if chosen == "html":
        return html_page(boards)
    one = _markdown if chosen == "markdown" else _latex
    return "\n".join(one(board) for board in boards)


def _csv(boards: Sequence[Board[Row]]) -> str:
    """One table for all boards, each row led by what its board is about."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rows = [row for board in boards for row in board.rows]
    columns = boards[0].layout.shown(rows, "csv") if boards else ()
    names = [column.name for column in columns]
    writer.writerow([*(boards[0].origin() if boards else ()), *names])
    for board in boards:
        origin = board.origin().values()
        for row in board.rows:
            values = (column.value(row) for column in columns)
            writer.writerow([*origin, *("" if value is None else value for value in values)])
        for quoted in board.quoted:
            known = _quoted_values(quoted)
            writer.writerow([*origin, *(known.get(name, "") for name in names)])
    return buffer.getvalue()


def _quoted_values(row: PublishedRow) -> dict[str, str | float]:
    return {"model": row.model, "role": "quoted", "metric": row.metric, "mean": row.value}


def _texts(
    board: Board[Row], view: View, escape: Callable[[str], str]
) -> tuple[tuple[Column[Row], ...], list[list[str]]]:
    columns = board.layout.shown(board.rows, view)
    return columns, [
        [escape(column.text(column.value(row))) for column in columns] for row in board.rows
    ]


def _markdown(board: Board[Row]) -> str:
    columns, cells = _texts(board, "markdown", lambda text: text.replace("|", "\\|"))
    lines = [
        f"### {board.title}",
        "",
        f"| {' | '.join(column.name for column in columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(line)} |" for line in cells),
        "",
    ]
    if board.layout.legend:
        lines += [board.layout.legend.replace("*", "\\*") + ".", ""]
    if board.quoted:
        escaped = [
            line.replace("|", "\\|").replace("_", "\\_") for line in published_lines(board.quoted)
        ]
        lines += [f"**{HEADING}:**", "", *(f"* {line}" for line in escaped), ""]
    return "\n".join(lines)


def _latex(board: Board[Row]) -> str:
    columns, cells = _texts(board, "latex", _escaped)
    body = "\n".join(f"{' & '.join(line)} \\\\" for line in cells)
    sides = "".join("l" if column.is_text else "r" for column in columns)
    legend = f". {board.layout.legend}." if board.layout.legend else ""
    heading = " & ".join(_escaped(column.name) for column in columns)
    quoted = [f"{HEADING}:", *published_lines(board.quoted)] if board.quoted else []
    return (
        f"\\begin{{table}}\n\\caption{{{_escaped(board.title + legend)}}}\n"
        f"\\begin{{tabular}}{{{sides}}}\n\\hline\n{heading} \\\\\n\\hline\n{body}\n\\hline\n"
        "\\end{tabular}\n\\end{table}\n" + "".join(f"{_escaped(line)}\\par\n" for line in quoted)
    )


def _escaped(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    for sign, command in (("±", "pm"), ("×", "times"), ("≈", "approx"), ("·", "cdot")):
        text = text.replace(sign, f"$\\{command}$")
    return text.replace("–", "--")
