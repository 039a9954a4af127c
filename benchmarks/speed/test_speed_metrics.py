"""All metrics over all conditions at once, beside a loop with scipy a condition."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

from dygenept.evaluation.scoring import score
from dygenept.plugin_manager import PluginManager
from dygenept.registry import load_registry
from dygenept.specs import MetricSpec
from dygenept.types import DeGenes, MetricInputs, PerturbationData, Pseudobulk

pytestmark = pytest.mark.benchmark(group="metrics")


@pytest.fixture(scope="module")
def inputs(data: PerturbationData, means: Pseudobulk, de: DeGenes) -> MetricInputs:
    rng = np.random.default_rng(0)
    types = [data.cell_types.index(condition.cell_type) for condition in data.conditions]
    return MetricInputs(
        conditions=data.conditions,
        predicted=means.means + rng.normal(0, 0.05, means.means.shape),
        truth=means.means,
        control=means.control_means[types],
        perturbed_mean=np.broadcast_to(means.means.mean(axis=0), means.means.shape),
        de_indices=de.indices,
        gene_symbols=data.gene_symbols,
    )


def test_every_metric(benchmark: BenchmarkFixture, inputs: MetricInputs) -> None:
    manager = PluginManager.load(load_registry().plugins, entry_points=False)
    metrics = [(spec, spec.factory(manager.configure(spec))) for spec in manager.specs(MetricSpec)]
    scores = benchmark(lambda: score(metrics, inputs))
    assert len(scores) == len(metrics) * len(inputs.conditions)


def test_peer_scipy_pearson_a_condition(benchmark: BenchmarkFixture, inputs: MetricInputs) -> None:
    def loop() -> list[float]:
        values = []
        for row in range(len(inputs.conditions)):
            truth = inputs.truth[row] - inputs.control[row]
            predicted = inputs.predicted[row] - inputs.control[row]
            top = inputs.de_indices[row][inputs.de_indices[row] >= 0]
            values.append(stats.pearsonr(predicted, truth).statistic)
            values.append(stats.pearsonr(predicted[top], truth[top]).statistic)
            values.append(float(np.mean((inputs.predicted[row] - inputs.truth[row]) ** 2)))
        return values

    assert np.isfinite(benchmark(loop)).all()
