"""Which models predict, for all that matters, what a trivial prediction does.

``m + 0.001 (ŷ − m)`` has the correlation of ŷ with what differs from the mean m, and the errors of
m itself. A metric that is blind to scale cannot see that; the errors of the same predictions can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dygenept.evaluation.aggregates import aggregate
from dygenept.leaderboard.judgements import (
    ALL_BUT,
    CEILING,
    MIN_GAP,
    TRIVIAL,
    best_trivial,
    of_perfection,
)
from dygenept.leaderboard.metric_table import MetricTable
from dygenept.leaderboard.score_grid import ScoreGrid


def echoes(tables: Sequence[MetricTable], *, min_gap: float = MIN_GAP) -> Mapping[str, str]:
    """Return which trivial prediction a competitor repeats.

    It does so where under no error metric (where less is better) its value differs by at least
    ``min_gap`` of the gap between the trivial prediction and technical_duplicate, up or down, in
    the mean over held-out conditions. Where there is no such gap, it is the way down to no error.

    Args:
        tables: All metrics of a leaderboard; without an error metric nobody repeats anything.
        min_gap: The share of the gap.
    """
    errors = [ScoreGrid.of(table) for table in tables if not table.higher_is_better]
    rivals = {model for table in tables for model in table.competitors} - set(TRIVIAL)
    found = {}
    for model in sorted(rivals):
        for trivial in TRIVIAL:
            departures = [
                departure
                for grid in errors
                if (departure := _departure(grid, model, trivial)) is not None
            ]
            if departures and max(departures) < min_gap:
                found[model] = trivial
                break
    return found


def barred(tables: Sequence[MetricTable]) -> frozenset[str]:
    """Return the submissions that cannot be predictions: under no error metric do they err.

    They get no mark and take none from others.
    """
    found: dict[str, bool] = {}
    for table in tables:
        if table.higher_is_better or "submitted" not in table.roles.values():
            continue
        grid = ScoreGrid.of(table)
        pooled = {
            model: aggregate(
                table.folds(model), neutral=table.neutral, interval=(None, None)
            ).pooled
            for model in table.values
        }
        reference = best_trivial(grid.sign, pooled)
        closed = {} if reference is None else of_perfection(grid, pooled, reference)
        for model in table.competitors:
            if table.roles[model] == "submitted":
                found[model] = found.get(model, True) and closed.get(model, 0.0) > ALL_BUT
    return frozenset(model for model, is_barred in found.items() if is_barred)


def _departure(grid: ScoreGrid, model: str, trivial: str) -> float | None:
    """Return the mean distance of two models' errors, as a share of the gap."""
    if model not in grid.models or trivial not in grid.models:
        return None
    names = [model, trivial, *([CEILING] if CEILING in grid.models else [])]
    values = grid.values[:, [grid.models.index(name) for name in names]]
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return None
    means = values.mean(axis=0)
    gap = float(means[1] - means[2]) if len(means) > 2 else 0.0
    distance = float(np.abs(values[:, 0] - values[:, 1]).mean())
    if distance == 0:
        return 0.0
    room = gap if gap > 0 else float(means[1])
    return distance / room if room > 0 else None
