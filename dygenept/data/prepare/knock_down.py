"""Does a target's own expression move as the modality says: the check of a screen's knock-downs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.data.prepare.documents import TargetShares
from dygenept.types import BoolArray, Condition, DoubleArray, IntArray

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class TargetMoves:
    """How the target of each single perturbation moved.

    Attributes:
        rows: Positions in the conditions, of those with one target that was measured, (n,).
        changes: Mean of the target in the condition's cells minus that in control, (n,).
        p_values: Welch's t-test, one-sided in the direction that is expected, (n,).
        direction: 1 if targets should rise, -1 if they should fall.
    """

    rows: IntArray
    changes: DoubleArray
    p_values: DoubleArray
    direction: int

    @property
    def moves(self) -> BoolArray:
        """True where the target moved as expected."""
        return np.asarray(self.changes * self.direction > 0)

    def summary(self) -> TargetShares:
        """Return the shares."""
        n = len(self.rows)
        return {
            "expected": "up" if self.direction > 0 else "down",
            "n_perturbations": n,
            "share_as_expected": float(self.moves.mean()) if n else None,
            "share_significant": float((self.p_values < ALPHA).mean()) if n else None,
            "alpha": ALPHA,
        }


def target_columns(conditions: Sequence[Condition], symbols: Sequence[str]) -> IntArray:
    """Return the column of each condition's only target; -1 where it has several or none."""
    column = {symbol: number for number, symbol in reversed(list(enumerate(symbols)))}
    return np.asarray(
        [column.get(of.genes[0], -1) if len(of.genes) == 1 else -1 for of in conditions],
        dtype=np.int32,
    )


def target_moves(
    own: tuple[DoubleArray, DoubleArray, IntArray],
    control: tuple[DoubleArray, DoubleArray, IntArray],
    *,
    rows: IntArray,
    direction: int,
) -> TargetMoves:
    """Compare targets in their condition's cells and in control.

    Args:
        own: Sum, sum of squares and number of cells of each condition's target, (n,) each.
        control: The same of that gene in the controls of the cell type, (n,) each.
        rows: Positions of the conditions, (n,).
        direction: 1 if targets should rise, -1 if they should fall.
    """
    from scipy import special

    means, variances = zip(*(_moments(*part) for part in (own, control)), strict=True)
    n_own, n_control = own[2].astype(np.float64), control[2].astype(np.float64)
    change = means[0] - means[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = variances[0] / n_own, variances[1] / n_control
        t = direction * change / np.sqrt(parts[0] + parts[1])
        freedom = (parts[0] + parts[1]) ** 2 / (
            parts[0] ** 2 / (n_own - 1) + parts[1] ** 2 / (n_control - 1)
        )
        p_values = special.stdtr(freedom, -t)
    p_values = np.where(np.isnan(p_values), 1.0, p_values)
    return TargetMoves(rows, change, p_values, direction)


def _moments(
    sums: DoubleArray, squares: DoubleArray, counts: IntArray
) -> tuple[DoubleArray, DoubleArray]:
    n = counts.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / n
        variances = np.maximum(squares / n - means**2, 0.0) * n / (n - 1.0)
    return means, variances
