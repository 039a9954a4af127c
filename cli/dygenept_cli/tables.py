"""Leaderboards as Rich tables that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from dygenept.leaderboard.rows import LeaderboardRow
    from dygenept.results.records import DatasetRecord, SplitRecord

ROLE_MARKS = {"ceiling": " (ceiling)", "floor": " (floor)", "baseline": "", "model": ""}
# What a narrow table shows, in this order, as many as fit; each measures something of its own.
LEAD_METRICS = (
    "pearson_delta_top20",
    "pearson_delta_perturbed_ref",
    "mse_top20",
    "perturbation_discrimination",
    "de_overlap",
    "energy_distance",
)
BEST, NEAR, NOT_BEATING = "*", "≈", "!"
MARKS = (
    f"{BEST} best, {NEAR} cannot be told from the best, {NOT_BEATING} does not beat perturbed_mean"
)
WIDTH = 160
# A column's padding and border.
GAP = 3
VALUE_WIDTH = 7
INTERVAL_WIDTH = 14
MAX_NAME = 40
GROUP_WIDTH = 11
NEW_LINE = "\n"


def leaderboard_tables(
    rows: Sequence[LeaderboardRow],
    dataset: DatasetRecord,
    split: SplitRecord,
    *,
    metrics: Sequence[str] = (),
    width: int = WIDTH,
) -> list[Table]:
    """Lay a leaderboard out: one row a model, one column a metric, best first.

    A cell holds the value pooled over all held-out perturbations, and marks; the first metric
    also has its 95 % bootstrap interval and its normalised score.

    Args:
        rows: Rows of one leaderboard.
        dataset: Its data set.
        split: Its split.
        metrics: Metrics to show, in as many tables as the width needs; empty shows one table with
            as many as fit, leading ones first.
        width: Columns of the terminal.
    """
    present = list(dict.fromkeys(row.metric for row in rows))
    fixed, extra = _widths(rows, split)
    left = [name for name in metrics if name in present]
    if not left:
        lead = lead_metric(present)
        preferred = [name for name in LEAD_METRICS if name in present]
        shown = _fitting(list(dict.fromkeys((lead, *preferred, *present))), width - fixed - extra)
        hidden = [name for name in present if name not in shown]
        return [_leaderboard_table(rows, dataset, split, shown, hidden)]
    tables: list[Table] = []
    while left:
        is_first = not tables
        shown = _fitting(left, width - fixed - extra * is_first)
        tables.append(_leaderboard_table(rows, dataset, split, shown, (), detailed=is_first))
        left = left[len(shown) :]
    return tables


def _leaderboard_table(
    rows: Sequence[LeaderboardRow],
    dataset: DatasetRecord,
    split: SplitRecord,
    shown: Sequence[str],
    hidden: Sequence[str],
    *,
    detailed: bool = True,
) -> Table:
    lead = shown[0]
    by_model = _by_model(rows)
    is_partial = _has_partial(rows, split)
    is_normalised = detailed and _has_normalised(rows)
    table = _table(title(dataset, split), _caption(hidden, is_normalised=is_normalised))
    table.add_column("rank", justify="right")
    table.add_column("model", overflow="fold")
    for name in shown:
        table.add_column(_heading(name, _direction(rows, name)), no_wrap=True)
        if name == lead and detailed:
            table.add_column("95 %\ninterval", no_wrap=True)
            if is_normalised:
                table.add_column("norm.", justify="right", no_wrap=True)
    if is_partial:
        table.add_column("folds", justify="right", no_wrap=True)
    for cells in sorted(by_model.values(), key=lambda of: _order(of.get(lead))):
        first = cells.get(lead)
        line = ["–" if first is None else str(first.rank), _name(_any(cells))]
        for name in shown:
            line.append(cell(cells.get(name)))
            if name == lead and detailed:
                line.append(_interval(first))
                if is_normalised:
                    line.append(_score(first))
        if is_partial:
            line.append(f"{_any(cells).n_folds}/{split.n_folds}")
        table.add_row(*line)
    return table


def grouped_tables(
    rows: Sequence[LeaderboardRow],
    overall: Sequence[LeaderboardRow],
    dataset: DatasetRecord,
    split: SplitRecord,
    *,
    by: str,
    width: int = WIDTH,
) -> list[Table]:
    """Lay one metric out: one row a model, one column a part of the held-out perturbations.

    Args:
        rows: Rows of one metric, each with its ``group``.
        overall: Rows of the same metric over all perturbations.
        dataset: The data set.
        split: The split.
        by: What the groups are.
        width: Columns of the terminal; more tables follow where the groups do not fit.
    """
    found = {(row.model, row.group): row for row in (*rows, *overall)}
    headings = {
        row.group: f"{str(row.group or 'all').replace('_', NEW_LINE).replace(' ', NEW_LINE)}"
        for row in (*overall, *rows)
    }
    sizes = {
        group: max(row.n_perturbations for (_, of), row in found.items() if of == group)
        for group in headings
    }
    models = sorted(overall, key=lambda row: (row.rank, row.model))
    longest = max(len(_name(row)) for row in models)
    n_fitting = max(1, (width - 1 - min(longest, MAX_NAME) - GAP) // (GROUP_WIDTH + GAP))
    heading = f"{overall[0].metric} {_direction(overall, overall[0].metric)} by {by}"
    tables = []
    for first in range(0, len(headings), n_fitting):
        shown = list(headings)[first : first + n_fitting]
        table = _table(f"{title(dataset, split)}\n{heading}", MARKS)
        table.add_column("model", overflow="fold")
        for group in shown:
            table.add_column(f"{headings[group]}\nn={sizes[group]}", no_wrap=True)
        for row in models:
            table.add_row(_name(row), *(cell(found.get((row.model, group))) for group in shown))
        tables.append(table)
    return tables


def lead_metric(metrics: Sequence[str]) -> str:
    """Return the metric that orders a table: pearson_delta_top20 where it is there."""
    return next((name for name in LEAD_METRICS if name in metrics), metrics[0])


def title(dataset: DatasetRecord, split: SplitRecord, *, with_seed: bool = True) -> str:
    """Say what a leaderboard is about; simulated data are labelled."""
    label = "SIMULATED DATA · " if dataset.simulated else ""
    seed = f", seed {split.seed}" if with_seed else ""
    return (
        f"{label}{dataset.name} · {dataset.n_cells:,} cells × {dataset.n_genes:,} genes · "
        f"{dataset.n_perturbations:,} perturbations · {split.name}, {split.n_folds} folds{seed}"
    )


def marks(row: LeaderboardRow) -> str:
    """Return the marks of a row as text."""
    near = NEAR if row.indistinguishable_from_best else ""
    return (BEST if row.is_best else near) + (
        NOT_BEATING if row.beats_perturbed_mean is False else ""
    )


def number(value: float | None) -> str:
    """Write a value in a few digits: three decimals, more where it is small."""
    if value is None:
        return "–"
    if 0 < abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.4f}" if 0 < abs(value) < 0.1 else f"{value:.3f}"


def cell(row: LeaderboardRow | None) -> str:
    """Write a row's pooled value and marks, aligned."""
    if row is None or row.pooled is None:
        return f"{'–':>{VALUE_WIDTH}}"
    text = f"{number(row.pooled):>{VALUE_WIDTH}}"
    text = f"[bold]{text}[/bold]" if row.is_best else text
    return f"{text} {marks(row)}".rstrip()


def _table(heading: str, caption: str) -> Table:
    from rich.table import Table

    return Table(title=heading, caption=caption, title_justify="left", caption_justify="left")


def _caption(hidden: Sequence[str], *, is_normalised: bool) -> str:
    text = f"pooled over held-out perturbations; {MARKS}"
    if is_normalised:
        text += "; norm.: 0 perturbed_mean, 1 technical_duplicate"
    if hidden:
        text += f"\n{len(hidden)} more metric(s): --all-metrics, or --metric {hidden[0]}"
    return text


def _widths(rows: Sequence[LeaderboardRow], split: SplitRecord) -> tuple[int, int]:
    """Columns that a table takes before its first metric, and those of that metric's details."""
    longest = max(len(_name(row)) for row in rows)
    # A name longer than this is folded onto a second line.
    fixed = 1 + (4 + GAP) + (min(longest, MAX_NAME) + GAP)
    fixed += (5 + GAP) * _has_partial(rows, split)
    return fixed, (INTERVAL_WIDTH + GAP) + (5 + GAP) * _has_normalised(rows)


def _has_normalised(rows: Sequence[LeaderboardRow]) -> bool:
    return any(row.normalised is not None for row in rows)


def _has_partial(rows: Sequence[LeaderboardRow], split: SplitRecord) -> bool:
    return any(row.n_folds < split.n_folds for row in rows)


def _name(row: LeaderboardRow) -> str:
    from rich.markup import escape

    return escape(row.model) + ROLE_MARKS[row.role]


def _fitting(names: Sequence[str], room: int) -> list[str]:
    """Take metrics from the front as long as there is room; one always fits."""
    shown: list[str] = []
    for name in names:
        room -= _column_width(name) + GAP
        if shown and room < 0:
            break
        shown.append(name)
    return shown


def _column_width(name: str) -> int:
    return max(VALUE_WIDTH + 3, *(len(line) for line in _heading(name, "↑").split("\n")))


def _heading(name: str, direction: str) -> str:
    """Put a metric's name on several short lines."""
    *words, last = name.split("_")
    return "\n".join((*words, f"{last} {direction}"))


def _direction(rows: Sequence[LeaderboardRow], name: str) -> str:
    return "↑" if next(row for row in rows if row.metric == name).higher_is_better else "↓"


def _by_model(rows: Sequence[LeaderboardRow]) -> dict[str, dict[str, LeaderboardRow]]:
    by_model: dict[str, dict[str, LeaderboardRow]] = {}
    for row in rows:
        by_model.setdefault(row.model, {})[row.metric] = row
    return by_model


def _any(cells: dict[str, LeaderboardRow]) -> LeaderboardRow:
    return next(iter(cells.values()))


def _order(row: LeaderboardRow | None) -> tuple[float, str]:
    return (float("inf"), "") if row is None else (row.rank, row.model)


def _interval(row: LeaderboardRow | None) -> str:
    if row is None or row.ci_low is None or row.ci_high is None:
        return "–"
    # The bracket would otherwise read as markup.
    return f"\\[{_short(row.ci_low)}, {_short(row.ci_high)}]"


def _short(value: float) -> str:
    return f"{value:.3f}" if 0 < abs(value) < 0.1 else f"{value:.2f}"


def _score(row: LeaderboardRow | None) -> str:
    return "–" if row is None or row.normalised is None else f"{row.normalised:.2f}"
