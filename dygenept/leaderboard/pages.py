"""Boards as an HTML page: one row per model, one column per metric."""

from __future__ import annotations

import html
from collections.abc import Sequence

from dygenept.leaderboard.boards import SIMULATED, Board, Part
from dygenept.leaderboard.columns import Cell, Layout, Row
from dygenept.leaderboard.published import HEADING, published_lines
from dygenept.leaderboard.wide import Heading, wide_table

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
h2 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
.simulated { background: #fff3cd; padding: 0 .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
td { vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; }
th.text, td.text { text-align: left; white-space: nowrap; }
td.best { font-weight: 700; background: #e6f4ea; }
td.near { background: #f3faf5; }
td.behind { color: #8a5a00; }
td.uncalibrated { color: #999; background: #f7f7f7; font-weight: 400; }
tr.ceiling td, tr.floor td { color: #777; font-style: italic; }
small { display: block; color: #777; font-weight: 400; white-space: nowrap; }
p { color: #555; max-width: 70rem; }
"""


def html_page(boards: Sequence[Board[Row]]) -> str:
    """Write boards of one kind as a page that needs no other file."""
    intro = f"<p>{html.escape(_introduction(boards[0].layout))}</p>\n" if boards else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>DyGenePT leaderboards</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Leaderboards</h1>\n{intro}{''.join(map(_board, boards))}</body>\n</html>\n"
    )


def _introduction(layout: Layout[Row]) -> str:
    sentences = (f"Values: {layout.caption}.", layout.legend and f"{layout.legend}.")
    return " ".join(part for part in (*sentences, layout.page_note) if part)


def _board(board: Board[Row]) -> str:
    """One board; each group of a grouped one is a table of its own."""
    if not board.rows:
        return ""
    is_simulated = board.first.dataset.simulated
    heading = html.escape(board.title.removeprefix(f"{SIMULATED} · "))
    label = f'<span class="simulated">{SIMULATED}</span> ' if is_simulated else ""
    tables = (_table(board.layout, part, board.lead) for part in board.parts)
    notes = "".join(f"<p>{html.escape(note)}.</p>\n" for note in board.notes)
    return f"<h2>{label}{heading}</h2>\n{notes}{''.join(tables)}{_quoted(board)}"


def _table(layout: Layout[Row], part: Part[Row], lead: str) -> str:
    metrics = list(dict.fromkeys(row.metric for row in part.rows))
    metrics.sort(key=lambda name: name != lead)
    table = wide_table(layout, part.rows, metrics, "html")
    heads = "".join(_head(heading) for heading in table.headings)
    body = "\n".join(
        f'<tr class="{role}">{"".join(map(_cell, table.headings, cells))}</tr>'
        for role, cells in table.lines
    )
    caption = f"{part.name}: {part.n_perturbations} perturbations"
    above = "" if part.name is None else f"<p>{html.escape(caption)}</p>\n"
    return (
        f'{above}<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>\n"
    )


def _head(heading: Heading) -> str:
    name = html.escape(heading.text).replace("\n", " ")
    if heading.direction:
        return f"<th>{name.replace('_', '_<wbr>')}&nbsp;{heading.direction}</th>"
    return f"<th{_text_class(heading)}>{name}</th>"


def _cell(heading: Heading, cell: Cell) -> str:
    tones = f' class="{" ".join(cell.tones)}"' if cell.tones else ""
    note = f"<small>{html.escape(cell.note)}</small>" if cell.note else ""
    shown = f"{html.escape(cell.text)} {html.escape(cell.marks)}".rstrip()
    return f"<td{tones or ('' if heading.direction else _text_class(heading))}>{shown}{note}</td>"


def _text_class(heading: Heading) -> str:
    return ' class="text"' if heading.is_text else ""


def _quoted(board: Board[Row]) -> str:
    if not board.quoted:
        return ""
    items = "\n".join(f"<li>{html.escape(line)}</li>" for line in published_lines(board.quoted))
    return f"<p><strong>{HEADING}:</strong></p>\n<ul>\n{items}\n</ul>\n"
