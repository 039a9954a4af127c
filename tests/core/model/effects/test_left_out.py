"""Exact left-out predictions, against fitting again without each perturbation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.model.effects.left_out import (
    Measured,
    gene_errors,
    left_out_changes,
    left_out_operator,
    scale_of,
)
from dygenept.model.effects.recipe import INFINITE, solved_of


def measured(n: int = 9, n_genes: int = 5, *, repeats: int = 1) -> tuple[Measured, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = (rng.random((n, n_genes)) < 0.7).astype(np.float32)
    values = (rng.random((n, n_genes)) * weights).astype(np.float32)
    groups = (np.arange(n) // repeats).astype(np.int32)
    rows = rng.normal(size=(n, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kernel = ((rows @ rows.T + 1) / 2).astype(np.float32)
    to = np.full(n_genes, 0.4, dtype=np.float32)
    return Measured("values", values, values, weights, groups, 2.0, to), kernel


@pytest.mark.parametrize("penalty", [INFINITE, 1.0])
@pytest.mark.parametrize("repeats", [1, 3])
def test_each_left_out_prediction_is_that_of_a_fit_without_the_perturbation(
    penalty: float, repeats: int
) -> None:
    data, kernel = measured(repeats=repeats)
    solved = None if np.isinf(penalty) else solved_of(kernel)
    operator = left_out_operator(kernel, data.groups, solved, penalty)
    found = left_out_changes(operator, data)
    # The penalty is in units of the mean eigenvalue of all conditions.
    unit = 0.0 if solved is None else penalty * float(solved[0].mean())
    for group in np.unique(data.groups):
        own = data.groups == group
        others = ~own
        kept = replace(
            data,
            truth=data.truth[others],
            values=data.values[others],
            weights=data.weights[others],
            groups=data.groups[others],
        )
        across, within = kernel[np.ix_(own, others)], kernel[np.ix_(others, others)]
        if np.isinf(penalty):
            expected = across @ kept.residuals
        else:
            expected = across @ np.linalg.solve(within + unit * np.eye(len(within)), kept.residuals)
        np.testing.assert_allclose(found[own], expected, atol=1e-4)


def test_errors_of_labels_are_one_less_the_area_per_gene_with_five_pairs() -> None:
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0]], dtype=np.float32)
    weights = np.ones_like(labels)
    weights[4, 1] = 0.0
    data = Measured(
        "labels",
        labels,
        labels,
        weights,
        np.arange(5, dtype=np.int32),
        2.0,
        np.zeros(2, np.float32),
    )
    changes = np.array([[0.9], [0.1], [0.5], [0.6], [0.7]], dtype=np.float32).repeat(2, axis=1)
    # Of six pairs of a 1 and a 0 one is the wrong way round; the other gene has four pairs.
    errors = gene_errors(changes, data)
    assert errors[0] == pytest.approx(1 / 6)
    assert np.isnan(errors[1])


def test_the_scale_brings_changes_nearest_to_the_measured_ones() -> None:
    data, _ = measured()
    left = data.weights * (data.values - data.means_without())
    assert scale_of((left / 4).astype(np.float32), data) == pytest.approx(4.0, rel=1e-5)
    assert scale_of(-left, data) == 0.0
