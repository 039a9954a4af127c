"""What the parts of a model contribute, as its records have it, one data set beside the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from dygenept.errors import ResultsError
from dygenept.reports.plots.style import COLOURS, MARKERS, brief, figure, labelled, styled
from dygenept.results.records import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Names under ``chosen`` that are shares in [0, 1], and what they are called in a figure.
SHARES: Mapping[str, str] = {
    "identity_share": "read from the genes' own codes",
    "knowledge_share": "predicted from facets",
    "share_changed_by_steps": "changed by gradient steps",
    "attention_moved_by_cells": "attention moved by cells",
    "prediction_moved_by_cells": "prediction moved by cells",
}


@dataclass(frozen=True, slots=True)
class Contributions:
    """Contributions to one model on one data set.

    Attributes:
        name: The data set.
        values: By name under ``chosen``: one value per record that has it, the mean over
            the members of an ensemble.
    """

    name: str
    values: Mapping[str, tuple[float, ...]]


def contributions_of(records: Sequence[RunRecord], model: str) -> tuple[Contributions, ...]:
    """Return the contributions to a model, by data set.

    Raises:
        ResultsError: If no record of the model has any.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for record in records:
        if record.model != model:
            continue
        for name in SHARES:
            values = [
                float(value)
                for key, value in record.chosen.items()
                # Members of an ensemble end in .1, .2 …
                if key.partition(".")[0] == name and isinstance(value, int | float)
            ]
            if values:
                of_data = found.setdefault(record.dataset.name, {})
                of_data.setdefault(name, []).append(fmean(values))
    if not found:
        raise ResultsError(
            f"no record of {model} says what its parts contribute; run the bench with it"
        )
    return tuple(
        Contributions(name, {key: tuple(values) for key, values in of.items()})
        for name, of in sorted(found.items())
    )


@styled
def plot_contributions(
    found: Sequence[Contributions], model: str, *, is_simulated: bool = False
) -> Figure:
    """Plot contributions: a row each, the mean of a data set's records as a point, its range a bar.

    Args:
        found: By data set, at least one.
        model: The model's name.
        is_simulated: Whether any of the data sets was made up.
    """
    names = [name for name in SHARES if any(name in of.values for of in found)]
    made, axes = figure(0.9 + 0.34 * len(names) + 0.12 * len(found))
    for number, of in enumerate(found):
        shown = [row for row, name in enumerate(names) if name in of.values]
        values = [of.values[names[row]] for row in shown]
        means = [fmean(each) for each in values]
        axes.errorbar(
            means,
            [row + 0.5 * ((number + 0.5) / len(found) - 0.5) for row in shown],
            xerr=[
                [max(mean - min(each), 0.0) for mean, each in zip(means, values, strict=True)],
                [max(max(each) - mean, 0.0) for mean, each in zip(means, values, strict=True)],
            ],
            fmt=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            ms=3,
            lw=0.8,
            capsize=1.5,
            label=brief(of.name),
        )
    axes.set_yticks(range(len(names)), [SHARES[name] for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("share, mean and range over fits")
    made.legend(frameon=False, ncols=3, loc="outside lower center")
    return labelled(made, f"{model}: what its parts contribute", is_simulated=is_simulated)
