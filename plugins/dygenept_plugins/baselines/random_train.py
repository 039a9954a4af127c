"""Predicts the delta of a train perturbation picked at random.

The pick depends only on the run's seed and the condition, not on what else is asked for.
Source: this project; the usual random model. Loads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.machine.tables import rows_of
from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import Condition, DoubleArray


class RandomTrain(ClosedFormModel):
    """ŷ = c + Δ of a random train perturbation of the cell type."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        seed = self.task.runtime.seed
        rows = [pick(item, n_choices=len(view.conditions), seed=seed) for item in conditions]
        return rows_of(view.means, rows)


def pick(condition: Condition, *, n_choices: int, seed: int) -> int:
    """Draw a position below ``n_choices`` from (seed, condition)."""
    digest = hashlib.sha256(f"{condition.cell_type}\0{condition.label}".encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    return int(rng.integers(n_choices))


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="random_train",
            summary="Delta of a random train perturbation.",
            source="this project",
            factory=lambda config: RandomTrain(),
        )
    ]
