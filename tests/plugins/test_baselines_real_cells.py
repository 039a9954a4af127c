"""Closed-form baselines on real cells against a recomputation that shares no code with ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.model_selection import KFold

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.splits import make_split
from dygenept.data.task import Access, build_task
from dygenept.evaluation.aggregates import Aggregate, aggregate
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.mean_intervals import mean_intervals
from dygenept.evaluation.reference import train_means
from dygenept.evaluation.scoring import GroundTruth, metric_inputs, score
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import BaselineSpec, MetricSpec, SplitSpec
from dygenept.types import Runtime

BASELINES = ("control_mean", "perturbed_mean", "matching_mean", "additive")
CONTROLS = ("shuffled", "technical_duplicate", "truth")
METRICS = (
    "mse",
    "mae_top20",
    "mse_top20",
    "pearson_top20",
    "pearson_delta_top20",
    "pearson_delta",
    "direction_accuracy_top20",
)
METRIC_MODULES = ("errors", "pearson", "direction_accuracy_top20")

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def ours(norman_subset: Path) -> dict[tuple[str, str], Aggregate]:
    """Aggregates of the harness by (model, metric), kfold 5, seed 42."""
    manager = PluginManager.load(
        [
            "dygenept_plugins.splits.kfold",
            *(f"dygenept_plugins.baselines.{name}" for name in ("means", "ceilings")),
            *(f"dygenept_plugins.metrics.{name}" for name in METRIC_MODULES),
        ],
        entry_points=False,
    )
    data = read_anndata(norman_subset)
    bulk = pseudobulk(data)
    de = de_genes(data, bulk)
    split_spec = manager.get(SplitSpec, "kfold")
    splitter = split_spec.factory(split_spec.config())
    split = make_split(split_spec, splitter, data, n_folds=5, seed=42)
    specs = [manager.get(MetricSpec, name) for name in METRICS]
    metrics = [(spec, spec.factory(spec.config())) for spec in specs]
    totals = {}
    for spec in manager.specs(BaselineSpec):
        folds: dict[str, list[list[float | None]]] = {name: [] for name in METRICS}
        for number, fold in enumerate(split.folds):
            task, held_out = build_task(
                data,
                bulk,
                de,
                fold,
                access=Access(truth=spec.role != "baseline"),
                runtime=Runtime(seed=number),
            )
            model = spec.factory(spec.config())
            model.fit(task)
            predictions = model.predict(held_out)
            against = GroundTruth(data=data, pseudobulk=bulk, de=de)
            inputs = metric_inputs(predictions, against, train_means=train_means(task))
            scores = score(metrics, inputs)
            for name in METRICS:
                folds[name].append([item.value for item in scores if item.metric == name])
        for metric_spec, _ in metrics:
            per_fold, neutral = folds[metric_spec.name], metric_spec.neutral
            flat = [neutral if value is None else value for of in per_fold for value in of]
            found = mean_intervals(np.array([flat]).T, Clusters.independent(len(flat)))
            interval = (float(found.low[0]), float(found.high[0]))
            totals[spec.name, metric_spec.name] = aggregate(
                per_fold, neutral=neutral, interval=interval
            )
    return totals


@pytest.fixture(scope="module")
def recomputed(norman_subset: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """(mean over folds, pooled) by (model, metric), from METRICS' formulas and plain loops."""
    file = anndata.read_h5ad(norman_subset)
    cells = np.asarray(file.X.todense(), dtype=np.float64)
    raw = file.obs["condition"].astype(str).to_numpy()
    sets: dict[str, frozenset[str]] = {}
    for label in sorted(set(raw) - {"ctrl"}):
        genes = frozenset(label.split("+")) - {"ctrl"}
        if genes not in sets.values():
            sets[label] = genes
    of_cell = [frozenset(label.split("+")) - {"ctrl"} for label in raw]
    y = {
        label: cells[[genes == wanted for genes in of_cell]].mean(axis=0)
        for label, wanted in sets.items()
    }
    c = cells[raw == "ctrl"].mean(axis=0)
    columns = {gene: column for column, gene in enumerate(file.var_names)}
    names = dict(zip(raw, file.obs["condition_name"].astype(str), strict=True))
    lists = file.uns["top_non_dropout_de_20"]
    top = {label: [columns[gene] for gene in lists[names[label]]] for label in sets}

    values: dict[tuple[str, str], list[list[float]]] = {}
    labels = np.array(sorted(sets))
    for known, test in KFold(5, shuffle=True, random_state=42).split(labels):
        train = [str(label) for label in labels[known]]
        fold: dict[tuple[str, str], list[float]] = {}
        for label in labels[test]:
            for model in BASELINES:
                predicted = predict(model, sets[label], train, sets, y, c)
                scored = scores_of(predicted, y[label], c, top[label])
                for metric, value in scored.items():
                    fold.setdefault((model, metric), []).append(value)
        for key, found in fold.items():
            values.setdefault(key, []).append(found)
    return {
        key: (
            float(np.mean([np.mean(fold) for fold in folds])),
            float(np.mean([value for fold in folds for value in fold])),
        )
        for key, folds in values.items()
    }


def predict(
    model: str,
    targets: frozenset[str],
    train: list[str],
    sets: Mapping[str, frozenset[str]],
    y: Mapping[str, np.ndarray],
    c: np.ndarray,
) -> np.ndarray:
    mean = np.mean([y[label] for label in train], axis=0)
    if model == "control_mean":
        return c
    if model == "perturbed_mean":
        return mean
    if model == "matching_mean":
        found = []
        for gene in targets:
            matching = [y[label] for label in train if gene in sets[label]]
            if matching:
                found.append(np.mean(matching, axis=0))
        return np.mean(found, axis=0) if found else mean
    predicted = c.copy()
    for gene in targets:
        single = [label for label in train if sets[label] == {gene}]
        predicted = predicted + (y[single[0]] if single else mean) - c
    return predicted


def scores_of(
    predicted: np.ndarray, y: np.ndarray, c: np.ndarray, top: list[int]
) -> dict[str, float]:
    def r(left: np.ndarray, right: np.ndarray) -> float:
        if np.ptp(left) < 1e-9 or np.ptp(right) < 1e-9:
            return 0.0
        return float(pearsonr(left, right).statistic)

    error, delta_predicted, delta = predicted - y, predicted - c, y - c
    return {
        "mse": float(np.mean(error**2)),
        "mae_top20": float(np.mean(np.abs(delta_predicted[top] - delta[top]))),
        "mse_top20": float(np.mean(error[top] ** 2)),
        "pearson_top20": r(predicted[top], y[top]),
        "pearson_delta_top20": r(delta_predicted[top], delta[top]),
        "pearson_delta": r(delta_predicted, delta),
        "direction_accuracy_top20": float(np.mean(delta_predicted[top] * delta[top] > 0)),
    }


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("model", BASELINES)
def test_baselines_agree_with_an_independent_recomputation(
    model: str,
    metric: str,
    ours: dict[tuple[str, str], Aggregate],
    recomputed: dict[tuple[str, str], tuple[float, float]],
) -> None:
    total = ours[model, metric]
    assert (total.mean, total.pooled) == pytest.approx(recomputed[model, metric], abs=1e-6)
    assert (total.n_folds, total.n_perturbations) == (5, 33)


@pytest.mark.parametrize(("model", "expected"), [("perturbed_mean", 0.38), ("matching_mean", 0.68)])
def test_the_known_pooled_correlations_come_out(
    model: str, expected: float, ours: dict[tuple[str, str], Aggregate]
) -> None:
    assert ours[model, "pearson_delta_top20"].pooled == pytest.approx(expected, abs=0.01)


def test_predicting_no_change_has_no_correlation_and_counts_as_zero(
    ours: dict[tuple[str, str], Aggregate],
) -> None:
    for metric in ("pearson_delta_top20", "pearson_delta"):
        total = ours["control_mean", metric]
        assert (total.pooled, total.n_undefined) == (0.0, 33)


@pytest.mark.parametrize("metric", METRICS)
def test_the_truth_wins_and_the_shuffled_truth_does_not_beat_the_mean(
    metric: str, ours: dict[tuple[str, str], Aggregate]
) -> None:
    is_error = metric.startswith(("mse", "mae"))
    sign = -1.0 if is_error else 1.0
    pooled = {
        model: sign * (ours[model, metric].pooled or 0.0) for model in (*BASELINES, *CONTROLS)
    }
    assert pooled["truth"] == pytest.approx(0.0 if is_error else 1.0, abs=1e-9)
    assert all(pooled["truth"] >= value for value in pooled.values())
    interval = ours["perturbed_mean", metric]
    best = interval.ci_low if is_error else interval.ci_high
    assert best is not None
    assert pooled["shuffled"] <= sign * best


def test_half_of_the_cells_predict_the_other_half_better_than_any_baseline(
    ours: dict[tuple[str, str], Aggregate],
) -> None:
    ceiling = ours["technical_duplicate", "pearson_delta_top20"].pooled
    assert ceiling is not None
    assert all((ours[model, "pearson_delta_top20"].pooled or 0.0) < ceiling for model in BASELINES)
