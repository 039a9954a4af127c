"""Metric inputs small enough to work out by hand, for examples and tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dygenept.types import Condition, MetricInputs, Perturbation

N_DE_GENES = 20


def small_metric_inputs(
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    control: npt.ArrayLike = 0.0,
    perturbed_mean: npt.ArrayLike = 0.0,
    de_genes: Sequence[int] | None = None,
) -> MetricInputs:
    """Make metric inputs of a few numbers, all in one cell type.

    Args:
        predicted: Predicted mean expression, (n, G).
        truth: True mean expression, (n, G).
        control: Mean expression of control, (G,), or one number for all genes.
        perturbed_mean: Mean of the train perturbations, (G,), or one number for all genes.
        de_genes: Positions of the DE genes of every condition; None takes the first 20 genes.
    """
    expected = np.asarray(truth, dtype=np.float64)
    n_conditions, n_genes = expected.shape
    listed = list(range(n_genes) if de_genes is None else de_genes)[:N_DE_GENES]
    de_indices = np.full((n_conditions, N_DE_GENES), -1, dtype=np.int32)
    de_indices[:, : len(listed)] = listed

    def for_each(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), expected.shape)

    return MetricInputs(
        conditions=tuple(
            Condition(Perturbation(f"P{row}+ctrl", (f"P{row}",)), "cells")
            for row in range(n_conditions)
        ),
        predicted=np.asarray(predicted, dtype=np.float64),
        truth=expected,
        control=for_each(control),
        perturbed_mean=for_each(perturbed_mean),
        de_indices=de_indices,
        gene_symbols=tuple(f"G{column}" for column in range(n_genes)),
    )
