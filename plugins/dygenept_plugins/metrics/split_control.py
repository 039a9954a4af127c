"""Metrics of the change from control, with the two changes measured from disjoint control halves.

Usually Δ̂ = ŷ - c and Δ = y - c have the same control mean c, and with it the same noise: where
control cells are few, two changes without any signal correlate. Here one of them is measured from
the mean of one half of the cell type's control cells, the other from that of the other half; the
halves are drawn once per seed, and each value is the mean over both ways round.

``pearson_delta_split_control``, ``pearson_delta_top20_split_control`` and
``direction_accuracy_top20_split_control`` are otherwise the metrics without the ending. What ŷ
itself takes from the mean of all control cells has the noise of both halves, and lowers the value:
of ŷ = c + δ, whose δ does not depend on c, the usual metric is the right one. A prediction that is
the control mean is constant here as well. Issue and remedy: docs/inference.md.
Source: this project. They load nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dygenept.evaluation.rows import (
    change,
    difference,
    gather_de,
    masked_mean,
    masked_pearson,
    none_defined,
    predicted_change,
    row_scale,
)
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import BoolArray, DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NO_HALVES = "fewer than two control cells"
CONTROL = "the prediction is the control mean"

Compare = Callable[[DoubleArray, DoubleArray, DoubleArray, DoubleArray, BoolArray], MetricValues]


def pearson_delta_split_control(inputs: MetricInputs) -> MetricValues:
    """Return r(ŷ - a, y - b) over all genes for halves a and b, the mean of both ways, (n,).

    Example:
        Control halves 0 and 1, -1, 0 of genes at 0 in both: changes 2, 3, 4 and 1, 4, 3 correlate
        at 0.655 one way, and 1, 4, 4 and 2, 3, 3 at 1 the other.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> plain = small_metric_inputs([[2.0, 3.0, 4.0]], [[2.0, 3.0, 3.0]])
        >>> halves = np.array([[[0.0, 0.0, 0.0]], [[1.0, -1.0, 0.0]]])
        >>> pearson_delta_split_control(replace(plain, control_halves=halves)).values.round(3)
        array([0.827])
    """
    return _both_ways(inputs, np.ones(inputs.truth.shape, dtype=np.bool_), _correlation)


def pearson_delta_top20_split_control(inputs: MetricInputs) -> MetricValues:
    """Return the same over the DE list, (n,).

    Example:
        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> plain = small_metric_inputs(
        ...     [[2.0, 3.0, 4.0, 9.0]], [[2.0, 3.0, 3.0, 0.0]], de_genes=[0, 1, 2]
        ... )
        >>> halves = np.array([[[0.0, 0.0, 0.0, 0.0]], [[1.0, -1.0, 0.0, 0.0]]])
        >>> pearson_delta_top20_split_control(replace(plain, control_halves=halves)).values.round(3)
        array([0.827])
    """
    return _top20(inputs, _correlation)


def direction_accuracy_top20_split_control(inputs: MetricInputs) -> MetricValues:
    """Return the share of the DE list with (ŷ - a) · (y - b) > 0, the mean of both ways, (n,).

    Example:
        From halves 0 and 2, prediction 1 and truth 3 of a gene: 1 · 1 and -1 · 3.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> plain = small_metric_inputs([[1.0]], [[3.0]])
        >>> halves = np.array([[[0.0]], [[2.0]]])
        >>> direction_accuracy_top20_split_control(replace(plain, control_halves=halves)).values
        array([0.5])
    """
    return _top20(inputs, _directions)


def _top20(inputs: MetricInputs, compare: Compare) -> MetricValues:
    return _both_ways(inputs, inputs.de_indices >= 0, compare, lists=True)


def _both_ways(
    inputs: MetricInputs, mask: BoolArray, compare: Compare, *, lists: bool = False
) -> MetricValues:
    def chosen(values: DoubleArray) -> DoubleArray:
        return gather_de(values, inputs.de_indices) if lists else values

    if inputs.control_halves is None:
        return none_defined(inputs, NO_HALVES)
    predicted, truth = chosen(inputs.predicted), chosen(inputs.truth)
    has_halves, halves = _known_halves(inputs, inputs.control_halves)
    first, second = (chosen(half) for half in halves)
    one = compare(predicted, first, truth, second, mask)
    other = compare(predicted, second, truth, first, mask)
    values = (one.values + other.values) / 2.0
    values[~has_halves] = np.nan
    reasons = {**other.reasons, **one.reasons}
    reasons |= dict.fromkeys(np.flatnonzero(~has_halves).tolist(), NO_HALVES)
    is_control = ~predicted_change(inputs).any(axis=1)
    if compare is _correlation:
        # Its change from half of the control cells is noise, and not a prediction.
        values[is_control] = np.nan
        reasons = dict.fromkeys(np.flatnonzero(is_control).tolist(), CONTROL) | reasons
    elif lists:
        values[is_control & ~np.isnan(values)] = 0.0
    return MetricValues(values, reasons)


def _known_halves(inputs: MetricInputs, halves: DoubleArray) -> tuple[BoolArray, DoubleArray]:
    """Which conditions have halves, (n,), and the halves with zeros in place of NaN, (2, n, G)."""

    def compute() -> tuple[BoolArray, DoubleArray]:
        is_known: BoolArray = np.asarray(np.isfinite(halves).all(axis=(0, 2)), dtype=np.bool_)
        return is_known, halves if is_known.all() else np.nan_to_num(halves)

    return inputs.once("split_control.halves", compute)


def _correlation(
    predicted: DoubleArray,
    predicted_from: DoubleArray,
    truth: DoubleArray,
    truth_from: DoubleArray,
    mask: BoolArray,
) -> MetricValues:
    return masked_pearson(
        difference(predicted, predicted_from),
        truth - truth_from,
        mask,
        predicted_scale=row_scale(predicted, predicted_from),
        truth_scale=row_scale(truth, truth_from),
    )


def _directions(
    predicted: DoubleArray,
    predicted_from: DoubleArray,
    truth: DoubleArray,
    truth_from: DoubleArray,
    mask: BoolArray,
) -> MetricValues:
    signs = np.sign(change(predicted, predicted_from)) * np.sign(truth - truth_from)
    return masked_mean((signs > 0).astype(np.float64), mask)


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metrics; boards show them beside the usual ones where control cells are few."""
    spec = partial(
        metric_spec,
        source="this project",
        higher_is_better=True,
        upper=1.0,
        uses_control_halves=True,
        by_row=True,
        boards="few_controls",
    )
    correlation = partial(spec, lower=-1.0, neutral=0.0, chance=0.0, is_correlation=True)
    too_few = "either side is constant, there are fewer than two {}, or one control cell"
    return [
        correlation(
            pearson_delta_split_control,
            formula=(
                "pearson_delta, ŷ measured from one half of the control cells and y from the "
                "other, both ways round"
            ),
            misleads="Predictions that owe nothing to the control get the noise of both halves.",
            use="Where control cells are few.",
            summary="Pearson correlation of the deltas, from disjoint halves of the controls.",
            undefined=too_few.format("genes"),
        ),
        correlation(
            pearson_delta_top20_split_control,
            formula="the same over T",
            misleads="As over all genes; T itself was chosen with all control cells.",
            use="Where control cells are few.",
            summary="The same over the top-20 DE genes.",
            undefined=too_few.format("DE genes"),
            uses_de_genes=True,
        ),
        spec(
            direction_accuracy_top20_split_control,
            formula="direction_accuracy_top20 from disjoint halves of the control cells",
            misleads="As direction_accuracy_top20, with more noise.",
            use="Where control cells are few.",
            summary="Share of the top-20 DE genes that change rightly, from disjoint controls.",
            lower=0.0,
            chance=0.5,
            undefined="the perturbation has no DE genes, or the cell type one control cell",
            uses_de_genes=True,
        ),
    ]
