"""From predictions to scores: what metrics see, and one score per metric and condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dygenept.data.pseudobulk import positions_of
from dygenept.errors import PluginError, ShapeError
from dygenept.evaluation.blocks import in_blocks, values_of
from dygenept.evaluation.candidate_ranks import are_alike
from dygenept.evaluation.control_cells import ControlHalves
from dygenept.evaluation.held_out import HeldOutPool
from dygenept.evaluation.predicted_cells import CellTester
from dygenept.machine.tables import empty_like, finite_rows, in_file, row_parts, rows_of
from dygenept.machine.threads import n_threads
from dygenept.plugin.interfaces import Metric
from dygenept.plugin.specs import MetricSpec
from dygenept.types import (
    Condition,
    DeGenes,
    DeTests,
    DoubleArray,
    IntArray,
    MetricCells,
    MetricInputs,
    MetricValues,
    PerturbationData,
    Predictions,
    Pseudobulk,
    Score,
    SharedByFold,
    in_cell_type,
)

N = TypeVar("N", bound=np.generic)
NO_TRUTH = "too few cells to have a truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundTruth:
    """What predictions of a data set are scored against, the same for every model.

    Attributes:
        data: The data set.
        pseudobulk: Its means, one row per condition of ``data``.
        de: Its DE lists, one row per condition of ``data``.
        de_tests: DE tests, one row per condition of ``data``, where a metric reads them.
        cells: Samples of cells, one row per condition of ``data``, where a metric reads them.
        held_out: Conditions held out in any fold, among which ranks are; None where only those
            that are predicted together count.
        control_halves: Means of halves of the controls, where a metric reads them.
        has_singles: A metric reads the single perturbations of combinations.
        cell_tester: Tests predicted cells, where a metric reads them.
        laid_out: What was laid out for a fold, by its conditions, which all its jobs share; None
            lays it out each time.
    """

    data: PerturbationData
    pseudobulk: Pseudobulk
    de: DeGenes
    de_tests: DeTests | None = None
    cells: MetricCells | None = None
    held_out: HeldOutPool | None = None
    control_halves: ControlHalves | None = None
    has_singles: bool = False
    cell_tester: CellTester | None = None
    laid_out: dict[tuple[Condition, ...], LaidOut] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """The truth and its references for the n conditions of a fold, as ``MetricInputs`` has them.

    Attributes:
        truth: True means, (n, G).
        control: Control means, (n, G).
        de_indices: Top-20 DE genes, (n, 20).
        de_tests: DE tests, where a metric reads them.
        control_halves: Means of two halves of the controls, (2, n, G), where a metric reads them.
        single_deltas: True changes of single perturbations, where a metric reads them.
        rows: Position of each condition in the data set, (n,).
        shared: What metrics make of these; None where it is not kept.
        train_means: Mean of the train perturbations of each cell type that the first predictions
            were scored with, (n_types, G), on which ``shared`` depends; empty before.
    """

    truth: DoubleArray
    control: DoubleArray
    de_indices: IntArray
    de_tests: DeTests | None
    control_halves: DoubleArray | None
    single_deltas: tuple[DoubleArray | None, ...]
    rows: IntArray
    shared: SharedByFold | None = None
    train_means: list[DoubleArray] = field(default_factory=list)

    def shared_with(self, predictions: Predictions, of_types: DoubleArray) -> SharedByFold | None:
        """Return what predictions share with others of the fold.

        Args:
            predictions: The predictions.
            of_types: Mean of the train perturbations of each cell type, (n_types, G).
        """
        if self.shared is None:
            return None
        if not self.train_means:
            self.train_means.append(of_types)
        is_alike = predictions.truth is None and np.array_equal(self.train_means[0], of_types)
        return self.shared if is_alike else replace(self.shared, of_truth=None)


def metric_inputs(
    predictions: Predictions, against: GroundTruth, *, train_means: Mapping[str, DoubleArray]
) -> MetricInputs:
    """Lay predictions beside the truth and the references.

    Controls are the data set's own, never a model's. The mean of the train perturbations is
    that of train and validation, as the closed-form baselines see it. The arrays are read-only,
    since every metric sees the same ones.

    Args:
        predictions: What a model predicted, for conditions of the data set.
        against: The data set's means, DE lists and cells.
        train_means: Mean of the train perturbations by cell type, (G,), as
            ``evaluation.reference.train_means`` returns it.

    Raises:
        ShapeError: If there are not G predicted values per condition.
        PluginError: If a value is not finite, or a condition is not one of the data set's.
    """
    data, pseudobulk = against.data, against.pseudobulk
    laid_out = _laid_out(predictions.conditions, against)
    truth, means = _truth(predictions, laid_out.truth), pseudobulk.means  # (n, G)
    _check_expression(predictions, truth, data)
    conditions = predictions.conditions
    kinds = [condition.cell_type for condition in conditions]
    names = sorted(set(kinds))
    of_types = np.array([train_means[name] for name in names]).reshape(-1, truth.shape[1])
    reference = _repeated(of_types, [names.index(kind) for kind in kinds], means)
    inputs = MetricInputs(
        conditions=conditions,
        predicted=_read_only(_predicted(predictions)),
        truth=_read_only(truth),
        control=laid_out.control,  # (n, G)
        perturbed_mean=_read_only(reference),
        de_indices=laid_out.de_indices,
        gene_symbols=data.gene_symbols,
        de_tests=laid_out.de_tests,
        cells=None if against.cells is None else against.cells.take(laid_out.rows),
        control_halves=laid_out.control_halves,
        single_deltas=laid_out.single_deltas,
        predicted_cells=None if against.cell_tester is None else against.cell_tester(predictions),
        candidates=None if against.held_out is None else against.held_out.candidates(predictions),
        spread=None if predictions.spread is None else _read_only(predictions.spread),
    )
    return inputs.sharing(laid_out.shared_with(predictions, of_types))


def _laid_out(conditions: tuple[Condition, ...], against: GroundTruth) -> LaidOut:
    """Lay the truth out, or return what was laid out for these conditions before."""
    if against.laid_out is not None and conditions in against.laid_out:
        return against.laid_out[conditions]
    data, pseudobulk = against.data, against.pseudobulk
    rows = _rows_of(conditions, data)
    types = [data.cell_types.index(condition.cell_type) for condition in conditions]
    means, tests, halves = pseudobulk.means, against.de_tests, against.control_halves
    is_kept = against.laid_out is not None and not in_file(means)
    found = LaidOut(
        truth=_read_only(rows_of(means, rows)),
        control=_read_only(_repeated(pseudobulk.control_means, types, means)),
        de_indices=_read_only(against.de.indices[rows]),
        de_tests=None
        if tests is None
        else DeTests(rows_of(tests.is_significant, rows), rows_of(tests.scores_vs_rest, rows)),
        control_halves=None if halves is None else _read_only(_halves(halves, rows, types, means)),
        single_deltas=_single_deltas(conditions, data, pseudobulk) if against.has_singles else (),
        rows=rows,
        shared=SharedByFold() if is_kept else None,
    )
    if against.laid_out is not None and is_kept:
        against.laid_out[conditions] = found
    return found


def score(metrics: Sequence[tuple[MetricSpec, Metric]], inputs: MetricInputs) -> list[Score]:
    """Score every condition with every metric.

    A condition without a truth (the technical duplicate of a condition with one cell) is
    undefined under every metric, and no metric sees it.

    Returns:
        Scores, metric by metric, conditions in the order of ``inputs``.

    Raises:
        PluginError: If a metric fails or breaks its contract: a wrong number of values, an infinite
            value, or an undefined value without a reason.
    """
    has_truth = finite_rows(inputs.truth)
    seen = inputs if has_truth.all() else inputs.take(has_truth)
    scores: list[Score] = []
    for spec, result in zip((spec for spec, _ in metrics), _results(metrics, seen), strict=True):
        _check_result(result, spec, n_conditions=len(seen.conditions))
        # Back to the rows of all conditions: the metric has seen only those with a truth.
        values = np.full(len(inputs.conditions), np.nan)
        values[has_truth] = result.values
        has_chance = result.chance is not None or spec.chance is not None
        chance = np.full(len(inputs.conditions), np.nan if spec.chance is None else spec.chance)
        if result.chance is not None:
            chance[has_truth] = result.chance
        positions = np.flatnonzero(has_truth)
        reasons = {int(positions[row]): reason for row, reason in result.reasons.items()}
        # Plus 0: minus zero would be written with its sign.
        listed = zip(inputs.conditions, (values + 0.0).tolist(), chance.tolist(), strict=True)
        for row, (condition, value, level) in enumerate(listed):
            if value == value:
                level = level if has_chance else None
                scores.append(Score(condition, spec.name, value, None, level))
            else:
                scores.append(Score(condition, spec.name, None, reasons.get(row, NO_TRUTH)))
    return scores


def _results(
    metrics: Sequence[tuple[MetricSpec, Metric]], inputs: MetricInputs
) -> list[MetricValues]:
    """Compute metrics: those of all conditions together beside those of one condition alone."""
    of_rows = [(spec, metric) for spec, metric in metrics if spec.by_row]
    of_all = [(spec, metric) for spec, metric in metrics if not spec.by_row]
    # What is in a file is there for want of memory: one after the other.
    if n_threads() == 1 or in_file(inputs.truth):
        by_row, whole = iter(in_blocks(of_rows, inputs)), iter(values_of(of_all, inputs))
    else:
        with ThreadPoolExecutor(1) as beside:
            found = beside.submit(copy_context().run, values_of, of_all, inputs)
            by_row, whole = iter(in_blocks(of_rows, inputs)), iter(found.result())
    return [next(by_row) if spec.by_row else next(whole) for spec, _ in metrics]


def _repeated(of_types: DoubleArray, types: Sequence[int], means: DoubleArray) -> DoubleArray:
    """Give each condition its cell type's row, (n_types, G) to (n, G), in a file like ``means``.

    Of one cell type it is the same row over and over, and no copy.
    """
    shape = len(types), of_types.shape[1]
    if len(set(types)) == 1 and not in_file(means):
        row = np.asarray(of_types[types[0]], dtype=np.float64)
        return np.broadcast_to(row, shape)
    found = empty_like(means, shape, np.float64)
    for part in row_parts(*found.shape):
        found[part] = of_types[types[part]]
    return found


def _halves(
    halves: ControlHalves, rows: IntArray, types: Sequence[int], means: DoubleArray
) -> DoubleArray:
    """Give each condition the halves that it is measured from, (2, n, G)."""
    of_types = halves.of_types
    shape = 2, len(types), of_types.shape[2]
    if len(set(types)) == 1 and halves.shares is None and not in_file(means):
        of_type = np.asarray(of_types[:, types[0], None], dtype=np.float64)
        return np.broadcast_to(of_type, shape)
    found = empty_like(means, shape, np.float64)
    for place, (row, kind) in enumerate(zip(rows.tolist(), types, strict=True)):
        found[:, place] = halves.of_condition(row, kind)
    return found


def _read_only(array: npt.NDArray[N]) -> npt.NDArray[N]:
    # A view, so that the caller's own array stays writable.
    seen = array.view()
    seen.flags.writeable = False
    return seen


def _rows_of(conditions: tuple[Condition, ...], data: PerturbationData) -> IntArray:
    positions = positions_of(data.conditions)
    rows = [positions.get(condition, -1) for condition in conditions]
    if -1 in rows:
        condition = conditions[rows.index(-1)]
        raise PluginError(
            f"a prediction is for {condition.label!r}"
            f"{in_cell_type(condition.cell_type, quoted=True)}, of which data set "
            f"{data.name!r} has no cell; predict only the held-out conditions"
        )
    return np.array(rows, dtype=np.int32)


def _predicted(predictions: Predictions) -> DoubleArray:
    """Predictions in float64, (n, G), those that are the same for all conditions as one row."""
    predicted = np.asarray(predictions.expression, dtype=np.float64)
    if len(predicted) and not in_file(predicted) and are_alike(predicted):
        return np.broadcast_to(predicted[0], predicted.shape)
    return predicted


def _truth(predictions: Predictions, truth: DoubleArray) -> DoubleArray:
    """Return a control's own truth, or that of the data set, (n, G)."""
    if predictions.truth is None:
        return truth
    if predictions.truth.shape != truth.shape:
        raise ShapeError(
            f"a control's own truth is {predictions.truth.shape}, expected {truth.shape}: "
            "one row of G genes per condition"
        )
    return np.asarray(predictions.truth, dtype=np.float64)


def _single_deltas(
    conditions: Sequence[Condition], data: PerturbationData, pseudobulk: Pseudobulk
) -> tuple[DoubleArray | None, ...]:
    singles = {
        (item.genes[0], item.cell_type): row
        for row, item in enumerate(data.conditions)
        if len(item.genes) == 1
    }
    found: list[DoubleArray | None] = []
    for condition in conditions:
        rows = [singles.get((gene, condition.cell_type)) for gene in condition.genes]
        known = [row for row in rows if row is not None]
        if len(rows) == 1 or len(known) < len(rows):
            found.append(None)
            continue
        control = pseudobulk.control_means[data.cell_types.index(condition.cell_type)]
        found.append(_read_only(pseudobulk.means[known] - control))
    return tuple(found)


def _check_expression(predictions: Predictions, truth: DoubleArray, data: PerturbationData) -> None:
    expression = predictions.expression
    if expression.shape[1] != data.n_genes:
        raise ShapeError(
            f"predictions have {expression.shape[1]} genes per condition, but {data.name!r} has "
            f"{data.n_genes}; return one value for each entry of task.gene_ids"
        )
    # What is never scored may be anything: a duplicate cannot predict where it has no half.
    if (~finite_rows(expression) & finite_rows(truth)).any():
        wrong = ~np.isfinite(expression) & finite_rows(truth)[:, None]
        row, gene = (int(position) for position in np.argwhere(wrong)[0])
        raise PluginError(
            f"{int(wrong.sum())} predicted value(s) are NaN or infinite, first "
            f"{expression[row, gene]} for gene {data.gene_symbols[gene]!r} of "
            f"{predictions.conditions[row].label!r}; a model must return finite expression"
        )


def _check_result(result: MetricValues, spec: MetricSpec, *, n_conditions: int) -> None:
    if not isinstance(result, MetricValues):
        raise PluginError(
            f"metric {spec.name!r} must return MetricValues, got {type(result).__name__}"
        )
    if result.values.shape != (n_conditions,):
        raise PluginError(
            f"metric {spec.name!r} returned values of shape {result.values.shape}, expected "
            f"({n_conditions},): one value per condition"
        )
    if np.isinf(result.values).any():
        raise PluginError(
            f"metric {spec.name!r} returned an infinite value; return NaN with a reason instead"
        )
    is_defined = ~np.isnan(result.values)
    if result.chance is not None and (
        result.chance.shape != (n_conditions,) or not np.isfinite(result.chance[is_defined]).all()
    ):
        raise PluginError(
            f"metric {spec.name!r} must give a finite chance level for each defined value"
        )
    undefined = set(np.flatnonzero(np.isnan(result.values)).tolist())
    if undefined != set(result.reasons):
        row = min(undefined ^ set(result.reasons))
        raise PluginError(
            f"metric {spec.name!r} must give a reason for each NaN and for nothing else; "
            f"condition {row} breaks this"
        )
