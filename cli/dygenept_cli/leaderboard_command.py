"""``dygenept leaderboard``: tables from any folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.results import RunRecord

FORMATS = ("table", "json", "csv", "markdown", "latex", "html")


def leaderboard(
    results: options.ResultsOption = Path("results"),
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="D", help="Show this data set alone.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="M", help="Show this metric alone.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.", show_default=True)
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="F", help="Write to a file.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show the leaderboards of a results folder; simulated and real data stay apart."""
    from dygenept.errors import ConfigError, ResultsError, nearest
    from dygenept.leaderboard import group_records
    from dygenept.results import ResultsStore, write_atomically
    from dygenept_cli import context
    from dygenept_cli.boards import render_boards

    chosen = "json" if as_json else format_
    if chosen not in FORMATS:
        raise ConfigError(f"unknown format {chosen!r}; {nearest(chosen, FORMATS)}")
    records = list(ResultsStore(results).records())
    if not records:
        raise ResultsError(f"{results} holds no result yet; run `dygenept bench` first")
    _check(records, dataset, metric)
    boards = [
        members for key, members in group_records(records).items() if dataset in (None, key.dataset)
    ]
    text = render_boards(boards, metric=metric, chosen=chosen)
    if output is not None:
        write_atomically(output, text.encode())
        context.note(f"{len(boards)} leaderboard(s) written to {output}")
    else:
        import sys

        sys.stdout.write(text)


def _check(records: list[RunRecord], dataset: str | None, metric: str | None) -> None:
    from dygenept.errors import ConfigError, nearest

    datasets = {record.dataset.name for record in records}
    if dataset is not None and dataset not in datasets:
        raise ConfigError(f"no result for data set {dataset!r}; {nearest(dataset, datasets)}")
    metrics = {entry.name for record in records for entry in record.metrics}
    if metric is not None and metric not in metrics:
        raise ConfigError(f"unknown metric {metric!r}; {nearest(metric, metrics)}")
