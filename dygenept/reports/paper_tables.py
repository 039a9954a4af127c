"""Leaderboards as tables for papers: one row per model, one column per metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.columns import MISSING, leading_first, number
from dygenept.leaderboard.formats import latex_text, markdown_text
from dygenept.leaderboard.judgements import TRIVIAL
from dygenept.leaderboard.published import HEADING, published_lines
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.leaderboard.wide import by_model
from dygenept.machine.plain_text import csv_cell

WideFormat = Literal["markdown", "latex", "csv"]
N_METRICS = 6
APART = ("ceiling", "floor")
BOLD = (
    "Bold: the best, and what cannot be told from it (95 % confidence), of models that are shown "
    "to beat the trivial references. Brackets: 95 % intervals over perturbations. † trivial "
    "reference; below the rule: ceilings and floors, which compete with no one"
)


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    is_apart: bool
    cells: tuple[LeaderboardRow | None, ...]


def wide(
    boards: Sequence[Board[LeaderboardRow]],
    chosen: WideFormat,
    *,
    metrics: Sequence[str] = (),
    all_metrics: bool = False,
) -> str:
    """Write leaderboards with one row per model.

    Args:
        boards: The boards.
        chosen: ``markdown``, ``latex`` (needs the package booktabs) or ``csv``.
        metrics: Metrics to show, in this order; empty shows the six that lead.
        all_metrics: Show every metric.
    """
    if chosen == "csv":
        return _csv(boards, metrics)
    write = _markdown if chosen == "markdown" else _latex
    texts = []
    for board in boards:
        for part in board.parts:
            shown = _shown(board, part.rows, metrics, all_metrics=all_metrics)
            title = board.title if part.name is None else f"{board.title} · {part.name}"
            texts.append(write(title, board, part.rows, shown))
    return "\n".join(texts)


def _shown(
    board: Board[LeaderboardRow],
    rows: Sequence[LeaderboardRow],
    metrics: Sequence[str],
    *,
    all_metrics: bool,
) -> list[str]:
    present = leading_first(rows, fixed=board.fixed_lead)
    if metrics:
        return [name for name in metrics if name in present]
    return present if all_metrics else present[:N_METRICS]


def _lines(rows: Sequence[LeaderboardRow], metrics: Sequence[str]) -> list[_Line]:
    lines = []
    for found in by_model(rows, metrics[0]):
        first = next(iter(found.values()))
        mark = " †" if first.model in TRIVIAL else ""
        submitted = " (submitted)" if first.role == "submitted" else ""
        lines.append(
            _Line(
                f"{first.model}{submitted}{mark}",
                first.role in APART,
                tuple(found.get(name) for name in metrics),
            )
        )
    return sorted(lines, key=lambda line: line.is_apart)


def _cell(
    row: LeaderboardRow | None, bold: Callable[[str], str], small: Callable[[str], str]
) -> str:
    if row is None or row.total.pooled is None:
        return MISSING
    total = row.total
    value = number(total.pooled)
    if row.is_among_best:
        value = bold(value)
    if total.ci_low is None:
        return value
    ends = f"[{number(total.ci_low)}, {number(total.ci_high)}]"
    return f"{value} {small(ends)}"


def _arrow(rows: Sequence[LeaderboardRow], metric: str) -> str:
    return "↑" if next(row for row in rows if row.metric == metric).higher_is_better else "↓"


def _markdown(
    title: str,
    board: Board[LeaderboardRow],
    rows: Sequence[LeaderboardRow],
    metrics: Sequence[str],
) -> str:
    heads = [f"{markdown_text(name)} {_arrow(rows, name)}" for name in metrics]
    body = [
        f"| {markdown_text(line.name)}{' *(apart)*' if line.is_apart else ''} | "
        + " | ".join(_cell(row, lambda text: f"**{text}**", str) for row in line.cells)
        + " |"
        for line in _lines(rows, metrics)
    ]
    notes = [f"{markdown_text(note)}.\n" for note in board.notes]
    if board.quoted:
        quoted = (f"* {markdown_text(line)}\n" for line in published_lines(board.quoted))
        notes.append(f"{HEADING}:\n\n{''.join(quoted)}")
    return "\n".join(
        [
            f"### {markdown_text(title)}",
            "",
            f"| model | {' | '.join(heads)} |",
            f"|---|{'---:|' * len(heads)}",
            *body,
            "",
            f"{BOLD.replace('below the rule', 'apart')}.",
            "",
            *notes,
        ]
    )


def _latex(
    title: str,
    board: Board[LeaderboardRow],
    rows: Sequence[LeaderboardRow],
    metrics: Sequence[str],
) -> str:
    def bold(text: str) -> str:
        return f"\\textbf{{{text}}}"

    def small(text: str) -> str:
        return f"{{\\scriptsize {text}}}"

    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}
    heads = [f"{latex_text(name)} {arrows[_arrow(rows, name)]}" for name in metrics]
    body: list[str] = []
    was_apart = False
    for line in _lines(rows, metrics):
        if line.is_apart and not was_apart and body:
            body.append("\\midrule")
        was_apart = line.is_apart
        cells = (
            _cell(row, bold, small).replace("−", "$-$").replace("–", "--") for row in line.cells
        )
        body.append(f"{_latex_name(line.name)} & {' & '.join(cells)} \\\\")
    caption = f"{latex_text(title)}. {_latex_name(BOLD)}."
    quoted = [f"{HEADING}:", *published_lines(board.quoted)] if board.quoted else []
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{l{'r' * len(metrics)}}}",
            "\\toprule",
            f"model & {' & '.join(heads)} \\\\",
            "\\midrule",
            *body,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            *(f"{latex_text(line)}\\par" for line in quoted),
            "",
        ]
    )


def _latex_name(text: str) -> str:
    return latex_text(text).replace("†", r"\dag{}")


def _csv(boards: Sequence[Board[LeaderboardRow]], metrics: Sequence[str]) -> str:
    """Write one row per board, part and model: value, interval and marks of every metric."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = list(
        dict.fromkeys(
            name
            for board in boards
            for name in _shown(board, board.rows, metrics, all_metrics=True)
        )
    )
    grouped = any(board.by is not None for board in boards)
    parts = ("", "_low", "_high", "_marks")
    origin = boards[0].origin() if boards else {}
    heads = [f"{name}{part}" for name in names for part in parts]
    writer.writerow([*origin, *(["group"] if grouped else []), "model", "role", *heads])
    for board in boards:
        for part in board.parts:
            for found in by_model(part.rows, names[0]):
                first = next(iter(found.values()))
                values = [value for name in names for value in _values(found.get(name))]
                group = [part.name] if grouped else []
                row = (*board.origin().values(), *group, first.model, first.role, *values)
                writer.writerow(map(csv_cell, row))
    return buffer.getvalue()


def _values(row: LeaderboardRow | None) -> tuple[object, ...]:
    if row is None:
        return (None, None, None, None)
    return (row.total.pooled, row.total.ci_low, row.total.ci_high, row.marks)
