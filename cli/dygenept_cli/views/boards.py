"""The boards of a results folder: chosen, put together and written in any format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from dygenept.errors import ConfigError, ResultsError, nearest
from dygenept.machine.plain_text import printable
from dygenept_cli import console
from dygenept_cli.views.published import published_beside, published_table, suite_lead

if TYPE_CHECKING:
    from dygenept.leaderboard.boards import Board
    from dygenept.leaderboard.columns import BoardRow
    from dygenept.leaderboard.rows import LeaderboardRow
    from dygenept.plugin.environment import Environment
    from dygenept.results.record_index import IndexedRecords
    from dygenept.results.records import RunRecord

    Row = TypeVar("Row", bound=BoardRow)

Format = Literal["table", "json", "csv", "markdown", "latex", "html"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv", "markdown", "latex", "html")


@contextmanager
def chosen_boards(
    results: Path, *, dataset: str | None, metrics: Sequence[str]
) -> Iterator[list[IndexedRecords]]:
    """Give the leaderboards of a results folder, unread; what is derived of them is kept.

    Args:
        results: The folder.
        dataset: Keep only this data set.
        metrics: Metrics that must be there.

    Raises:
        ResultsError: If the folder has no result.
        ConfigError: If the data set or a metric has none; the nearest name is given.
    """
    from dygenept.leaderboard.board_key import indexed_boards
    from dygenept.results.record_index import RecordIndex

    index = RecordIndex(results)
    headers = index.headers.values()
    if not headers:
        raise ResultsError(f"{results} has no result yet; run `dygenept bench` first")
    datasets = {header.dataset for header in headers}
    if dataset is not None and dataset not in datasets:
        raise ConfigError(f"no result for data set {dataset!r}; {nearest(dataset, datasets)}")
    present = {metric for header in headers for metric in header.metrics}
    for metric in metrics:
        if metric not in present:
            raise ConfigError(f"unknown metric {metric!r}; {nearest(metric, present)}")
    boards = indexed_boards(index)
    try:
        yield [members for key, members in boards.items() if dataset in (None, key.dataset)]
    finally:
        # Also what was derived before an interruption.
        index.save()


def laid_out(
    boards: Sequence[Sequence[RunRecord]],
    *,
    metrics: Sequence[str] = (),
    by: str | None = None,
    min_gap: float | None = None,
) -> list[Board[LeaderboardRow]]:
    """Put leaderboards together, published figures beside them.

    Args:
        boards: Records of each leaderboard.
        metrics: Metrics to show; empty shows all.
        by: Show parts of the held-out perturbations, as ``grouped_rows`` names them.
        min_gap: The least share of the gap to the ceiling that a claim needs; None for 5 %.
    """
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept.leaderboard.judgements import MIN_GAP

    return [
        leaderboard_of(
            records,
            metrics=metrics,
            by=by,
            quoted=published_beside(records[0].suite, records[0].dataset),
            lead=suite_lead(records[0].suite),
            min_gap=MIN_GAP if min_gap is None else min_gap,
        )
        for records in boards
    ]


def render_board(
    board: Board[Row], *, metrics: Sequence[str] = (), all_metrics: bool = False
) -> str:
    """Write one leaderboard as tables that fit the terminal, published figures below.

    Args:
        board: The leaderboard.
        metrics: Metrics to show; empty shows as many as fit.
        all_metrics: Show every metric, whatever the terminal's width.
    """
    from dygenept_cli.views.board_tables import board_tables

    screen = console.stdout()
    # Every metric of a grouped board would be a table of its own.
    is_whole = all_metrics and board.by is None
    shown = tuple(dict.fromkeys(row.metric for row in board.rows)) if is_whole else metrics
    with screen.capture() as capture:
        for table in board_tables(board, metrics=shown, width=screen.width):
            screen.print(table)
        for note in board.notes:
            screen.print(f"{printable(note)}.", markup=False, highlight=False)
        if board.quoted:
            screen.print(published_table(board.quoted))
    return capture.get()


def written(
    boards: Sequence[Board[Row]], chosen: Format, *, metrics: Sequence[str], all_metrics: bool
) -> str:
    """Write boards of one kind one below another.

    Args:
        boards: The boards.
        chosen: One of ``FORMATS``.
        metrics: Metrics to show; empty shows all, or in a table as many as fit.
        all_metrics: A table shows every metric, whatever the terminal's width.
    """
    if chosen == "html":
        from dygenept.reports.page import html_page

        return html_page(boards)
    if chosen != "table":
        from dygenept.leaderboard.formats import render

        return render(boards, chosen)
    texts = (render_board(board, metrics=metrics, all_metrics=all_metrics) for board in boards)
    return "\n".join(texts)


@dataclass(frozen=True, slots=True)
class Shown:
    """How leaderboards are written, and what is behind them.

    Attributes:
        metrics: Metrics to show; empty shows all, or as many as fit.
        all_metrics: Show every metric, whatever the width.
        is_wide: Markdown, LaTeX and CSV have one row per model.
        behind: Records of each board, which a page shows behind its rows.
        results: The results folder, whose predictions a page shows.
    """

    metrics: Sequence[str]
    all_metrics: bool
    is_wide: bool
    behind: Sequence[Sequence[RunRecord]]
    results: Path


def laid_out_text(boards: Sequence[Board[LeaderboardRow]], chosen: Format, how: Shown) -> str:
    """Write leaderboards one below another, or as a page."""
    if chosen == "html":
        from dygenept.reports.page import PageFrame, html_page, page_board
        from dygenept.results.store import ResultsStore

        store = ResultsStore(how.results)
        pairs = zip(boards, how.behind, strict=True)
        pages = [page_board(board, records, results=store) for board, records in pairs]
        records = [record for page in pages for record in page.records]
        return html_page(pages, PageFrame(citations=citations_of(records)))
    if how.is_wide and chosen in ("markdown", "latex", "csv"):
        from dygenept.reports.paper_tables import wide

        return wide(boards, chosen, metrics=how.metrics, all_metrics=how.all_metrics)
    return written(boards, chosen, metrics=how.metrics, all_metrics=how.all_metrics)


def citations_of(records: Sequence[RunRecord]) -> str:
    """Return BibTeX of the data sets, models and metrics of some records."""
    from dygenept.reports.citations import bibtex, sources_of

    return bibtex(sources_of(records, _environment()))


@cache
def _environment() -> Environment:
    from dygenept.plugin.environment import Environment

    return Environment.load()
