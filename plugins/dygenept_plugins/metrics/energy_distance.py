"""Energy distance between predicted and real cells.

2E|X-Y| - E|X-X'| - E|Y-Y'| with Euclidean distances over all genes, each expectation over all
pairs (a cell with itself too, so it is never negative). Predicted cells X are sampled control
cells plus the predicted delta, not cut at zero; Y are sampled cells of the perturbation. Where a
control sets a truth of its own (the technical duplicate), Y is moved to have that mean. Where
controls are matched by batch, the cells of X and Y are without batch effects, as means are. Without
samples of cells it is undefined, and left out of means.
Source: Székely and Rizzo 2013; scPerturb (Peidli et al. 2024); cell-eval and scipy take the same
pairs.
Loads nothing.
"""

from __future__ import annotations

import numpy as np

from dygenept.evaluation.rows import none_defined
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NO_CELLS = "no cell-level prediction"


def energy_distance(inputs: MetricInputs) -> MetricValues:
    """Return the energy distance of predicted and real cells, (n,).

    Example:
        Control cells 0 and 2 with a predicted delta of 2 are 2 and 4; real cells are 4 and 6:
        2 · (2 + 4 + 0 + 2) / 4 - 1 - 1.

        >>> from dataclasses import replace
        >>> from scipy.sparse import csr_matrix
        >>> from dygenept.evaluation.cell_samples import samples_of
        >>> from dygenept.testing import small_metric_inputs
        >>> plain = small_metric_inputs(predicted=[[3.0]], truth=[[5.0]], control=1.0)
        >>> cells = samples_of(
        ...     csr_matrix([[0.0], [2.0], [4.0], [6.0]]),
        ...     control_rows=(np.array([0, 1]),),
        ...     real_rows=(np.array([2, 3]),),
        ...     means=plain.truth,
        ... )
        >>> energy_distance(replace(plain, cells=cells)).values
        array([2.])
    """
    n_conditions = len(inputs.conditions)
    if inputs.cells is None:
        return none_defined(inputs, NO_CELLS)
    values = np.empty(n_conditions)
    for row in range(n_conditions):
        # Moving all predicted cells leaves distances within them as they are, and changes those
        # to real cells only by terms in the projections on the delta.
        moved = inputs.predicted[row] - inputs.control[row]
        moved = moved - (inputs.truth[row] - inputs.cells.mean(row))
        fixed = inputs.cells.distances(row)
        of_control, of_real = inputs.cells.project(row, moved)
        squared = fixed.squared + 2.0 * (of_control[:, None] - of_real) + moved @ moved
        between = float(np.sqrt(np.maximum(squared, 0.0)).mean())
        values[row] = 2.0 * between - fixed.within_control - fixed.within_real
    # Zero up to rounding where both samples are the same cells.
    return MetricValues(np.maximum(values, 0.0))


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        metric_spec(
            energy_distance,
            formula="2E‖X − Y‖ − E‖X − X′‖ − E‖Y − Y′‖, X control cells + Δ̂, Y real cells",
            misleads=(
                "The spread of X is that of control cells, so truth does not reach 0; at most 100 "
                "cells are read. Matched by batch, cells still keep the spread of their batch."
            ),
            use="To see the mean's error against the spread of cells.",
            summary="Energy distance of control cells plus predicted delta to real cells.",
            source="Székely and Rizzo 2013; Peidli et al. 2024 (scPerturb)",
            higher_is_better=False,
            lower=0.0,
            undefined="no cells were sampled; left out of means",
            uses_cells=True,
        )
    ]
