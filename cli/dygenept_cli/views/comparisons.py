"""Tables of pairwise comparisons and of mean ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dygenept.machine.plain_text import printable
from dygenept_cli import console
from dygenept_cli.views.board_tables import ROLE_MARKS

if TYPE_CHECKING:
    from dygenept.leaderboard.comparisons import ComparisonRow, RankRow
    from dygenept.results.records import RunRecord

AT_ODDS = (
    "Where an interval leaves 0 out and neither model wins, p counts: it is the larger one of two "
    "tests, corrected where several models are compared."
)


def show_comparison(first: RunRecord, rows: Sequence[ComparisonRow]) -> None:
    """Print how one model compares with others on one leaderboard.

    Args:
        first: A record of the leaderboard.
        rows: One row per other model and metric.
    """
    from rich import box
    from rich.table import Table

    from dygenept.leaderboard.boards import title
    from dygenept.leaderboard.columns import number

    others = list(dict.fromkeys(row.other for row in rows))
    names = f"A = {printable(rows[0].model)}" if rows else ""
    names += f", B = {printable(others[0])}" if len(others) == 1 else ""
    table = Table(
        title=f"{title(first.dataset, first.split)}\n{names}",
        caption="paired over the same perturbations; –: not distinguishable"
        + ("; p Holm-corrected over models" if len(others) > 1 else ""),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    screen = console.stdout()
    narrow = console.is_narrow(screen)
    # Beside a second model name, only the metric's can give way in a narrow terminal.
    heads = ["metric", *(["B"] if len(others) > 1 else []), "A - B", "95 % interval"]
    if narrow:
        table.add_column("\n".join(heads), overflow="fold")
    else:
        table.add_column("metric", overflow="fold")
        if len(others) > 1:
            table.add_column("B", overflow="fold", min_width=10)
        table.add_column("A - B", justify="right", no_wrap=True)
        table.add_column("95 % interval", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("wins", no_wrap=True)
    for row in rows:
        winner = "A" if row.better == row.model else "B"
        figures = (
            f"{row.metric} {'↑' if row.higher_is_better else '↓'}",
            *([printable(row.other)] if len(others) > 1 else []),
            number(row.difference),
            f"[{number(row.ci_low)}, {number(row.ci_high)}]",
        )
        table.add_row(
            *(["\n".join(figures)] if narrow else figures),
            f"{row.p_holm:.3f}",
            "–" if row.better is None else winner,
        )
    screen.print(table)
    if any(_is_at_odds(row) for row in rows):
        screen.print(AT_ODDS, style="dim")


def _is_at_odds(row: ComparisonRow) -> bool:
    """True where the interval leaves 0 out though the models are not told apart."""
    if row.ci_low is None or row.ci_high is None or row.better is not None:
        return False
    return row.ci_low > 0 or row.ci_high < 0


def show_ranking(boards: Sequence[Sequence[RunRecord]], rows: Sequence[RankRow]) -> None:
    """Print models by their mean rank over leaderboards, all simulated or all real.

    Args:
        boards: Records of each leaderboard.
        rows: One row per model, best first.
    """
    from rich.table import Table

    from dygenept.leaderboard.across_seeds import seed_groups

    names = ", ".join(sorted({records[0].dataset.name for records in boards}))
    n_boards = len(seed_groups(boards))
    label = "SIMULATED DATA · " if boards[0][0].dataset.simulated else ""
    table = Table(
        title=f"{label}mean rank over {n_boards} leaderboard(s): {printable(names)}",
        caption="≈ best: the best, or what cannot be told from it; seeds of one leaderboard count "
        "once",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", overflow="fold")
    screen = console.stdout()
    headings = ("mean\nrank", "best", "≈ best", "not shown to\nbeat the mean", "ranked")
    n_shown = 3 if console.is_narrow(screen) else len(headings)
    for heading in headings[:n_shown]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        figures = (
            f"{row.mean_rank:.2f}",
            str(row.n_best),
            str(row.n_near_best),
            f"{row.n_not_beating}/{row.n_judged}" if row.n_judged else "–",
            f"{row.n_ranked}/{row.n_possible}",
        )
        table.add_row(printable(row.model) + ROLE_MARKS[row.role], *figures[:n_shown])
    screen.print(table)
