"""Leaderboards as Rich tables and as text in other formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from dygenept.leaderboard import LeaderboardRow
    from dygenept.results import DatasetRecord, SplitRecord

ROLE_MARKS = {"ceiling": " (ceiling)", "floor": " (floor)", "baseline": "", "model": ""}


def leaderboard_table(
    rows: Sequence[LeaderboardRow], dataset: DatasetRecord, split: SplitRecord
) -> Table:
    """Lay a leaderboard out: one row a model, one column a metric, best first.

    A cell holds the value pooled over all held-out perturbations and, for the first metric, its
    95 % bootstrap interval; the best competitor of each metric is bold.
    """
    from rich.markup import escape
    from rich.table import Table

    metrics = list(dict.fromkeys(row.metric for row in rows))
    lead = lead_metric(metrics)
    metrics.sort(key=lambda name: name != lead)
    by_model: dict[str, dict[str, LeaderboardRow]] = {}
    for row in rows:
        by_model.setdefault(row.model, {})[row.metric] = row
    table = Table(
        title=title(dataset, split),
        caption="pooled over held-out perturbations; [ ] 95 % bootstrap interval; bold: best",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("rank", justify="right")
    table.add_column("model", no_wrap=True)
    for name in metrics:
        direction = "↑" if next(r for r in rows if r.metric == name).higher_is_better else "↓"
        table.add_column(f"{name} {direction}", justify="right")
    table.add_column("folds", justify="right")
    for model, cells in sorted(by_model.items(), key=lambda item: item[1][lead].rank):
        first = cells[lead]
        values = [_cell(cells.get(name), name == lead) for name in metrics]
        n_folds = f"{first.n_folds}/{split.n_folds}"
        table.add_row(str(first.rank), escape(model) + ROLE_MARKS[first.role], *values, n_folds)
    return table


def lead_metric(metrics: Sequence[str]) -> str:
    """Return the metric that orders a table: pearson_delta_top20 where it is there."""
    return "pearson_delta_top20" if "pearson_delta_top20" in metrics else metrics[0]


def title(dataset: DatasetRecord, split: SplitRecord) -> str:
    """Say what a leaderboard is about; simulated data are labelled."""
    label = "SIMULATED DATA · " if dataset.simulated else ""
    return (
        f"{label}{dataset.name} · {dataset.n_cells:,} cells × {dataset.n_genes:,} genes · "
        f"{dataset.n_perturbations:,} perturbations · {split.name}, {split.n_folds} folds, "
        f"seed {split.seed}"
    )


def _cell(row: LeaderboardRow | None, is_lead: bool) -> str:
    if row is None or row.pooled is None:
        return "–"
    text = f"{row.pooled:.4f}" if 0 < abs(row.pooled) < 0.1 else f"{row.pooled:.3f}"
    if is_lead and row.ci_low is not None and row.ci_high is not None:
        text = f"{text} [{row.ci_low:.2f}, {row.ci_high:.2f}]"
    return f"[bold]{text}[/bold]" if row.is_best else text
