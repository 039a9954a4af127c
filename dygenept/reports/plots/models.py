"""Plots of what a model knows and learned: attention over facets, knowledge, training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import DataError
from dygenept.model.training.loop import History
from dygenept.reports.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    MARKERS,
    ORANGE,
    PAGE,
    brief,
    figure,
    labelled,
    styled,
)
from dygenept.types import GeneKnowledge

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class FacetRow:
    """Attention of one target gene: a column of the heat map.

    Attributes:
        name: Gene, perturbation and cell type.
        facets: Facet names, in order.
        weights: Attention weight of each facet, in [0, 1].
        known: Whether anything is known of each facet.
    """

    name: str
    facets: tuple[str, ...]
    weights: tuple[float, ...]
    known: tuple[bool, ...]


@styled
def attention(model: str, rows: Sequence[FacetRow], *, is_simulated: bool = False) -> Figure:
    """Plot attention weights over facets as a heat map; a cross marks what is unknown.

    Args:
        model: The model's name.
        rows: One entry per target gene, of the same facets, at least one.
        is_simulated: Whether the model was trained on made-up cells.
    """
    facets = rows[0].facets
    weights = np.array([row.weights for row in rows]).T  # (K, n)
    known = np.array([row.known for row in rows]).T
    made, axes = figure(1.3 + 0.2 * len(facets), width=min(PAGE, 2.4 + 0.32 * len(rows)))
    image = axes.imshow(
        np.where(known, weights, np.nan),
        cmap="cividis",
        vmin=0.0,
        vmax=max(float(weights.max()), 1e-9),
        aspect="auto",
    )
    for facet, column in zip(*np.nonzero(~known), strict=True):
        axes.plot([column], [facet], "x", color=GREY, ms=4)
    axes.set_xticks(
        range(len(rows)), [brief(row.name, 24) for row in rows], rotation=60, ha="right"
    )
    axes.set_yticks(range(len(facets)), [brief(name, 34) for name in facets])
    for name in ("left", "bottom"):
        axes.spines[name].set_visible(False)
    bar = made.colorbar(image, ax=axes, fraction=0.05)
    bar.set_label("attention weight")
    return labelled(made, f"{model}: attention over facets (× unknown)", is_simulated=is_simulated)


@styled
def coverage(knowledge: GeneKnowledge) -> Figure:
    """Plot of how many genes each facet is known, inferred or unknown.

    Args:
        knowledge: What is known of some genes, at least one.
    """
    confidence = knowledge.confidence  # (n, K)
    # Native values have confidence 1; imputed ones less.
    native = (confidence >= 1.0).mean(axis=0)
    imputed = ((confidence > 0.0) & (confidence < 1.0)).mean(axis=0)
    names = knowledge.facet_names
    made, axes = figure(1.1 + 0.24 * len(names))
    places = np.arange(len(names))
    axes.barh(places, native, color=BLUE, height=0.7, label="known (confidence 1)")
    axes.barh(places, imputed, left=native, color=ORANGE, height=0.7, label="inferred (below 1)")
    unknown = 1.0 - native - imputed
    axes.barh(
        places,
        unknown,
        left=native + imputed,
        color="white",
        edgecolor=GREY,
        lw=0.5,
        height=0.7,
        label="unknown",
    )
    axes.set_yticks(places, [brief(name, 34) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel(f"share of {len(knowledge.genes):,} genes")
    made.legend(frameon=False, ncols=3, loc="outside lower center")
    return labelled(made, f"{knowledge.name}: what is known of each facet")


@styled
def history(model: str, members: Sequence[History], *, is_simulated: bool = False) -> Figure:
    """Plot train loss and validation score by epoch, one line per member of the ensemble.

    Args:
        model: The model's name.
        members: How each member's training went.
        is_simulated: Whether it was trained on made-up cells.

    Raises:
        DataError: If no member took a gradient step.
    """
    if not any(member.losses for member in members):
        raise DataError(f"{model} has no training history: it was fitted only in closed form")
    made, axes = figure(2.4)
    right = axes.twinx()
    for number, member in enumerate(members):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        epochs = range(1, len(member.losses) + 1)
        axes.plot(epochs, member.losses, color=colour, lw=1.0, label=f"member {number + 1}")
        scored = range(1, len(member.scores) + 1)
        right.plot(scored, member.scores, color=colour, lw=0.8, ls="--", marker=marker, ms=2.2)
        if member.best_epoch:
            axes.axvline(member.best_epoch, color=colour, lw=0.5, ls=":")
    axes.set_xlabel("epoch (dotted: weights that were kept)")
    axes.set_ylabel("train loss (solid)")
    right.set_ylabel("validation pearson_delta_top20 (dashed)")
    right.spines["right"].set_visible(True)
    if len(members) > 1:
        made.legend(frameon=False, ncols=4, loc="outside lower center")
    return labelled(made, f"{model}: training", is_simulated=is_simulated)
