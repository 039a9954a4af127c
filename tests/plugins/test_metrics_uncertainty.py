"""Metrics of uncertainty against their definitions, and spreads against simulated truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, spearmanr

from dygenept.testing import small_metric_inputs, toy_metric_inputs
from dygenept_plugins.baselines import gp, ridge
from dygenept_plugins.metrics.uncertainty import (
    NO_SPREAD,
    coverage_90_error,
    crps,
    dygenept_metrics,
    spread_spearman,
)


def test_crps_is_the_integral_that_defines_it() -> None:
    mean, spread, truth = 0.3, 0.7, 1.1
    below = quad(lambda x: norm.cdf(x, mean, spread) ** 2, -10, truth)[0]
    above = quad(lambda x: (norm.cdf(x, mean, spread) - 1) ** 2, truth, 10)[0]
    inputs = small_metric_inputs([[mean]], [[truth]])
    values = crps(replace(inputs, spread=np.array([[spread]]))).values
    assert values[0] == pytest.approx(below + above, abs=1e-8)
    certain = crps(replace(inputs, spread=np.zeros((1, 1)))).values
    assert certain[0] == pytest.approx(0.8)


def test_spread_spearman_is_that_of_scipy_over_genes() -> None:
    inputs = toy_metric_inputs()
    assert inputs.spread is not None
    tied = replace(inputs, spread=inputs.spread.round(1))
    assert tied.spread is not None
    found = spread_spearman(tied).values
    for row, value in enumerate(found):
        error = np.abs(tied.truth[row] - tied.predicted[row])
        assert value == pytest.approx(spearmanr(error, tied.spread[row]).statistic)


def test_coverage_counts_genes_inside_their_intervals() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(3, 4000)) * np.array([[1.0], [0.5], [3.0]])
    inputs = replace(small_metric_inputs(0 * truth, truth), spread=np.ones_like(truth))
    right, wide, narrow = coverage_90_error(inputs).values
    assert right < 0.02
    assert wide == pytest.approx(0.1, abs=0.01)
    assert narrow == pytest.approx(0.9 - (2 * norm.cdf(1.6449 / 3) - 1), abs=0.02)


def test_without_a_spread_or_with_one_that_is_alike_they_are_undefined() -> None:
    inputs = toy_metric_inputs()
    for spec in dygenept_metrics():
        result = spec.factory(spec.config())(replace(inputs, spread=None))
        assert np.isnan(result.values).all()
        assert set(result.reasons.values()) == {NO_SPREAD}
    alike = spread_spearman(replace(inputs, spread=np.ones_like(inputs.truth)))
    assert set(alike.reasons.values()) == {"constant spread"}


@pytest.mark.parametrize("name", ["ridge", "gp"])
def test_spreads_of_kernel_baselines_are_calibrated_where_their_model_is_true(name: str) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(20):
        x = rng.normal(size=(60, 3))
        scale = rng.uniform(0.5, 2.0, size=40)
        if name == "ridge":
            deltas = x @ rng.normal(size=(3, 40)) * scale
            choice = {"alpha": 40 / (60 * 3)}
        else:
            distances = gp.squared_distances(x, x)
            root = np.linalg.cholesky(np.exp(-distances / 4) + 1e-9 * np.eye(60))
            deltas = (root @ rng.normal(size=(60, 40))) * scale
            median = np.median(distances[:40, :40][np.triu_indices(40, k=1)])
            choice = {"length_scale": float(np.sqrt(2 / median)), "noise": 0.25}
        deltas = deltas + 0.5 * scale * rng.normal(size=deltas.shape)
        solver = (ridge.RidgeSolver if name == "ridge" else gp.GpSolver)(x[:40])
        solver.fit(deltas[:40])
        factor = np.mean(
            np.square(solver.left_out(choice)) / solver.left_out_variance(choice)[:, None], axis=0
        )
        spread = np.sqrt(np.outer(solver.relative_variance(x[40:], choice), factor))
        error = np.abs(deltas[40:] - solver.predict(x[40:], choice))
        covered.append((error <= 1.645 * spread).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)
