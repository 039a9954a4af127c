"""mmd, wasserstein, des_cells, de_recall_cells, de_auprc_cells, de_sign_match_cells and
de_spearman_lfc_cells in a run; what cell-eval, scipy and scikit-learn give is in ``peers.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from cells_in_batches import in_batches

import dygenept as dg
from dygenept.errors import PluginError
from dygenept.evaluation.predicted_cells import checked_cells
from dygenept.model.resolve import ResolvedModel
from dygenept.runs.model_answers import with_cells
from dygenept.testing import ToyShape, toy_data, toy_task
from dygenept.types import Condition, IntArray, PerturbationData, Predictions, Task
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


class RealOfBatches(Real):
    """Predicts the cells that are in the batches that it is asked for."""

    were_asked: ClassVar[list[bool]] = []

    def predict_cells_of(
        self, conditions: Sequence[Condition], *, batches: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        found = self.predict_cells(conditions, n_cells=1000)
        for condition, own in zip(conditions, batches, strict=True):
            code = self.data.conditions.index(condition)
            assert self.data.batches is not None
            rows = self.data.batches.rows[self.data.condition_codes == code]
            self.were_asked.append(rows.tolist() == own.tolist())
        return found


def in_two_batches() -> PerturbationData:
    """Batches of half of the controls each, and of most of a perturbation's cells."""
    plain = toy_data(ToyShape(n_controls=60))
    rng = np.random.default_rng(0)
    batch = (rng.random(plain.n_cells) < 0.9).astype(np.int32)
    batch[plain.condition_codes < 0] = np.arange(int((plain.condition_codes < 0).sum())) % 2
    dense = plain.expression.toarray()
    factors = np.exp(rng.normal(0.0, 1.0, plain.n_genes))
    return in_batches(plain, batch, expression=dense * np.where(batch[:, None] == 1, factors, 1.0))


def test_cells_in_the_batches_of_real_ones_are_compared_within_them(tmp_path: Path) -> None:
    data = in_two_batches()
    models = {"named": RealOfBatches(data), "unnamed": Real(data), "control_cells": "control_cells"}
    found = dg.bench(data, models, folds=2, metrics=NAMES, results=tmp_path, progress=False)
    rows = found.per_perturbation().to_dicts()

    def mean(metric: str, model: str) -> float:
        of = [row["value"] for row in rows if (row["metric"], row["model"]) == (metric, model)]
        return float(np.mean([value for value in of if value is not None]))

    for name in NAMES:
        best = 0.0 if name in ("mmd", "wasserstein") else 1.0
        assert all(RealOfBatches.were_asked)
        assert mean(name, "named") == pytest.approx(best, abs=1e-12)
    # The same cells, where no batch is named, count as cells in the controls' mix of batches.
    assert mean("wasserstein", "unnamed") > 0.05
    assert mean("de_auprc_cells", "unnamed") < 0.9
    assert mean("de_recall_cells", "control_cells") < 0.05


def test_a_cell_is_due_for_each_batch() -> None:
    data = in_two_batches()
    model = RealOfBatches(data)
    task, held_out = toy_task(data)
    model.fit(task)
    called = ResolvedModel("real", "real", "baseline", True, {}, (), lambda: model)
    asked = tuple(np.zeros(2, dtype=np.int32) for _ in held_out)
    with pytest.raises(
        PluginError, match=r"cells of .* for 2 batches; predict_cells_of must return"
    ):
        with_cells(model.predict(held_out), model, called, asked)


class OnlyOfBatches:
    """Predicts cells of batches and no others, and computes them where its prediction is."""

    def __init__(self, data: PerturbationData) -> None:
        self.model = RealOfBatches(data)

    def fit(self, task: Task) -> None:
        self.model.fit(task)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        self.predicted = self.model.predict(conditions)
        return self.predicted

    def predict_cells_of(
        self, conditions: Sequence[Condition], *, batches: Sequence[IntArray]
    ) -> list[np.ndarray]:
        self.predicted.expression[:] = 7.0
        return self.model.predict_cells_of(conditions, batches=batches)


def test_a_model_may_predict_cells_of_batches_alone_and_reuse_its_arrays() -> None:
    data = in_two_batches()
    models = {"alone": OnlyOfBatches(data), "both": RealOfBatches(data)}
    for of, has_cells in ((data, True), (toy_data(), False)):
        found = dg.bench(of, models, folds=2, metrics=["mmd", "mse"], progress=False)
        rows = found.per_perturbation().to_dicts()
        values = {(row["metric"], row["model"], row["perturbation"]): row["value"] for row in rows}
        for (metric, _, label), value in values.items():
            if metric == "mse" or has_cells:
                assert value == values[metric, "both", label]
            assert (values["mmd", "alone", label] is None) == (not has_cells)


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
