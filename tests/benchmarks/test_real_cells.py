"""The main job on real cells, recomputed here by plain loops."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
from sklearn.model_selection import KFold

from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench

pytestmark = pytest.mark.shared_data
BASELINES = ("control_mean", "perturbed_mean", "matching_mean", "additive")


def genes_of(label: str) -> frozenset[str]:
    return frozenset(label.split("+")) - {"ctrl"}


def recomputed(path: Path) -> dict[str, float]:
    """Pooled pearson_delta_top20 of the four baselines, from METRICS.md's words."""
    adata = anndata.read_h5ad(path)
    labels = adata.obs["condition"].astype(str).to_numpy()
    expression = adata.X.toarray().astype(np.float64)
    control = expression[labels == "ctrl"].mean(axis=0)
    names = sorted(set(labels) - {"ctrl"})
    truth = {name: expression[labels == name].mean(axis=0) for name in names}
    position = {gene: i for i, gene in enumerate(adata.var_names)}
    top = {
        name: [
            position[gene]
            for gene in adata.uns["top_non_dropout_de_20"][
                adata.obs["condition_name"][labels == name].iloc[0]
            ]
        ]
        for name in names
    }
    values: dict[str, list[float]] = {name: [] for name in BASELINES}
    for train_rows, test_rows in KFold(5, shuffle=True, random_state=42).split(names):
        train = [names[i] for i in train_rows]
        mean = np.mean([truth[name] for name in train], axis=0)
        for name in (names[i] for i in test_rows):
            matches = [
                np.mean([truth[other] for other in train if gene in genes_of(other)], axis=0)
                for gene in sorted(genes_of(name))
                if any(gene in genes_of(other) for other in train)
            ]
            singles = {next(iter(genes_of(o))): o for o in train if len(genes_of(o)) == 1}
            shifts = [
                (truth[singles[gene]] if gene in singles else mean) - control
                for gene in sorted(genes_of(name))
            ]
            predictions = {
                "control_mean": control,
                "perturbed_mean": mean,
                "matching_mean": np.mean(matches, axis=0) if matches else mean,
                "additive": control + np.sum(shifts, axis=0),
            }
            for model, predicted in predictions.items():
                delta = (predicted - control)[top[name]]
                if np.ptp(delta) == 0:
                    values[model].append(0.0)
                else:
                    actual = (truth[name] - control)[top[name]]
                    values[model].append(float(np.corrcoef(delta, actual)[0, 1]))
    return {model: float(np.mean(of)) for model, of in values.items()}


def test_pooled_values_agree_with_an_independent_recomputation(
    norman_subset: Path, tmp_path: Path
) -> None:
    outcome = run_bench(
        BenchRequest(
            dataset=str(norman_subset),
            models=BASELINES,
            results=tmp_path / "results",
        ),
        Environment.load(data_dir=tmp_path, cache_dir=tmp_path),
    )
    rows = {
        row.model: row
        for row in leaderboard_rows(outcome.records)
        if row.metric == "pearson_delta_top20"
    }
    for model, value in recomputed(norman_subset).items():
        assert rows[model].total.pooled == pytest.approx(value, abs=1e-6), model
        assert rows[model].total.n_perturbations == 33
    assert rows["control_mean"].total.n_undefined == 33
