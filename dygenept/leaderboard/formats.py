"""Boards as text: JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Literal

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.columns import Column, Row, View
from dygenept.leaderboard.published import HEADING, PublishedRow, published_lines
from dygenept.machine.plain_text import csv_cell, printable, printable_json

# An underscore within a word is not emphasis, brackets without an address are not a link, and names
# are full of both.
_MARKDOWN = re.compile(r"[\\`*<>|~&#]|(?<=\])\(|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{
            "±": r"$\pm$",
            "×": r"$\times$",
            "≈": r"$\approx$",
            "·": r"$\cdot$",
            "–": "--",
            "−": "$-$",
        },
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    }
)
TextFormat = Literal["json", "csv", "markdown", "latex"]


def render(boards: Sequence[Board[Row]], chosen: TextFormat) -> str:
    """Write boards of one kind in a format that needs no terminal.

    Args:
        boards: What to show, one below another.
        chosen: ``json``, ``csv``, ``markdown`` or ``latex``.
    """
    if chosen == "json":
        documents = [board.document() for board in boards]
        return printable_json(json.dumps(documents, indent=2, ensure_ascii=False)) + "\n"
    if chosen == "csv":
        return _csv(boards)
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
            writer.writerow(map(csv_cell, (*origin, *values)))
        for quoted in board.quoted:
            known = _quoted_values(quoted)
            writer.writerow(map(csv_cell, (*origin, *map(known.get, names))))
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
    columns, cells = _texts(board, "markdown", markdown_text)
    lines = [
        f"### {markdown_text(board.title)}",
        "",
        f"| {' | '.join(column.name for column in columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(line)} |" for line in cells),
        "",
    ]
    if board.layout.legend:
        lines += [markdown_text(board.layout.legend) + ".", ""]
    lines += [f"{markdown_text(note)}.\n" for note in board.notes]
    if board.quoted:
        escaped = map(markdown_text, published_lines(board.quoted))
        lines += [f"**{HEADING}:**", "", *(f"* {line}" for line in escaped), ""]
    return "\n".join(lines)


def _latex(board: Board[Row]) -> str:
    columns, cells = _texts(board, "latex", latex_text)
    body = "\n".join(f"{' & '.join(line)} \\\\" for line in cells)
    sides = "".join("l" if column.is_text else "r" for column in columns)
    legend = "".join(f". {part}" for part in (board.layout.legend, *board.notes) if part)
    heading = " & ".join(latex_text(column.name) for column in columns)
    quoted = [f"{HEADING}:", *published_lines(board.quoted)] if board.quoted else []
    return (
        f"\\begin{{table}}\n\\caption{{{latex_text(board.title + legend)}}}\n"
        f"\\begin{{tabular}}{{{sides}}}\n\\hline\n{heading} \\\\\n\\hline\n{body}\n\\hline\n"
        "\\end{tabular}\n\\end{table}\n" + "".join(f"{latex_text(line)}\\par\n" for line in quoted)
    )


def latex_text(text: str) -> str:
    """Escape a text for LaTeX."""
    return printable(text).translate(_LATEX)


def markdown_text(text: str) -> str:
    """Escape a text for Markdown."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))
