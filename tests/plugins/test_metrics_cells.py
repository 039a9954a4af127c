"""mmd, wasserstein, des_cells, de_recall_cells, de_auprc_cells, de_sign_match_cells and
de_spearman_lfc_cells in a run; what cell-eval, scipy and scikit-learn give is in ``peers.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import dygenept as dg
from dygenept.errors import PluginError
from dygenept.evaluation.predicted_cells import checked_cells
from dygenept.testing import toy_data
from dygenept.types import Condition, PerturbationData, Predictions, Task
from dygenept_plugins.metrics.cells import NO_CELLS

NAMES = [
    *("mmd", "wasserstein", "des_cells", "de_recall_cells", "de_auprc_cells"),
    *("de_sign_match_cells", "de_spearman_lfc_cells"),
]


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data()


class Real:
    """Predicts the cells of each condition themselves."""

    def __init__(self, data: PerturbationData) -> None:
        self.data = data

    def fit(self, task: Task) -> None:
        self.n_genes = len(task.gene_ids)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        cells = self.predict_cells(conditions, n_cells=1000)
        return Predictions(tuple(conditions), np.array([item.mean(axis=0) for item in cells]))

    def predict_cells(self, conditions: Sequence[Condition], *, n_cells: int) -> list[np.ndarray]:
        codes = [self.data.conditions.index(item) for item in conditions]
        return [
            self.data.expression[self.data.condition_codes == code].toarray()[:n_cells]
            for code in codes
        ]


def test_only_models_that_predict_cells_have_values(data: PerturbationData, tmp_path: Path) -> None:
    def run(*metrics: str) -> list[dict[str, object]]:
        models = {
            "real": Real(data),
            "control_cells": "control_cells",
            "perturbed_mean": "perturbed_mean",
        }
        found = dg.bench(data, models, folds=2, metrics=metrics, results=tmp_path, progress=False)
        return found.per_perturbation().to_dicts()

    run("mse")
    # Kept predictions have no cells: the models run again.
    rows = run("mse", *NAMES)
    pooled: dict[tuple[object, object], list[float]] = {}
    for row in rows:
        if row["model"] == "perturbed_mean" and row["metric"] != "mse":
            assert (row["value"], row["reason"]) == (None, NO_CELLS)
        elif isinstance(row["value"], float):
            pooled.setdefault((row["metric"], row["model"]), []).append(row["value"])
    for name in NAMES:
        # Control cells change nothing, so that a rank correlation of their changes is undefined.
        best, trivial = (
            np.mean(pooled.get((name, model), [0.0])) for model in ("real", "control_cells")
        )
        if name in ("mmd", "wasserstein"):
            assert best == pytest.approx(0.0, abs=1e-12)
            assert trivial > 0.01
        else:
            # Real cells have exactly the significant genes of the perturbation.
            assert best == pytest.approx(1.0)
            assert trivial < 0.9
    # No control cell is significant beside the others.
    assert np.mean(pooled["de_recall_cells", "control_cells"]) < 0.05


def test_cells_that_break_the_contract_are_named() -> None:
    conditions = toy_data().conditions[:1]
    with pytest.raises(PluginError, match="expected 1 to 100 cells of 3 genes"):
        checked_cells([np.ones((2, 4))], conditions, 3)
    with pytest.raises(PluginError, match="NaN or infinite"):
        checked_cells([np.full((2, 3), np.nan)], conditions, 3)
    with pytest.raises(PluginError, match="0 sets of cells for 1"):
        checked_cells([], conditions, 3)
    (found,) = checked_cells([np.full((2, 3), -1.0)], conditions, 3)
    assert not found.any()
