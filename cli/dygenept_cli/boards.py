"""Leaderboards as text: table, JSON, CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dygenept_cli.tables import leaderboard_table, title

if TYPE_CHECKING:
    from dygenept.leaderboard import LeaderboardRow
    from dygenept.results import RunRecord

COLUMNS = ("rank", "model", "role", "metric", "pooled", "ci_low", "ci_high", "mean", "std")
COUNTS = ("n_folds", "n_perturbations", "n_undefined")


def render_boards(boards: Sequence[Sequence[RunRecord]], *, metric: str | None, chosen: str) -> str:
    """Render leaderboards one below another.

    Args:
        boards: Records of each leaderboard.
        metric: Show this metric alone.
        chosen: ``table``, ``json``, ``csv``, ``markdown``, ``latex`` or ``html``.
    """
    from dygenept.leaderboard import leaderboard_rows

    parts = [
        (records[0], tuple(r for r in leaderboard_rows(records) if metric in (None, r.metric)))
        for records in boards
    ]
    if chosen == "json":
        return json.dumps([_document(*part) for part in parts], indent=2, ensure_ascii=False) + "\n"
    if chosen == "csv":
        return _csv(parts)
    render = {"table": _table, "markdown": _markdown, "latex": _latex, "html": _html}[chosen]
    text = "\n".join(render(*part) for part in parts)
    return _page(text) if chosen == "html" else text


def _document(first: RunRecord, rows: Sequence[LeaderboardRow]) -> dict[str, object]:
    return {
        "schema_version": 1,
        "dataset": first.dataset.model_dump(mode="json", exclude={"notes"}),
        "split": first.split.model_dump(mode="json"),
        "suite": first.suite,
        "de_list": first.de_list,
        "leaderboard": [row.document() for row in rows],
    }


def _csv(parts: Sequence[tuple[RunRecord, Sequence[LeaderboardRow]]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["dataset", "simulated", "suite", "split", *COLUMNS, *COUNTS])
    for first, rows in parts:
        head = [first.dataset.name, first.dataset.simulated, first.suite, first.split.name]
        for row in rows:
            writer.writerow([*head, *(getattr(row, name) for name in (*COLUMNS, *COUNTS))])
    return buffer.getvalue()


def _table(first: RunRecord, rows: Sequence[LeaderboardRow]) -> str:
    from dygenept_cli import context

    console = context.stdout()
    with console.capture() as capture:
        console.print(leaderboard_table(rows, first.dataset, first.split))
    return capture.get()


def _cells(row: LeaderboardRow) -> list[str]:
    return [_text(getattr(row, name)) for name in (*COLUMNS, *COUNTS)]


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _markdown(first: RunRecord, rows: Sequence[LeaderboardRow]) -> str:
    head = (*COLUMNS, *COUNTS)
    lines = [f"### {title(first.dataset, first.split)}", ""]
    lines.append(f"| {' | '.join(head)} |")
    lines.append(f"|{'---|' * len(head)}")
    lines += [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _cells(row))} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _latex(first: RunRecord, rows: Sequence[LeaderboardRow]) -> str:
    def escaped(text: str) -> str:
        for sign in "&%$#_{}":
            text = text.replace(sign, f"\\{sign}")
        return text.replace("±", r"$\pm$").replace("×", r"$\times$").replace("·", r"$\cdot$")

    head = (*COLUMNS, *COUNTS)
    body = "\n".join(f"{' & '.join(escaped(cell) for cell in _cells(row))} \\\\" for row in rows)
    columns = "".join("l" if name in ("model", "role", "metric") else "r" for name in head)
    return (
        f"\\begin{{table}}\n\\caption{{{escaped(title(first.dataset, first.split))}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\hline\n"
        f"{' & '.join(escaped(name) for name in head)} \\\\\n\\hline\n{body}\n\\hline\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def _html(first: RunRecord, rows: Sequence[LeaderboardRow]) -> str:
    head = "".join(f"<th>{name}</th>" for name in (*COLUMNS, *COUNTS))
    body = "\n".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in _cells(row))}</tr>"
        for row in rows
    )
    caption = html.escape(title(first.dataset, first.split))
    return (
        f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def _page(tables: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<title>DyGenePT leaderboards</title>\n<style>\n"
        "body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem; }\n"
        "table { border-collapse: collapse; margin-bottom: 2rem; }\n"
        "caption { text-align: left; font-weight: 600; padding: .5rem 0; }\n"
        "th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }\n"
        "th:nth-child(2), td:nth-child(2), th:nth-child(3), td:nth-child(3), th:nth-child(4), "
        "td:nth-child(4) { text-align: left; }\n"
        f"</style>\n</head>\n<body>\n{tables}</body>\n</html>\n"
    )
