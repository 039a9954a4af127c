"""Figures quoted from papers, as the terminal shows them beside a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group

    from dygenept.leaderboard.published import PublishedRow
    from dygenept.results.provenance import DatasetRecord
    from dygenept.runs.suites import Suite


def published_beside(
    suite: str, dataset: DatasetRecord, *, declared: Suite | None = None
) -> tuple[PublishedRow, ...]:
    """Return the quoted figures that belong beside a leaderboard; none for simulated data.

    Args:
        suite: Name and version of the leaderboard's suite, as records have it.
        dataset: The leaderboard's data set.
        declared: A suite to search too, bundled or not.
    """
    if dataset.simulated or "@" not in suite:
        return ()
    from dygenept.runs.suites import published_rows
    from dygenept_cli.bundled import bundled_suites

    suites = (*bundled_suites(), *(() if declared is None else (declared,)))
    return published_rows(suites, suite=suite, dataset=dataset.name, is_simulated=False)


def suite_lead(suite: str) -> str | None:
    """Return the metric that a bundled suite, as records have it, puts first; None for others."""
    from dygenept_cli.bundled import bundled_suites

    if "@" not in suite:
        return None
    return next((of.lead for of in bundled_suites() if of.identity == suite), None)


def published_table(rows: Sequence[PublishedRow]) -> Group:
    """Lay quoted figures out: one row per model, one column per metric, sources below."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from dygenept.leaderboard.published import HEADING, figure

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
