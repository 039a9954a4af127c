"""What must not change a score: the number of folds, the way a run is made, scoring it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import dygenept as dg
from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation.held_out import HeldOutPool
from dygenept.testing import ToyShape, toy_data
from dygenept.types import Condition, Fold, PerturbationData, Predictions, Task

RANKS = ["centroid_accuracy", "perturbation_discrimination"]
BASELINES = ["control_mean", "perturbed_mean", "linear", "additive", "random_train", "knn"]


class Told:
    """Predicts a condition the same way in every fold: control and noise of its own."""

    def fit(self, task: Task) -> None:
        self.control = {name: task.control_mean(name) for name in task.cell_types}

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        rows = []
        for condition in conditions:
            seed = list(f"{condition.label} {condition.cell_type}".encode())
            control = self.control[condition.cell_type]
            rows.append(control + np.random.default_rng(seed).normal(0, 0.3, len(control)))
        return Predictions(tuple(conditions), np.array(rows))


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data(ToyShape(n_cell_types=2))


def scores(found: dg.BenchResult) -> pl.DataFrame:
    keys = ["model", "metric", "perturbation", "cell_type"]
    return found.per_perturbation().sort(keys).select([*keys, "value"])


def test_ranks_depend_neither_on_the_folds_nor_on_the_way_of_the_run(
    data: PerturbationData, tmp_path: Path
) -> None:
    def run(folds: int, **given: object) -> dg.BenchResult:
        models = {"told": Told()}
        return dg.bench(data, models, folds=folds, metrics=RANKS, progress=False, **given)  # type: ignore[arg-type]

    kept = run(2, results=tmp_path)
    four = run(4)
    assert scores(kept).equals(scores(four))
    assert scores(run(2, results=tmp_path)).equals(scores(four))
    rows = {row["metric"]: row for row in four.leaderboard().to_dicts()}
    # Each cell type's perturbations are ranked among themselves.
    sizes = {
        kind: sum(item.cell_type == kind for item in data.conditions) for kind in data.cell_types
    }
    levels = [(sizes[item.cell_type] + 1) / 2 / sizes[item.cell_type] for item in data.conditions]
    assert rows["perturbation_discrimination"]["chance"] == pytest.approx(np.mean(levels))
    assert rows["centroid_accuracy"]["chance"] == 0.5


def test_a_control_with_halves_is_ranked_among_halves(data: PerturbationData) -> None:
    means = pseudobulk(data)
    labels = [item.label for item in data.perturbations]
    folds = [Fold(tuple(labels[4:]), (), tuple(labels[:4])), Fold((), (), tuple(labels[2:]))]
    pool = HeldOutPool(data, means, folds, seed=1)
    assert pool.conditions == tuple(sorted(data.conditions))
    first = data.conditions[:3]
    own = np.full((3, data.n_genes), 7.0)
    own[2] = np.nan
    plain = pool.candidates(Predictions(first, own))
    rows = [data.conditions.index(item) for item in plain.conditions]
    np.testing.assert_array_equal(plain.truth, means.means[rows])
    halves = pool.candidates(Predictions(first, own, own))
    assert set(halves.conditions) == set(data.conditions) - {first[2]}
    place = halves.conditions.index(first[0])
    np.testing.assert_array_equal(halves.truth[place], own[0])
    # Half of a condition's cells has neither its mean nor another one's.
    other = halves.conditions.index(data.conditions[5])
    distance = np.abs(halves.truth[other] - means.means).sum(axis=1)
    assert distance.argmin() == 5
    assert distance.min() > 0


@pytest.mark.parametrize("seed", [42, 7])
def test_kept_predictions_scored_again_give_the_same_bits(
    data: PerturbationData, tmp_path: Path, seed: int
) -> None:
    def run(**given: object) -> dg.BenchResult:
        models = [*BASELINES, Told()]
        return dg.bench(data, models, folds=2, seed=seed, progress=False, **given)  # type: ignore[arg-type]

    every = run()
    run(results=tmp_path, metrics=["mse"])
    again = run(results=tmp_path)
    assert len({row["metric"] for row in scores(again).to_dicts()}) > 10
    assert scores(again).equals(scores(every))
