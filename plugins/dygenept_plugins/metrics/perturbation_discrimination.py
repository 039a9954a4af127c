"""How near the right perturbation ranks among all held-out ones, by L1 distance of deltas.

1 - rank / N, rank from 0 among the N held-out perturbations of the same cell type; the target
genes of the perturbation are left out of its distances. Best 1, worst 1 / N, and a tie shares the
middle rank (cell-eval leaves ties to the order of an unstable sort). One held-out perturbation in
a cell type has no rank: undefined, and left out of means.
Source: cell-eval, ``discrimination_score_l1``.
Loads scipy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.neighbours import manhattan, share_farther
from dygenept.plugin import Metric, MetricSpec, PluginConfig, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues
from dygenept.types.gene_sets import target_columns


def perturbation_discrimination(inputs: MetricInputs) -> MetricValues:
    """Return 1 - rank / N of the right perturbation, (n,).

    Example:
        One gene, true deltas 0, 1 and 3. From 0.9, the right one is the second of three.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [1.0], [0.0]], [[0.0], [1.0], [3.0]])
        >>> perturbation_discrimination(inputs).values.round(3)
        array([0.667, 1.   , 0.333])
    """
    columns = target_columns(inputs.conditions, inputs.gene_symbols)
    predicted = inputs.predicted - inputs.control
    truth = inputs.truth - inputs.control

    def distances(rows: npt.NDArray[np.intp]) -> DoubleArray:
        found = manhattan(predicted[rows], truth[rows])
        for place, row in enumerate(rows.tolist()):
            if columns[row]:
                genes = list(columns[row])
                difference = truth[np.ix_(rows, genes)] - predicted[row, genes]
                found[place] -= np.abs(difference).sum(axis=1)
        return found

    farther, others, reasons = share_farther(inputs.conditions, distances)
    return MetricValues(1.0 - (others - farther) / (others + 1.0), reasons)


def _build(config: PluginConfig) -> Metric:
    return perturbation_discrimination


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        MetricSpec(
            name="perturbation_discrimination",
            summary="Rank of the right perturbation among the held-out ones (PDS, L1).",
            source="cell-eval (Arc Institute), discrimination_score_l1; Wu et al. 2024",
            factory=_build,
            higher_is_better=True,
            lower=0.0,
            upper=1.0,
            undefined="it is the only held-out perturbation of its cell type; left out of means",
        )
    ]
