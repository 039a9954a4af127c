"""Figures quoted from papers, shown apart from a leaderboard and never ranked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group

    from dygenept.leaderboard.published import PublishedRow
    from dygenept.results.records import DatasetRecord
    from dygenept.runs.suites import Suite

HEADING = "QUOTED from papers, not run here and not ranked"


def published_beside(
    suite: str, dataset: DatasetRecord, *, declared: Suite | None = None
) -> tuple[PublishedRow, ...]:
    """Return the quoted figures that belong beside a leaderboard; none for simulated data.

    Args:
        suite: Name and version of the leaderboard's suite, as records have it.
        dataset: The leaderboard's data set.
        declared: A suite that need not be among the bundled ones.
    """
    from dygenept.runs.suites import published_rows
    from dygenept_cli.bundled_suites import bundled_suites

    if dataset.simulated or "@" not in suite:
        return ()
    suites = (*bundled_suites(), *(() if declared is None else (declared,)))
    return published_rows(suites, suite=suite, dataset=dataset.name, is_simulated=False)


def published_table(rows: Sequence[PublishedRow]) -> Group:
    """Lay quoted figures out: one row a model, one column a metric, sources below."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    metrics = tuple(dict.fromkeys(row.metric for row in rows))
    sources = dict.fromkeys(f"{row.paper}, {row.table} ({row.citation})" for row in rows)
    notes = dict.fromkeys(row.note for row in rows if row.note)
    kinds = {row.error_kind for row in rows if row.error_kind is not None}
    table = Table()
    table.add_column("model", no_wrap=True)
    for name in metrics:
        table.add_column(name, justify="right")
    values = {(row.model, row.metric): row for row in rows}
    for model in dict.fromkeys(row.model for row in rows):
        cells = [figure(values.get((model, name))) for name in metrics]
        table.add_row(Text(f"{model} (quoted)"), *cells)
    below = [*sources, *notes, *(f"± is the {kind}" for kind in kinds)]
    return Group(Text(HEADING), table, Text("\n".join(below)))


def figure(row: PublishedRow | None) -> str:
    """Return a quoted figure with its error as text."""
    if row is None:
        return "–"
    text = f"{row.value:g}"
    return text if row.error is None else f"{text} ± {row.error:g}"


def published_lines(rows: Sequence[PublishedRow]) -> list[str]:
    """Return quoted figures as lines of text, sources among them; none where there are none."""
    if not rows:
        return []
    lines = [f"{HEADING}:"]
    for row in rows:
        kind = "" if row.error_kind is None else f" ({row.error_kind})"
        source = f"{row.paper}, {row.table}, {row.citation}"
        lines.append(f"{row.model} (quoted), {row.metric}: {figure(row)}{kind}; {source}")
    return lines


def published_markdown(rows: Sequence[PublishedRow]) -> list[str]:
    """Return quoted figures as the lines of a Markdown list below its heading."""
    heading, *lines = published_lines(rows) or [""]
    escaped = [line.replace("|", "\\|").replace("_", "\\_") for line in lines]
    return [f"**{heading}**", "", *(f"* {line}" for line in escaped), ""] if lines else []


def published_html(rows: Sequence[PublishedRow]) -> str:
    """Return quoted figures as an HTML list below its heading; empty where there are none."""
    import html

    heading, *lines = published_lines(rows) or [""]
    if not lines:
        return ""
    items = "\n".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<p><strong>{html.escape(heading)}</strong></p>\n<ul>\n{items}\n</ul>\n"
