"""A model's spread from the model to the board, and what is said of one that has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import dygenept as dg
from dygenept.testing import ToyShape, toy_data
from dygenept.types import Condition, DoubleArray, Predictions, Task

METRICS = ["crps", "coverage_90_error", "spread_spearman"]


class Unsure:
    """Predicts control, and says how far off it is."""

    def __init__(self, spread: object) -> None:
        self.given = spread

    def fit(self, task: Task) -> None:
        self.control = {name: task.control_mean(name) for name in task.cell_types}

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        rows = [self.control[condition.cell_type] for condition in conditions]
        return Predictions(tuple(conditions), np.array(rows))

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray:
        if isinstance(self.given, float):
            return np.full_like(self.predict(conditions).expression, self.given)
        return np.array([self.given])


def test_a_spread_is_scored_and_scored_again_from_what_is_kept(tmp_path: Path) -> None:
    data = toy_data(ToyShape())
    names = ["ridge", "gp", "linear_loo", "perturbed_mean"]

    def run(metrics: list[str]) -> dict[tuple[str, str], float | None]:
        found = dg.bench(
            data, names, folds=2, metrics=metrics, results=tmp_path, progress=False
        ).leaderboard()
        return {(row["model"], row["metric"]): row["pooled"] for row in found.to_dicts()}

    run(["mse"])
    first = run(METRICS)
    assert all(first[name, metric] is not None for name in names[:3] for metric in METRICS)
    assert all(first["perturbed_mean", metric] is None for metric in METRICS)
    # The kept spread serves a metric that joins later; the same figures come of it.
    assert len(list((tmp_path / "predictions").glob("*.spread.parquet"))) == 6
    again = run([*METRICS, "mae_top20"])
    assert {key: again[key] for key in first} == first


@pytest.mark.parametrize("wrong", [np.ones(3), -1.0, float("nan")])
def test_what_is_no_standard_deviation_is_refused(wrong: object) -> None:
    found = dg.bench(
        toy_data(ToyShape()),
        {"unsure": Unsure(wrong)},
        folds=2,
        metrics=["crps"],
        progress=False,
    )
    assert len(found.failures) == 2
    assert "finite standard deviation of at least 0" in str(found.failures)
