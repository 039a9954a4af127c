"""Predictions that a metric must not reward, or must not take for the truth.

Each is made of another model's: shrunken to the mean of the train perturbations, stretched away
from the control cells, or one value for all genes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from dygenept.evaluation.reference import train_means
from dygenept.leaderboard.metric_audit import CONSTANTS, DOUBLED, EPSILON, SCALED
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.interfaces import Model
from dygenept.types import Condition, DoubleArray, Predictions, Task

# Expression as a model predicts it, the mean of the train perturbations and the control mean.
Change = Callable[[DoubleArray, DoubleArray, DoubleArray], DoubleArray]


def _shrunken(predicted: DoubleArray, mean: DoubleArray, control: DoubleArray) -> DoubleArray:
    return mean + 0.001 * (predicted - mean)


def _stretched(
    factor: float, predicted: DoubleArray, mean: DoubleArray, control: DoubleArray
) -> DoubleArray:
    return control + factor * (predicted - control)


def _constant(predicted: DoubleArray, mean: DoubleArray, control: DoubleArray) -> DoubleArray:
    return np.broadcast_to(control.mean(axis=1, keepdims=True), predicted.shape).copy()


def _zero(predicted: DoubleArray, mean: DoubleArray, control: DoubleArray) -> DoubleArray:
    return np.zeros_like(predicted)


@dataclass
class Attack:
    """A model whose predictions are changed.

    Attributes:
        inner: The model.
        change: What is made of its predictions.
    """

    inner: Model
    change: Change
    _task: Task | None = None
    _means: dict[str, DoubleArray] = field(default_factory=dict)

    def fit(self, task: Task) -> None:
        """Fit the model."""
        self._task, self._means = task, train_means(task)
        self.inner.fit(task)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the changed predictions, (n, G)."""
        assert self._task is not None
        found = self.inner.predict(conditions)
        types = [condition.cell_type for condition in conditions]
        mean = np.stack([self._means[cell_type] for cell_type in types])
        control = np.stack([self._task.control_mean(cell_type) for cell_type in types])
        return Predictions(
            tuple(conditions), self.change(np.asarray(found.expression), mean, control)
        )


def attacks(truth: ResolvedModel, base: ResolvedModel) -> tuple[ResolvedModel, ...]:
    """Return the attacks.

    Args:
        truth: The truth itself, of which the right answer in the wrong size is made.
        base: A model that knows something, which is scaled.
    """
    of_truth: dict[str, Change] = {EPSILON: _shrunken, DOUBLED: partial(_stretched, 2.0)}
    of_base: dict[str, Change] = {
        **{name: partial(_stretched, factor) for name, factor in SCALED.items()},
        **dict(zip(CONSTANTS, (_zero, _constant), strict=True)),
    }
    return (
        *(_attack(truth, name, change) for name, change in of_truth.items()),
        *(_attack(base, name, change) for name, change in of_base.items()),
    )


def _attack(model: ResolvedModel, name: str, change: Change) -> ResolvedModel:
    build = model.build
    return replace(model, name=name, build=lambda: Attack(build(), change))
