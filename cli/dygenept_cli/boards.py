"""The boards of a results folder: chosen, put together and written in any format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from dygenept.leaderboard.boards import Board
    from dygenept.leaderboard.columns import BoardRow
    from dygenept.results.records import RunRecord

    Row = TypeVar("Row", bound=BoardRow)

Format = Literal["table", "json", "csv", "markdown", "latex", "html"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv", "markdown", "latex", "html")


def chosen_boards(
    results: Path, *, dataset: str | None, metrics: Sequence[str]
) -> list[tuple[RunRecord, ...]]:
    """Read a results folder and group its records into leaderboards.

    Args:
        results: The folder.
        dataset: Keep only this data set.
        metrics: Metrics that must be there.

    Raises:
        ResultsError: If the folder has no result.
        ConfigError: If the data set or a metric has none; the nearest name is given.
    """
    from dygenept.errors import ConfigError, ResultsError, nearest
    from dygenept.leaderboard.rows import group_records
    from dygenept.results.store import ResultsStore

    records = list(ResultsStore(results).records())
    if not records:
        raise ResultsError(f"{results} has no result yet; run `dygenept bench` first")
    datasets = {record.dataset.name for record in records}
    if dataset is not None and dataset not in datasets:
        raise ConfigError(f"no result for data set {dataset!r}; {nearest(dataset, datasets)}")
    present = {entry.name for record in records for entry in record.metrics}
    for metric in metrics:
        if metric not in present:
            raise ConfigError(f"unknown metric {metric!r}; {nearest(metric, present)}")
    return [
        members for key, members in group_records(records).items() if dataset in (None, key.dataset)
    ]


def render_boards(
    boards: Sequence[Sequence[RunRecord]],
    *,
    metrics: Sequence[str] = (),
    chosen: Format,
    by: str | None = None,
    all_metrics: bool = False,
) -> str:
    """Write leaderboards one below another, published figures beside them.

    Args:
        boards: Records of each leaderboard.
        metrics: Metrics to show; empty shows all, or in a table as many as fit.
        chosen: One of ``FORMATS``.
        by: Show parts of the held-out perturbations: ``subgroup``, ``effect`` or ``cell_type``.
        all_metrics: A table shows every metric, whatever the terminal's width.
    """
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept_cli.published import published_beside

    found = [
        leaderboard_of(
            records,
            metrics=metrics,
            by=by,
            quoted=published_beside(records[0].suite, records[0].dataset),
        )
        for records in boards
    ]
    return _written(found, chosen, metrics=metrics, all_metrics=all_metrics)


def render_seeds(
    boards: Sequence[Sequence[RunRecord]],
    *,
    metrics: Sequence[str] = (),
    chosen: Format,
    all_metrics: bool = False,
) -> str:
    """Write leaderboards that differ only in their seed as one, with the spread over seeds.

    Args:
        boards: Records of each leaderboard.
        metrics: Metrics to show; empty shows all, or in a table as many as fit.
        chosen: One of ``FORMATS``.
        all_metrics: A table shows every metric, whatever the terminal's width.
    """
    from dygenept.leaderboard.boards import seed_boards

    found = seed_boards(boards, metrics=metrics)
    return _written(found, chosen, metrics=metrics, all_metrics=all_metrics)


def _written(
    boards: Sequence[Board[Row]], chosen: Format, *, metrics: Sequence[str], all_metrics: bool
) -> str:
    if chosen != "table":
        from dygenept.leaderboard.formats import render

        return render(boards, chosen)
    return "\n".join(_table(board, metrics, all_metrics=all_metrics) for board in boards)


def _table(board: Board[Row], metrics: Sequence[str], *, all_metrics: bool) -> str:
    from dygenept_cli import context
    from dygenept_cli.published import published_table
    from dygenept_cli.tables import board_tables

    console = context.stdout()
    # Every metric of a grouped board would be a table of its own.
    is_whole = all_metrics and board.by is None
    shown = tuple(dict.fromkeys(row.metric for row in board.rows)) if is_whole else metrics
    with console.capture() as capture:
        for table in board_tables(board, metrics=shown, width=console.width):
            console.print(table)
        if board.quoted:
            console.print(published_table(board.quoted))
    return capture.get()
