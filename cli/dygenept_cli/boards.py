"""Leaderboards as text: table, JSON, CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dygenept_cli.board_pages import html_board, html_page
from dygenept_cli.published import (
    published_beside,
    published_html,
    published_lines,
    published_markdown,
    published_table,
)
from dygenept_cli.tables import (
    MARKS,
    grouped_tables,
    lead_metric,
    leaderboard_tables,
    marks,
    title,
)

if TYPE_CHECKING:
    from dygenept.leaderboard.published import PublishedRow
    from dygenept.leaderboard.rows import LeaderboardRow
    from dygenept.results.records import RunRecord

COLUMNS = ("rank", "model", "role", "metric", "pooled", "ci_low", "ci_high", "mean", "std")
COUNTS = ("n_folds", "n_perturbations", "n_undefined")
JUDGEMENTS = ("normalised", "is_best", "indistinguishable_from_best", "beats_perturbed_mean")
TEXT_COLUMNS = ("group", "model", "role", "metric", "marks")


@dataclass(frozen=True, slots=True)
class Board:
    """One leaderboard to show.

    Attributes:
        first: A record of it, for its data set and split.
        rows: Its rows; of all groups, where it is grouped.
        overall: Its rows over all held-out perturbations, where it is grouped.
        by: What it is grouped by.
        quoted: Published figures under the same protocol, shown apart.
    """

    first: RunRecord
    rows: tuple[LeaderboardRow, ...]
    overall: tuple[LeaderboardRow, ...] = ()
    by: str | None = None
    quoted: tuple[PublishedRow, ...] = ()


def render_boards(
    boards: Sequence[Sequence[RunRecord]],
    *,
    metric: str | Sequence[str] | None,
    chosen: str,
    by: str | None = None,
    all_metrics: bool = False,
) -> str:
    """Render leaderboards one below another.

    Args:
        boards: Records of each leaderboard.
        metric: Show this metric alone, or these.
        chosen: ``table``, ``json``, ``csv``, ``markdown``, ``latex`` or ``html``.
        by: Show parts of the held-out perturbations: ``subgroup``, ``effect`` or ``cell_type``.
        all_metrics: A table shows every metric, whatever the terminal's width.
    """
    wanted = (metric,) if isinstance(metric, str) else tuple(metric or ())
    parts = [_board(records, wanted, by) for records in boards]
    if chosen == "json":
        return json.dumps([_document(part) for part in parts], indent=2, ensure_ascii=False) + "\n"
    if chosen == "csv":
        return _csv(parts)
    if chosen == "html":
        return html_page(
            "\n".join(
                html_board(part.first, part.rows) + published_html(part.quoted) for part in parts
            )
        )
    if chosen == "table":
        return "\n".join(_table(part, wanted, all_metrics=all_metrics) for part in parts)
    render = {"markdown": _markdown, "latex": _latex}[chosen]
    return "\n".join(render(part) for part in parts)


def _board(records: Sequence[RunRecord], wanted: Sequence[str], by: str | None) -> Board:
    from dygenept.leaderboard.groups import grouped_rows
    from dygenept.leaderboard.rows import leaderboard_rows

    def chosen(rows: Sequence[LeaderboardRow]) -> tuple[LeaderboardRow, ...]:
        return tuple(row for row in rows if not wanted or row.metric in wanted)

    overall = chosen(leaderboard_rows(records))
    if by is None:
        quoted = published_beside(records[0].suite, records[0].dataset)
        shown = tuple(row for row in quoted if not wanted or row.metric in wanted)
        return Board(records[0], overall, quoted=shown)
    return Board(records[0], chosen(grouped_rows(records, by)), overall, by)


def _document(board: Board) -> dict[str, object]:
    grouped = {} if board.by is None else {"by": board.by}
    return {
        "schema_version": 1,
        "dataset": board.first.dataset.model_dump(mode="json", exclude={"notes"}),
        "split": board.first.split.model_dump(mode="json"),
        "suite": board.first.suite,
        "de_list": board.first.de_list,
        **grouped,
        "leaderboard": [row.document() for row in board.rows],
        "references": [row.document() for row in board.quoted],
    }


def _csv(boards: Sequence[Board]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    grouped = ("group",) if any(board.by for board in boards) else ()
    names = (*grouped, *COLUMNS, *COUNTS, *JUDGEMENTS)
    writer.writerow(["dataset", "simulated", "suite", "split", "seed", *names])
    for board in boards:
        first = board.first
        head = [first.dataset.name, first.dataset.simulated, first.suite, first.split.name]
        for row in board.rows:
            values = (getattr(row, name) for name in names)
            writer.writerow([*head, first.split.seed, *("" if v is None else v for v in values)])
        for quoted in board.quoted:
            known = {"model": quoted.model, "role": "quoted", "metric": quoted.metric}
            filled = {**known, "mean": quoted.value}
            writer.writerow([*head, first.split.seed, *(filled.get(name, "") for name in names)])
    return buffer.getvalue()


def _table(board: Board, wanted: Sequence[str], *, all_metrics: bool) -> str:
    from dygenept_cli import context

    console = context.stdout()
    first = board.first
    if not board.rows:
        return ""
    if board.by is not None:
        metrics = wanted or (lead_metric([row.metric for row in board.overall]),)
        tables = [
            table
            for name in metrics
            for table in grouped_tables(
                [row for row in board.rows if row.metric == name],
                [row for row in board.overall if row.metric == name],
                first.dataset,
                first.split,
                by=board.by,
                width=console.width,
            )
        ]
    else:
        shown = tuple(dict.fromkeys(row.metric for row in board.rows)) if all_metrics else wanted
        tables = leaderboard_tables(
            board.rows, first.dataset, first.split, metrics=shown, width=console.width
        )
    with console.capture() as capture:
        for table in tables:
            console.print(table)
        if board.quoted:
            console.print(published_table(board.quoted))
    return capture.get()


def _head(board: Board) -> tuple[str, ...]:
    grouped = ("group",) if board.by else ()
    return (*grouped, *COLUMNS, "normalised", "marks", *COUNTS)


def _cells(row: LeaderboardRow, head: Sequence[str]) -> list[str]:
    return [marks(row) if name == "marks" else _text(getattr(row, name)) for name in head]


def _text(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _markdown(board: Board) -> str:
    head = _head(board)
    lines = [f"### {title(board.first.dataset, board.first.split)}", ""]
    lines.append(f"| {' | '.join(head)} |")
    lines.append(f"|{'---|' * len(head)}")
    lines += [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _cells(row, head))} |"
        for row in board.rows
    ]
    lines += ["", f"{MARKS.replace('*', chr(92) + '*')}.", ""]
    return "\n".join([*lines, *published_markdown(board.quoted)])


def _latex(board: Board) -> str:
    def escaped(text: str) -> str:
        for sign in "&%$#_{}":
            text = text.replace(sign, f"\\{sign}")
        text = text.replace("±", r"$\pm$").replace("×", r"$\times$").replace("≈", r"$\approx$")
        return text.replace("·", r"$\cdot$").replace("–", "--")

    head = _head(board)
    body = "\n".join(
        f"{' & '.join(escaped(cell) for cell in _cells(row, head))} \\\\" for row in board.rows
    )
    columns = "".join("l" if name in TEXT_COLUMNS else "r" for name in head)
    caption = f"{title(board.first.dataset, board.first.split)}. {MARKS}."
    return (
        f"\\begin{{table}}\n\\caption{{{escaped(caption)}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\hline\n"
        f"{' & '.join(escaped(name) for name in head)} \\\\\n\\hline\n{body}\n\\hline\n"
        "\\end{tabular}\n\\end{table}\n"
        + "".join(f"{escaped(line)}\\par\n" for line in published_lines(board.quoted))
    )
