"""Plots of single scores, and of predicted against measured changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import ConfigError, ResultsError, nearest
from dygenept.reports.changes import ConditionChanges
from dygenept.reports.plots.names import name_points
from dygenept.reports.plots.style import (
    BLUE,
    COLOURS,
    DARK,
    GREY,
    ORANGE,
    brief,
    figure,
    labelled,
    styled,
)
from dygenept.reports.scores import BoardScores
from dygenept.types import DoubleArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def strips(scores: BoardScores, metric: str, models: Sequence[str]) -> Figure:
    """Plot every perturbation's score, one strip per model, with the mean as a line.

    Args:
        scores: The scores of a board.
        metric: Metric name.
        models: Shown names, from the top down.

    Raises:
        ConfigError: If the board has no such metric or model.
        ResultsError: If none of them has a value.
    """
    rows = [_row(scores, metric, model) for model in models]
    if not any(np.isfinite(row).any() for row in rows):
        raise ResultsError(f"nothing to plot: no model has a value under {metric}")
    made, axes = figure(0.8 + 0.32 * len(rows))
    n_units = len(scores.units)
    # The same height for a perturbation in every strip.
    heights = np.random.default_rng(0).uniform(-0.32, 0.32, size=n_units)
    for place, (model, row) in enumerate(zip(models, rows, strict=True)):
        colour = COLOURS[place % len(COLOURS)]
        known = np.isfinite(row)
        axes.plot(
            row[known],
            place + heights[known],
            "o",
            ms=2.2 if n_units < 300 else 1.2,
            color=colour,
            alpha=0.6,
            mew=0,
            label=model,
        )
        mean = row[known].mean() if known.any() else np.nan
        axes.plot([mean, mean], [place - 0.4, place + 0.4], color=DARK, lw=1.4)
    axes.set_yticks(range(len(models)), [brief(model) for model in models])
    axes.set_ylim(len(models) - 0.4, -0.6)
    axes.set_xlabel(f"{metric}\n{_direction(scores, metric)}; line: mean")
    return _titled(made, scores)


@styled
def paired(scores: BoardScores, metric: str, first: str, second: str) -> Figure:
    """Plot one model's scores against another's, perturbation by perturbation.

    Args:
        scores: The scores of a board.
        metric: Metric name.
        first: Shown name, on the y axis.
        second: Shown name, on the x axis.

    Raises:
        ConfigError: If the board has no such metric or model.
    """
    y, x = _row(scores, metric, first), _row(scores, metric, second)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    made, axes = figure(3.3)
    axes.plot(x, y, "o", ms=2.6, color=BLUE, alpha=0.6, mew=0)
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))] if len(x) else [0.0, 1.0]
    axes.plot(ends, ends, color=GREY, lw=0.8, ls="--")
    axes.set_aspect("equal", adjustable="datalim")
    is_up = scores.higher_is_better[metric]
    n_better = int(((y > x) == is_up)[y != x].sum())
    axes.set_xlabel(brief(second, 40))
    axes.set_ylabel(brief(first, 40))
    n_tied = int((x == y).sum())
    axes.set_title(
        f"{metric} ({_direction(scores, metric)})\n{brief(first)}\nbetter on {n_better} of {len(x)}"
        + (f", tied on {n_tied}" if n_tied else ""),
    )
    return _titled(made, scores)


@styled
def changes(found: ConditionChanges, title: str, *, is_simulated: bool) -> Figure:
    """Plot predicted against measured change of every gene, the top-20 DE genes named.

    Where there is no room for a name, that of the smaller measured change is left out.

    Args:
        found: The changes of one condition.
        title: Model and perturbation.
        is_simulated: Whether the cells were made up.
    """
    made, axes = figure(3.5)
    axes.axhline(0, color=GREY, lw=0.5)
    axes.axvline(0, color=GREY, lw=0.5)
    axes.plot(
        found.true, found.predicted, "o", ms=1.4, color=GREY, alpha=0.5, mew=0, label="other genes"
    )
    top = list(found.top)
    axes.plot(
        found.true[top],
        found.predicted[top],
        "o",
        ms=3.2,
        color=ORANGE,
        mew=0,
        label="top-20 DE genes",
    )
    every = np.concatenate((found.true, found.predicted[np.isfinite(found.predicted)]))
    ends = [float(every.min()), float(every.max())]
    axes.plot(ends, ends, color=DARK, lw=0.7, ls="--", label="perfect")
    axes.set_xlabel("measured change of mean log1p expression")
    axes.set_ylabel("predicted change")
    made.legend(frameon=False, ncols=3, loc="outside lower center")
    labelled(made, title, is_simulated=is_simulated)
    ordered = sorted(top, key=lambda gene: -abs(float(found.true[gene])))
    name_points(
        axes,
        [
            (float(found.true[gene]), float(found.predicted[gene]), brief(found.symbols[gene], 12))
            for gene in ordered
            if np.isfinite(found.predicted[gene])
        ],
        fontsize=5.0,
    )
    return made


def _row(scores: BoardScores, metric: str, model: str) -> DoubleArray:
    if metric not in scores.values:
        raise ConfigError(f"unknown metric {metric!r}; {nearest(metric, scores.values)}")
    if model not in scores.values[metric]:
        raise ConfigError(f"no result of model {model!r}; {nearest(model, scores.values[metric])}")
    return scores.values[metric][model]


def _direction(scores: BoardScores, metric: str) -> str:
    return "higher is better" if scores.higher_is_better[metric] else "lower is better"


def _titled(made: Figure, scores: BoardScores) -> Figure:
    dataset = scores.records[0].dataset
    return labelled(
        made,
        f"{dataset.name}: {dataset.n_perturbations:,} perturbations",
        is_simulated=dataset.simulated,
    )
