"""Fitting a model and asking it: what it answers is checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dygenept.errors import PluginError
from dygenept.evaluation.predicted_cells import MAX_CELLS, checked_cells
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import Model
from dygenept.plugin.interfaces.offers import PredictsCells, PredictsCellsOfBatches, spread_of
from dygenept.types import Condition, DoubleArray, IntArray, Predictions, Task


def fitted(model: ResolvedModel, task: Task) -> Model:
    """Build a model and fit it.

    Raises:
        PluginError: If the model's code fails.
    """
    with plugin_code(f"{model.name}: fit"):
        built = model.build()
        built.fit(task)
    return built


def predicted(model: ResolvedModel, built: Model, conditions: Sequence[Condition]) -> Predictions:
    """Predict conditions with a fitted model.

    Raises:
        PluginError: If the model's code fails, or its predictions break their contract.
    """
    with plugin_code(f"{model.name}: predict"):
        predictions = built.predict(conditions)
    check_predictions(predictions, conditions, model)
    return predictions


def checked_spread(
    model: ResolvedModel, built: Model, predictions: Predictions
) -> DoubleArray | None:
    """Ask a model how far off it may be.

    Raises:
        PluginError: If its code fails, or what it says is not a standard deviation for each value.
    """
    with plugin_code(f"{model.name}: spread"):
        spread = spread_of(built, predictions.conditions)
    if spread is None:
        return None
    shape = predictions.expression.shape
    is_array = isinstance(spread, np.ndarray) and spread.shape == shape
    if not is_array or not np.isfinite(spread).all() or (spread < 0).any():
        raise PluginError(
            f"{model.name}: spread must return a finite standard deviation of at least 0 for each "
            f"prediction, {shape}, or None"
        )
    return np.array(spread, dtype=np.float64)


def with_cells(
    predictions: Predictions,
    built: PredictsCells | PredictsCellsOfBatches,
    model: ResolvedModel,
    batches: tuple[IntArray, ...] | None = None,
) -> Predictions:
    """Add the cells that a model predicts for the conditions of its predictions.

    Args:
        predictions: Its predictions.
        built: The fitted model.
        model: What it is called.
        batches: Batches of the real cells that these are compared with, which a model that can is
            asked for; None where controls are not matched by batch, and where a model that can
            predict no other cells is not asked.

    Raises:
        PluginError: If its code fails, or what it returns are not cells of these conditions.
    """
    conditions, n_genes = predictions.conditions, predictions.expression.shape[1]
    if batches is not None and isinstance(built, PredictsCellsOfBatches):
        with plugin_code(f"{model.name}: predict_cells_of"):
            cells = built.predict_cells_of(conditions, batches=[own.copy() for own in batches])
            checked = checked_cells(cells, conditions, n_genes)
            for condition, found, own in zip(conditions, checked, batches, strict=True):
                if len(found) != len(own):
                    raise PluginError(
                        f"{len(found)} predicted cells of {condition.label!r} for "
                        f"{len(own)} batches; predict_cells_of must return a cell for each"
                    )
        return replace(predictions, cells=checked, cell_batches=batches)
    if not isinstance(built, PredictsCells):
        return predictions
    with plugin_code(f"{model.name}: predict_cells"):
        cells = built.predict_cells(conditions, n_cells=MAX_CELLS)
        checked = checked_cells(cells, conditions, n_genes)
    return replace(predictions, cells=checked)


def check_predictions(
    predictions: Predictions, conditions: Sequence[Condition], model: ResolvedModel
) -> None:
    """Refuse what is not predictions, or of other conditions, or brings a truth of its own.

    Raises:
        PluginError: As said; the model is named.
    """
    if not isinstance(predictions, Predictions):
        raise PluginError(
            f"{model.name}: predict must return Predictions(conditions, expression), got "
            f"{type(predictions).__name__}"
        )
    if predictions.expression.dtype.kind not in "fiu":
        raise PluginError(
            f"{model.name}: predictions must be numbers, float64, got "
            f"{predictions.expression.dtype}"
        )
    for draw in predictions.others:
        check_predictions(draw, conditions, model)
    if predictions.conditions != tuple(conditions):
        raise PluginError(
            f"{model.name} predicted {len(predictions.conditions)} conditions and was asked for "
            f"{len(conditions)}, in order; it must return exactly those"
        )
    is_plain = predictions.truth is None and predictions.n_cells is None
    if not model.is_oracle and not (
        is_plain and not predictions.others and predictions.lengthening == 1.0
    ):
        raise PluginError(
            f"{model.name}: only ceilings and floors may set their own truth, return several "
            "draws, count cells or have scores corrected"
        )
