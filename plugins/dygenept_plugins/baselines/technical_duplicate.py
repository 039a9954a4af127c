"""One half of the cells predicts the other: the noise ceiling.

Several random halvings are scored, each by itself, and their scores averaged: one halving of a few
cells is a noisy ceiling.
Source: openproblems-bio, positive controls; Ahlmann-Eltze et al. 2025. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dygenept.evaluation.closed_form import require_held_out
from dygenept.plugin import BaselineSpec, PluginConfig, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, HeldOut, Predictions, Task


class TechnicalDuplicateConfig(PluginConfig):
    """Options of the technical duplicate.

    Attributes:
        n_halves: Random halvings whose scores are averaged.
    """

    n_halves: int = Field(default=5, ge=1, le=1000)


class TechnicalDuplicate:
    """ŷ = mean of one random half of the cells, scored against the other half."""

    def __init__(self, n_halves: int = 5) -> None:
        self._n_halves = n_halves
        self._task: Task | None = None

    def fit(self, task: Task) -> None:
        """Keep the task.

        Raises:
            PluginError: If the task hides the truth.
        """
        require_held_out(task, ())
        self._task = task

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return one half as the prediction and the other as the truth, (n, G) each.

        A condition with one cell has no second half: its truth is NaN here, so it is undefined
        under every metric, and its prediction is the cell's own expression.

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        if self._task is None:
            raise PluginError("technical_duplicate predicts before it was fitted; call fit")
        held_out, rows = require_held_out(self._task, conditions)
        first, *others = (
            _scored_halves(halves[:, rows], held_out.means[rows], tuple(conditions))
            for halves in self._halves(held_out, self._task.runtime.seed)
        )
        return Predictions(first.conditions, first.expression, first.truth, tuple(others))

    def _halves(self, held_out: HeldOut, seed: int) -> list[DoubleArray]:
        draw = held_out.draw_halves
        if draw is None:
            return [held_out.half_means]
        rng = np.random.default_rng([seed, self._n_halves])
        return [held_out.half_means, *(draw(rng) for _ in range(self._n_halves - 1))]


def _scored_halves(
    halves: DoubleArray, means: DoubleArray, conditions: tuple[Condition, ...]
) -> Predictions:
    first, second = halves
    has_both = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    return Predictions(
        conditions=conditions,
        expression=np.where(has_both[:, None], first, means),
        truth=np.where(has_both[:, None], second, np.nan),
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the control."""
    return [
        BaselineSpec(
            name="technical_duplicate",
            summary="One random half of the cells scored against the other (noise ceiling).",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            config=TechnicalDuplicateConfig,
            factory=lambda config: TechnicalDuplicate(config.n_halves),
            role="ceiling",
        )
    ]
