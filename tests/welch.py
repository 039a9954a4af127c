"""Welch's t of all conditions at once, which the harness computes some conditions at a time."""

from __future__ import annotations

from dygenept.data.de.lists import WelchScores
from dygenept.data.pseudobulk import pseudobulk, square_sums
from dygenept.types import DoubleArray, PerturbationData


def de_scores(data: PerturbationData) -> DoubleArray:
    """Score every gene of every condition against control, (n_conditions, G)."""
    scores = WelchScores(data, pseudobulk(data), square_sums(data))
    return scores.of(slice(0, len(data.conditions)))
