"""Attacks are what they are called, and an audit writes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dygenept.leaderboard.metric_audit import CONSTANTS, DOUBLED, EPSILON, SCALED
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.runs.attacks import attacks
from dygenept.runs.audit import audit_metrics
from dygenept.runs.run_context import RunRequest
from dygenept.testing import toy_data, toy_task, write_toy_h5ad
from dygenept.types import no_report


def test_each_attack_is_made_of_the_truth_or_of_a_models_predictions(tmp_path: Path) -> None:
    environment = Environment.load(data_dir=tmp_path, cache_dir=tmp_path)
    truth, base = (resolve_model(name, environment) for name in ("truth", "additive"))
    task, held_out = toy_task(toy_data(), held_out=True)
    found = {}
    for model in (truth, base, resolve_model("perturbed_mean", environment), *attacks(truth, base)):
        built = model.build()
        built.fit(task)
        found[model.name] = built.predict(held_out).expression
    y, mean, additive = found["truth"], found["perturbed_mean"], found["additive"]
    control = np.stack([task.control_mean(of.cell_type) for of in held_out])
    assert np.allclose(found[EPSILON], mean + 0.001 * (y - mean))
    assert np.allclose(found[DOUBLED], control + 2 * (y - control))
    for name, factor in SCALED.items():
        assert np.allclose(found[name], control + factor * (additive - control))
    assert [np.ptp(found[name], axis=1).max() for name in CONSTANTS] == [0.0, 0.0]
    assert {model.role for model in attacks(truth, base)} == {"ceiling", "baseline"}


def test_an_audit_has_every_metric_and_writes_nothing(tmp_path: Path) -> None:
    environment = Environment.load(data_dir=tmp_path, cache_dir=tmp_path)
    request = RunRequest(
        dataset=str(write_toy_h5ad(tmp_path / "toy.h5ad")),
        n_folds=2,
        metrics=("mse", "pearson_delta_perturbed_ref"),
        results=tmp_path / "results",
    )
    found = audit_metrics(request, environment, no_report, models=("additive", "knn"))
    rows = {row.metric: row for row in found.rows}
    assert list(rows) == ["mse", "pearson_delta_perturbed_ref"]
    assert rows["mse"].base_model in ("additive", "knn")
    assert "blind to size" in rows["pearson_delta_perturbed_ref"].weaknesses
    assert "blind to size" not in rows["mse"].weaknesses
    assert not (tmp_path / "results").exists()
