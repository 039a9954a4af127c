"""Conformance of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from dygenept.plugin.interfaces import Metric
from dygenept.plugin.specs import MetricSpec
from dygenept.testing.rules import Rules, checking, configured
from dygenept.testing.toy_knowledge import toy_metric_inputs
from dygenept.types import DoubleArray, MetricInputs, MetricValues

TOLERANCE = 1e-9


def check_metric(spec: MetricSpec, *, options: Mapping[str, object] | None = None) -> None:
    """Check a metric: pure, within its range, undefined cases marked, and won by the truth.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options that were not given.
    """
    config = configured(spec, options)
    with checking(spec) as rules:
        _check_range(spec, rules)
        metric = spec.factory(config)
        inputs = toy_metric_inputs()
        values = _values(metric, inputs, spec, rules)
        # Other inputs with the same values, which have kept nothing of the first call.
        again = _values(metric, replace(inputs), spec, rules)
        rules.require(np.array_equal(values, again, equal_nan=True), "a second call differs")
        other_lists = np.roll(inputs.de_indices, 1, axis=0)
        order = np.random.default_rng(0).permutation(len(inputs.conditions))
        shuffled = _values(metric, inputs.take(order), spec, rules)
        rules.require(
            bool(np.allclose(shuffled, values[order], atol=TOLERANCE, equal_nan=True)),
            "a condition's value depends on the order of the conditions",
        )
        alone = [_values(metric, inputs.take([row]), spec, rules) for row in range(len(values))]
        rules.require(
            not spec.by_row
            or bool(np.allclose(np.concatenate(alone), values, atol=TOLERANCE, equal_nan=True)),
            "it declares by_row, but a condition's value depends on the other conditions",
        )
        for is_declared, what, other in (
            (spec.uses_de_tests, "DE tests; declare uses_de_tests", {"de_tests": None}),
            (spec.uses_cells, "samples of cells; declare uses_cells", {"cells": None}),
            (
                spec.uses_control_halves,
                "halves of the controls; declare uses_control_halves",
                {"control_halves": None},
            ),
            (spec.uses_spread, "the model's spread; declare uses_spread", {"spread": None}),
            (
                spec.uses_singles,
                "single perturbations; declare uses_singles",
                {"single_deltas": ()},
            ),
            (spec.uses_de_genes, "DE lists; declare uses_de_genes", {"de_indices": other_lists}),
        ):
            if not is_declared:
                changed = _values(metric, replace(inputs, **other), spec, rules)
                rules.require(
                    np.array_equal(changed, values, equal_nan=True), f"it depends on {what}"
                )
        if not spec.uses_spread:
            # A perfect prediction with a wide spread is wrong about itself.
            _check_truth_wins(metric, inputs, spec, rules)
        for case in _hard_cases(inputs):
            _values(metric, case, spec, rules)


def _check_range(spec: MetricSpec, rules: Rules) -> None:
    lower = -np.inf if spec.lower is None else spec.lower
    upper = np.inf if spec.upper is None else spec.upper
    rules.require(lower < upper, f"its range [{spec.lower}, {spec.upper}] is empty")
    rules.require(
        spec.neutral is None or lower <= spec.neutral <= upper,
        f"its neutral value {spec.neutral} lies outside its range [{spec.lower}, {spec.upper}]",
    )


def _check_truth_wins(metric: Metric, inputs: MetricInputs, spec: MetricSpec, rules: Rules) -> None:
    best = _values(metric, replace(inputs, predicted=inputs.truth), spec, rules)
    rules.require(bool(np.isfinite(best).any()), "it is undefined for every perfect prediction")
    noise = np.random.default_rng(1).normal(size=inputs.truth.shape)
    rivals = {
        "a noisy prediction": inputs.predicted,
        "control": inputs.control,
        "the mean of the train perturbations": inputs.perturbed_mean,
        "noise": inputs.control + noise,
    }
    sign = 1.0 if spec.higher_is_better else -1.0
    for name, rival in rivals.items():
        values = _values(metric, replace(inputs, predicted=rival), spec, rules)
        both = np.isfinite(values) & np.isfinite(best)
        rules.require(
            bool((sign * best[both] >= sign * values[both] - TOLERANCE).all()),
            f"{name} scores better than the truth; check higher_is_better",
        )


def _hard_cases(inputs: MetricInputs) -> list[MetricInputs]:
    """Cases that may be undefined and must not raise."""
    constant = np.full_like(inputs.predicted, 2.0)
    return [
        replace(inputs, predicted=constant),
        replace(inputs, truth=constant),
        replace(inputs, predicted=inputs.control),
        replace(inputs, predicted=inputs.perturbed_mean),
        replace(inputs, truth=inputs.control),
        replace(inputs, de_indices=np.full_like(inputs.de_indices, -1)),
        replace(inputs, de_indices=_with_gaps(inputs)),
        inputs.take(np.arange(1)),
        replace(inputs, de_tests=None, cells=None, control_halves=None, spread=None),
        replace(inputs, spread=np.zeros_like(inputs.truth)),
    ]


def _with_gaps(inputs: MetricInputs) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    lists = inputs.de_indices.copy()
    lists[0, 3:] = -1
    lists[1] = -1
    return lists


def _values(metric: Metric, inputs: MetricInputs, spec: MetricSpec, rules: Rules) -> DoubleArray:
    kept = {
        item.name: value.copy()
        for item in fields(inputs)
        if isinstance(value := getattr(inputs, item.name), np.ndarray)
    }
    result = metric(inputs)
    for name, value in kept.items():
        rules.require(np.array_equal(getattr(inputs, name), value), f"it writes into {name}")
    n_conditions = len(inputs.conditions)
    rules.require(
        isinstance(result, MetricValues),
        f"it must return MetricValues, got {type(result).__name__}",
    )
    values = result.values
    rules.require(
        values.shape == (n_conditions,) and values.dtype == np.float64,
        f"it must return ({n_conditions},) float64 values, got {values.dtype} {values.shape}",
    )
    undefined = set(np.flatnonzero(np.isnan(values)).tolist())
    rules.require(
        undefined == set(result.reasons) and all(result.reasons.values()),
        "every undefined value needs a reason, and no other value may have one",
    )
    rules.require(
        not undefined or bool(spec.undefined), "it gives undefined values but declares none"
    )
    defined = values[~np.isnan(values)]
    rules.require(bool(np.isfinite(defined).all()), "it gives infinite values")
    lower = -np.inf if spec.lower is None else spec.lower - TOLERANCE
    upper = np.inf if spec.upper is None else spec.upper + TOLERANCE
    rules.require(
        bool(((defined >= lower) & (defined <= upper)).all()),
        f"it leaves its declared range [{spec.lower}, {spec.upper}]",
    )
    return values
