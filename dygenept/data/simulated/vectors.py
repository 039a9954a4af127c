"""Directions over output genes: which genes answer, and how much each one does.

A few genes answer to many perturbations, as immediate-early and stress genes do in real screens, so
every gene has a readiness of its own that all directions share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.types import DoubleArray

CHANGED_SHARE, FEWEST_CHANGED = 0.02, 5
EXPRESSION_PREFERENCE = 0.7
READINESS_SPREAD = 1.6


@dataclass(frozen=True, slots=True)
class OutputGenes:
    """What decides which output genes a direction changes.

    Attributes:
        preference: Weight in the draw of the genes that change, (G,); expressed genes go first.
        readiness: Factor on the change of each gene, (G,).
    """

    preference: DoubleArray
    readiness: DoubleArray


def draw_output_genes(base_log_mean: DoubleArray, *, rng: np.random.Generator) -> OutputGenes:
    """Draw how ready each output gene is to change.

    Args:
        base_log_mean: Log mean count of each output gene, (G,).
        rng: Source of draws.
    """
    return OutputGenes(
        preference=np.exp(EXPRESSION_PREFERENCE * base_log_mean),
        readiness=np.exp(rng.normal(0.0, READINESS_SPREAD, size=len(base_log_mean))),
    )


def n_changed_genes(n_genes: int, share: float = CHANGED_SHARE) -> int:
    """Return how many of the output genes a direction changes, if there are so many 5 or more."""
    return min(n_genes, max(FEWEST_CHANGED, round(share * n_genes)))


def draw_directions(
    n_directions: int,
    genes: OutputGenes,
    *,
    rng: np.random.Generator,
    changed_share: float = CHANGED_SHARE,
) -> DoubleArray:
    """Draw sparse directions of unit length over the output genes, (n_directions, G).

    Args:
        n_directions: Directions to draw.
        genes: What decides which genes a direction changes.
        rng: Source of draws.
        changed_share: Share of the genes that a direction changes.
    """
    n_genes = len(genes.preference)
    n_hit = n_changed_genes(n_genes, changed_share)
    # The largest keys of log(u) / w are a weighted draw without replacement, all rows at once.
    keys = np.log(rng.random((n_directions, n_genes))) / genes.preference
    hit = np.argpartition(keys, n_genes - n_hit, axis=1)[:, n_genes - n_hit :]
    # The order within a partition depends on the machine's vector width.
    hit = np.sort(hit, axis=1)
    size = np.abs(rng.normal(0.9, 0.4, size=(n_directions, n_hit))) * genes.readiness[hit]
    sign = rng.choice([-1.0, 1.0], size=(n_directions, n_hit))
    directions = np.zeros((n_directions, n_genes))
    np.put_along_axis(directions, hit, size * sign, axis=1)
    norms: DoubleArray = np.linalg.norm(directions, axis=1, keepdims=True)
    return directions / norms


def draw_shared_direction(
    genes: OutputGenes, *, changed_share: float, readiness: float, rng: np.random.Generator
) -> DoubleArray:
    """Draw the direction of the response that perturbations share, of unit length, (G,).

    Args:
        genes: What decides which genes it changes.
        changed_share: Share of the genes that it changes.
        readiness: Power of the genes' readiness to change; 0 makes them alike, 1 as unequal as in
            other directions.
        rng: Source of draws.
    """
    even = OutputGenes(genes.preference, genes.readiness**readiness)
    direction: DoubleArray = draw_directions(1, even, rng=rng, changed_share=changed_share)[0]
    return direction
