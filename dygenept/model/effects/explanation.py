"""What a prediction of a table's model relies on: sources of likeness, and like perturbations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.model.effects.fitted_start import FittedStart, shares_of
from dygenept.types import Condition

N_NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A known perturbation that a prediction draws on.

    Attributes:
        perturbation: Its label.
        cell_type: Its cell type.
        likeness: How alike it is, in [0, 1]: the chosen power of the weighed mean of cosines.
        sources: What each source adds to it; they sum to it. Below 0 where a source's cosine is.
    """

    perturbation: str
    cell_type: str
    likeness: float
    sources: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StartExplanation:
    """What the closed-form start of one condition is drawn from.

    Attributes:
        perturbation: Label of the perturbation.
        cell_type: Cell type.
        shares: Share of each source in its likeness with all other known perturbations, in [0, 1]
            and summing to 1: what a source adds or takes away counts by its size. Empty where it is
            like none, or the start is the genes' means alone.
        neighbours: The known perturbations that are most alike, at most ten, the closest first.
        is_means_alone: True where the start is the genes' means for every perturbation, whatever it
            is like.
    """

    perturbation: str
    cell_type: str
    shares: Mapping[str, float]
    neighbours: tuple[Neighbour, ...]
    is_means_alone: bool = False


def explained_starts(
    start: FittedStart, conditions: Sequence[Condition]
) -> tuple[StartExplanation, ...]:
    """Explain the closed-form start of conditions; the perturbation itself is no neighbour.

    Where the start is the genes' means alone, nothing is drawn from.
    """
    if not start.scale:
        return tuple(
            StartExplanation(item.label, item.cell_type, {}, (), is_means_alone=True)
            for item in conditions
        )
    parts = start.parts_of_likeness(conditions)
    found = []
    for row, condition in enumerate(conditions):
        # By genes: the table may spell a label otherwise.
        others = np.array([item.genes != condition.genes for item in start.known])
        own = {name: part[row].astype(np.float64) for name, part in parts.items()}
        total = np.sum(list(own.values()), axis=0)
        sizes = {name: float(np.abs(values[others]).sum()) for name, values in own.items()}
        nearest = [at for at in np.argsort(-total, kind="stable") if others[at] and total[at] > 0][
            :N_NEIGHBOURS
        ]
        found.append(
            StartExplanation(
                perturbation=condition.label,
                cell_type=condition.cell_type,
                shares=shares_of(sizes),
                neighbours=tuple(
                    Neighbour(
                        perturbation=start.known[at].label,
                        cell_type=start.known[at].cell_type,
                        likeness=float(total[at]),
                        sources={name: float(values[at]) for name, values in own.items()},
                    )
                    for at in nearest
                ),
            )
        )
    return tuple(found)
