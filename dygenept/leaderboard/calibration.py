"""Whether a metric can tell a good prediction from a trivial one on a data set at all.

The dynamic range fraction of a perturbation is how much of the way from a trivial prediction to a
perfect score a ceiling goes, which knows the truth as well as other cells of the same perturbation
show it; between -1 and 1. Only references, ceilings and the truth are read, so nothing that is
handed in moves it.
Source: Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304 (the mean over perturbations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.mean_intervals import mean_intervals
from dygenept.leaderboard.judgements import CEILING, MIN_TO_CLAIM, TRUTH, best_trivial
from dygenept.leaderboard.score_grid import ScoreGrid

# The first one that a metric has values of counts: it is the positive control of the source.
CEILINGS = ("interpolated_duplicate", CEILING)
NO_CONTROLS = f"neither {' nor '.join(CEILINGS)} has a value, or no trivial prediction has"
TOO_FEW = f"fewer than {MIN_TO_CLAIM} perturbations"
TOO_FEW_GENES = f"fewer than {MIN_TO_CLAIM} genes"
IN_RANGE = "the ceiling's lead per perturbation exceeds noise"
OUT_OF_RANGE = "the ceiling's lead per perturbation does not exceed noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What a metric's controls say of it.

    Attributes:
        is_calibrated: True where the interval of ``fraction`` lies above 0; None where that cannot
            be said.
        reason: Why.
        fraction: Mean over perturbations of the dynamic range fraction: 1 where the ceiling has a
            perfect score, 0 where it is no better than the reference; None without controls.
        low: Lower end of its 95 % interval, over perturbations.
        high: Upper end.
        ceiling: The ceiling that it is about.
        reference: The trivial prediction: the better one.
        n_perturbations: Over how many perturbations, or genes where each has a value; those of
            which the reference is perfect have no range.
    """

    is_calibrated: bool | None = None
    reason: str = NO_CONTROLS
    fraction: float | None = None
    low: float | None = None
    high: float | None = None
    ceiling: str | None = None
    reference: str | None = None
    n_perturbations: int = 0


UNKNOWN = Calibration()


def calibrate(grid: ScoreGrid, pooled: Mapping[str, float | None]) -> Calibration:
    """Relate a metric's range to its noise.

    Args:
        grid: The metric's values.
        pooled: Each model's mean over all held-out perturbations; None where nothing is defined.
    """
    reference = best_trivial(grid.sign, pooled)
    ceiling = next((name for name in CEILINGS if pooled.get(name) is not None), None)
    if reference is None or ceiling is None:
        return UNKNOWN
    names = [reference, ceiling, *([TRUTH] if TRUTH in grid.models else [])]
    values = grid.sign * grid.values[:, [grid.models.index(name) for name in names]]  # (n, 2 or 3)
    perfect = values[:, 2] if len(names) > 2 else np.full(len(values), grid.sign * grid.perfect)
    with np.errstate(invalid="ignore"):
        room = perfect - values[:, 0]
        has_room = np.isfinite(values).all(axis=1) & (room > 0)
    kept = np.flatnonzero(has_room)
    # Of this data set: its cell types are not taken for a sample of all.
    clusters = Clusters.of([grid.perturbations[row] for row in kept], [""] * len(kept))
    is_few = clusters.n_perturbations < MIN_TO_CLAIM
    if is_few or (grid.n_held_out is not None and grid.n_held_out < MIN_TO_CLAIM):
        return Calibration(
            reason=TOO_FEW_GENES if is_few and grid.unit == "gene" else TOO_FEW,
            ceiling=ceiling,
            reference=reference,
            n_perturbations=clusters.n_perturbations,
        )
    # Of a perturbation that the reference predicts almost perfectly, a ratio may be of any size.
    ratios = np.clip((values[kept, 1] - values[kept, 0]) / room[kept], -1.0, 1.0)
    found = mean_intervals(ratios[:, None], clusters)
    is_calibrated = bool(found.low[0] > 0)
    return Calibration(
        is_calibrated=is_calibrated,
        reason=IN_RANGE if is_calibrated else OUT_OF_RANGE,
        fraction=float(found.means[0]),
        low=float(found.low[0]),
        high=float(found.high[0]),
        ceiling=ceiling,
        reference=reference,
        n_perturbations=clusters.n_perturbations,
    )
