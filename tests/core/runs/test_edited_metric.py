from __future__ import annotations

from pathlib import Path

import pytest

import dygenept as dg
from dygenept.runs import jobs
from dygenept.testing import write_toy_h5ad

METRIC = '''
"""Metric ``always``: the same value for every condition. Source: this project."""

import numpy as np

from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import MetricValues

VALUE = {value}


def build(config):
    return lambda inputs: MetricValues(np.full(len(inputs.conditions), VALUE))


@hookimpl
def dygenept_metrics():
    return [
        MetricSpec(
            name="always",
            summary="The same value.",
            source="this project",
            factory=build,
            higher_is_better=True,
        )
    ]
'''


def scores(folder: Path, value: float) -> set[float]:
    """Write the metric with a value, bench with it and return what it scored."""
    plugin = folder / "always.py"
    plugin.write_text(METRIC.format(value=value))
    result = dg.bench(
        folder / "toy.h5ad",
        "perturbed_mean",
        folds=2,
        metrics=["always"],
        results=folder / "results",
        environment=dg.Environment.load(plugin_files=[plugin]),
        progress=False,
    )
    assert not result.failures
    return set(result.per_perturbation()["value"])


def test_an_edited_metric_scores_recorded_jobs_again_and_an_unedited_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toy_h5ad(tmp_path / "toy.h5ad")
    n_rescored: list[int] = []
    rescored = jobs.rescored

    def counted(*given: object) -> object:
        n_rescored.append(1)
        return rescored(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "rescored", counted)
    assert scores(tmp_path, 1.0) == {1.0}
    assert scores(tmp_path, 1.0) == {1.0}
    assert not n_rescored
    assert scores(tmp_path, 2.0) == {2.0}
    assert len(n_rescored) == 2
    assert scores(tmp_path, 2.0) == {2.0}
    assert len(n_rescored) == 2
