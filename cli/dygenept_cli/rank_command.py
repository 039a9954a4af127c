"""``dygenept rank``: which model is best over several metrics and data sets?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.leaderboard.columns import JsonDocument
    from dygenept.leaderboard.comparisons import RankRow
    from dygenept.results.records import RunRecord


def rank(
    results: options.ResultsOption = Path("results"),
    dataset: options.DatasetFilterOption = None,
    metric: options.MetricFilterOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Rank models by their mean rank over metrics and data sets.

    On each leaderboard and metric of the results folder, competitors (no ceilings or floors) are
    ranked by their pooled value, ties sharing the middle rank; the mean of these ranks orders the
    models. Beside it: how often a model is the best, how often a paired bootstrap cannot tell it
    from the best, and how often it does not beat perturbed_mean. Models that miss a leaderboard
    come last. Simulated and real data are ranked apart.
    """
    from dygenept.leaderboard.comparisons import rank_models
    from dygenept_cli import context
    from dygenept_cli.boards import chosen_boards

    metrics = tuple(metric or ())
    boards = chosen_boards(results, dataset=dataset, metrics=metrics)
    found = [
        (simulated, of, rank_models(of, metrics=metrics))
        for simulated in (False, True)
        if (of := [records for records in boards if records[0].dataset.simulated == simulated])
    ]
    if as_json:
        context.print_json({"schema_version": 1, "rankings": [_document(*part) for part in found]})
        return
    for part in found:
        _print(*part)


def _document(
    simulated: bool, boards: Sequence[Sequence[RunRecord]], rows: Sequence[RankRow]
) -> JsonDocument:
    return {
        "simulated": simulated,
        "datasets": sorted({records[0].dataset.name for records in boards}),
        "n_leaderboards": len(boards),
        "models": [row.document() for row in rows],
    }


def _print(simulated: bool, boards: Sequence[Sequence[RunRecord]], rows: Sequence[RankRow]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from dygenept_cli import context

    names = ", ".join(sorted({records[0].dataset.name for records in boards}))
    label = "SIMULATED DATA · " if simulated else ""
    table = Table(
        title=escape(f"{label}mean rank over {len(boards)} leaderboard(s): {names}"),
        caption="≈ best: the best, or a paired bootstrap cannot tell it from the best",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", overflow="fold")
    for heading in ("mean\nrank", "best", "≈ best", "does not beat\nperturbed_mean", "ranked"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            escape(row.model),
            f"{row.mean_rank:.2f}",
            str(row.n_best),
            str(row.n_near_best),
            f"{row.n_not_beating}/{row.n_judged}" if row.n_judged else "–",
            f"{row.n_ranked}/{row.n_possible}",
        )
    context.stdout().print(table)
