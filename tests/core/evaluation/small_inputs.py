"""Inputs of metrics whose every array says which row it is, and specs of metrics for tests."""

from __future__ import annotations

import numpy as np
from core.evaluation.small_cells import A

from dygenept.plugin.specs import MetricSpec
from dygenept.types import Condition, DeTests, MetricInputs


def spec_of(name: str, **values: object) -> MetricSpec:
    return MetricSpec(
        name=name,
        summary="",
        source="test",
        higher_is_better=True,
        factory=lambda config: None,  # type: ignore[arg-type,return-value]
        **values,  # type: ignore[arg-type]
    )


def inputs_of(n_conditions: int, *, whole: bool = True) -> MetricInputs:
    """Inputs whose every array says which row it is."""
    rows = np.arange(n_conditions, dtype=np.float64)[:, None]
    halves = np.stack((rows * 3, rows * 5)) + np.zeros((2, n_conditions, 2))
    conditions = tuple(Condition(A, str(row)) for row in range(n_conditions))
    return MetricInputs(
        conditions=conditions,
        predicted=np.repeat(rows, 2, axis=1),
        truth=np.repeat(rows * 7, 2, axis=1),
        control=np.repeat(rows * 11, 2, axis=1),
        perturbed_mean=np.repeat(rows * 13, 2, axis=1),
        de_indices=np.arange(n_conditions * 20, dtype=np.int32).reshape(-1, 20),
        gene_symbols=("G0", "G1"),
        de_tests=DeTests(np.ones((n_conditions, 2), np.bool_), np.repeat(rows * 17, 2, axis=1))
        if whole
        else None,
        control_halves=halves if whole else None,
        spread=np.repeat(rows * 23, 2, axis=1) if whole else None,
        single_deltas=tuple(np.full((2, 2), 19.0 * row) for row in range(n_conditions)),
    )
