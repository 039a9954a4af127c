"""Mean and spread over seeds as text."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dygenept_cli.board_pages import html_page
from dygenept_cli.tables import GAP, LEAD_METRICS, MAX_NAME, ROLE_MARKS, number, title

if TYPE_CHECKING:
    from dygenept.leaderboard.seeds import SeedRow
    from dygenept.results.records import RunRecord

COLUMN_WIDTH = 24
HEAD = ("rank", "model", "role", "metric", "mean", "std", "low", "high", "seeds")


def render_seeds(
    boards: Sequence[Sequence[RunRecord]],
    *,
    metrics: Sequence[str],
    chosen: str,
    all_metrics: bool = False,
) -> str:
    """Render leaderboards that differ in their seed alone as one, with spread.

    Args:
        boards: Records of each leaderboard.
        metrics: Metrics to show; empty shows all, or in a table the leading ones.
        chosen: ``table``, ``json``, ``csv``, ``markdown``, ``latex`` or ``html``.
        all_metrics: A table shows every metric.
    """
    from dygenept.leaderboard.seeds import seed_groups, seed_rows

    parts = [
        (
            group[0][0],
            [records[0].seed for records in group],
            [row for row in seed_rows(group) if not metrics or row.metric in metrics],
        )
        for group in seed_groups(boards)
    ]
    if chosen == "json":
        documents = [
            {
                "schema_version": 1,
                "dataset": first.dataset.model_dump(mode="json", exclude={"notes"}),
                "suite": first.suite,
                "de_list": first.de_list,
                "split": {"name": first.split.name, "n_folds": first.split.n_folds},
                "seeds": seeds,
                "across_seeds": [row.document() for row in rows],
            }
            for first, seeds, rows in parts
        ]
        return json.dumps(documents, indent=2, ensure_ascii=False) + "\n"
    if chosen == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(["dataset", "simulated", "suite", "split", *HEAD])
        for first, _, rows in parts:
            dataset = first.dataset
            head = [dataset.name, dataset.simulated, first.suite, first.split.name]
            writer.writerows([*head, *_values(row)] for row in rows)
        return buffer.getvalue()
    if chosen == "html":
        return html_page("".join(_html(*part) for part in parts))
    render = {"markdown": _markdown, "latex": _latex}.get(chosen)
    if render is not None:
        return "\n".join(render(*part) for part in parts)
    return "\n".join(_table(*part, is_wide=bool(metrics) or all_metrics) for part in parts)


def _heading(first: RunRecord, seeds: Sequence[int]) -> str:
    shown = ", ".join(str(seed) for seed in seeds)
    return f"{title(first.dataset, first.split, with_seed=False)}, seeds {shown}"


def _values(row: SeedRow) -> list[object]:
    return [
        row.rank,
        row.model,
        row.role,
        row.metric,
        row.mean,
        row.std,
        row.low,
        row.high,
        len(row.by_seed),
    ]


def _cells(row: SeedRow) -> list[str]:
    return [number(item) if isinstance(item, float) else str(item) for item in _values(row)]


def _table(
    first: RunRecord, seeds: Sequence[int], rows: Sequence[SeedRow], *, is_wide: bool
) -> str:
    from rich.markup import escape
    from rich.table import Table

    from dygenept_cli import context

    console = context.stdout()
    present = list(dict.fromkeys(row.metric for row in rows))
    preferred = dict.fromkeys((*(name for name in LEAD_METRICS if name in present), *present))
    longest = max(len(row.model) + len(ROLE_MARKS[row.role]) for row in rows)
    n_fitting = max(1, (console.width - min(longest, MAX_NAME) - 2 * GAP) // COLUMN_WIDTH)
    shown = present if is_wide else list(preferred)[:n_fitting]
    table = Table(
        title=_heading(first, seeds),
        caption="mean ± standard deviation over seeds of the pooled value (number of seeds)",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", overflow="fold")
    for name in shown:
        table.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
    cells = {(row.model, row.metric): row for row in rows}
    for lead in (row for row in rows if row.metric == shown[0]):
        line = [escape(lead.model) + ROLE_MARKS[lead.role]]
        for name in shown:
            row = cells.get((lead.model, name))
            line.append("–" if row is None else _spread(row))
        table.add_row(*line)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def _spread(row: SeedRow) -> str:
    spread = "" if row.std is None else f" ± {number(row.std)}"
    return f"{number(row.mean)}{spread} ({len(row.by_seed)})"


def _markdown(first: RunRecord, seeds: Sequence[int], rows: Sequence[SeedRow]) -> str:
    lines = [f"### {_heading(first, seeds)}", "", f"| {' | '.join(HEAD)} |"]
    lines.append(f"|{'---|' * len(HEAD)}")
    lines += [
        f"| {' | '.join(c.replace('|', chr(92) + '|') for c in _cells(row))} |" for row in rows
    ]
    return "\n".join([*lines, ""])


def _latex(first: RunRecord, seeds: Sequence[int], rows: Sequence[SeedRow]) -> str:
    def escaped(text: str) -> str:
        for sign in "&%$#_{}":
            text = text.replace(sign, f"\\{sign}")
        return text.replace("×", r"$\times$").replace("·", r"$\cdot$").replace("–", "--")

    body = "\n".join(f"{' & '.join(map(escaped, _cells(row)))} \\\\" for row in rows)
    return (
        f"\\begin{{table}}\n\\caption{{{escaped(_heading(first, seeds))}}}\n"
        f"\\begin{{tabular}}{{rlllrrrrr}}\n\\hline\n{' & '.join(HEAD)} \\\\\n\\hline\n{body}\n"
        "\\hline\n\\end{tabular}\n\\end{table}\n"
    )


def _html(first: RunRecord, seeds: Sequence[int], rows: Sequence[SeedRow]) -> str:
    heads = "".join(f"<th>{name}</th>" for name in HEAD)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in _cells(row)) + "</tr>"
        for row in rows
    )
    return (
        f"<h2>{html.escape(_heading(first, seeds))}</h2>\n<table>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"
    )
