"""Ceilings beside technical_duplicate, and the trivial predictions of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cells_in_batches import in_batches
from scipy import stats

import dygenept as dg
from dygenept.data.pseudobulk import half_codes
from dygenept.errors import PluginError
from dygenept.evaluation.draws import NO_CORRELATION, lengthened
from dygenept.evaluation.reference import train_view
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.plugin.interfaces import PredictsCells, PredictsCellsOfBatches
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing import ToyShape, toy_data, toy_task
from dygenept.testing.baseline_checks import check_baseline
from dygenept.types import Score
from dygenept_plugins.baselines import ceilings, control_cells
from dygenept_plugins.metrics import pearson

SPECS: dict[str, BaselineSpec] = {spec.name: spec for spec in ceilings.dygenept_baselines()}


@pytest.mark.parametrize("name", ["interpolated_duplicate", "corrected_duplicate"])
def test_ceilings_conform(name: str) -> None:
    check_baseline(SPECS[name])
    assert SPECS[name].role == "ceiling"


def test_the_duplicate_counts_where_it_differs_from_the_other_perturbations() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    task, held_out = toy_task(data, held_out=True)
    model = SPECS["interpolated_duplicate"].factory(SPECS["interpolated_duplicate"].config())
    model.fit(task)
    found = model.predict(held_out)
    assert len(found.others) == 4
    rng = np.random.default_rng([task.runtime.seed, 5])
    dense = data.expression.toarray().astype(np.float64)
    assert task.held_out is not None
    codes = half_codes(data, task.held_out.conditions, rng)
    changed = 0
    for row, condition in enumerate(held_out):
        half = dense[codes == row]
        code = data.conditions.index(condition)
        of_type = data.cell_type_codes == data.cell_types.index(condition.cell_type)
        rest = dense[of_type & (data.condition_codes >= 0) & (data.condition_codes != code)]
        mean = train_view(task, condition.cell_type).mean
        with np.errstate(invalid="ignore", divide="ignore"):
            p_values = stats.ttest_ind_from_stats(
                *(half.mean(axis=0), half.std(axis=0, ddof=1), len(half)),
                *(rest.mean(axis=0), rest.std(axis=0, ddof=1), len(half)),
                equal_var=False,
            ).pvalue
        share = stats.false_discovery_control(np.nan_to_num(p_values, nan=1.0))
        expected = (1 - share) * half.mean(axis=0) + share * mean
        np.testing.assert_allclose(found.expression[row], expected, atol=2e-5)
        changed += int((share < 0.5).sum())
        other = dense[codes == row + len(held_out)]
        assert found.truth is not None
        np.testing.assert_allclose(found.truth[row], other.mean(axis=0), atol=1e-6)
        assert found.n_cells is not None
        assert found.n_cells[row] == len(half)
    assert changed > 0


def test_correlations_are_those_of_all_cells_and_other_metrics_undefined() -> None:
    names = ["corrected_duplicate", "perturbed_mean"]
    metrics = ["mse", "pearson_delta"]
    found = dg.bench(toy_data(), names, folds=2, metrics=metrics, progress=False)
    rows = {(row.model, row.metric): row.document() for row in leaderboard_rows(found.records)}
    corrected = rows["corrected_duplicate", "pearson_delta"]
    assert corrected["cells_min"] == min(
        number for record in found.records for of in record.cells.values() for number in of.values()
    )
    assert corrected["normalised_by"] == {"corrected_duplicate": {"value": 1.0, "reason": None}}
    errors = rows["corrected_duplicate", "mse"]
    assert errors["pooled"] is None
    reason = "corrected_duplicate has no value here"
    assert errors["normalised_by"] == {"corrected_duplicate": {"value": None, "reason": reason}}


def test_spearman_and_brown_by_hand() -> None:
    _, held_out = toy_task()
    scores = [
        Score(held_out[0], "r", 0.5),
        Score(held_out[0], "r", -0.5),
        Score(held_out[0], "r", None, "constant"),
        Score(held_out[0], "other", 0.5),
    ]
    specs = [spec for spec in pearson.dygenept_metrics() if spec.name == "pearson_delta"]
    found = lengthened(scores, [replace(specs[0], name="r")], 2.0)
    assert [item.value for item in found] == [2 / 3, -0.5, None, None]
    assert [item.reason for item in found] == [None, None, "constant", NO_CORRELATION]


@pytest.mark.parametrize("name", ["control_cells", "shifted_cells"])
def test_cells_of_batches_are_controls_of_these_with_the_change_that_is_predicted(
    name: str,
) -> None:
    plain = toy_data(ToyShape(n_cell_types=2, n_controls=40))
    batch = np.arange(plain.n_cells) % 2
    dense = plain.expression.toarray() + 2.0 * (batch == 1)[:, None]
    data = in_batches(plain, batch, expression=dense)
    assert data.batches is not None
    task, held_out = toy_task(data)
    specs = {spec.name: spec for spec in control_cells.dygenept_baselines()}
    model = specs[name].factory(specs[name].config())
    model.fit(task)
    assert isinstance(model, PredictsCellsOfBatches)
    of_type = {kind: [2 * row, 2 * row + 1] for row, kind in enumerate(data.cell_types)}
    # More cells of a batch than it has controls, some of the other, and some of none.
    asked = [
        np.repeat(np.array([*of_type[item.cell_type], -1], dtype=np.int32), [50, 5, 3])
        for item in held_out
    ]
    found = model.predict_cells_of(held_out, batches=asked)
    again = model.predict_cells_of(held_out, batches=asked)
    is_control = data.condition_codes < 0
    for condition, wanted, cells, same in zip(held_out, asked, found, again, strict=True):
        np.testing.assert_array_equal(cells, same)
        own = is_control & (data.cell_type_codes == data.cell_types.index(condition.cell_type))
        if name == "control_cells":
            for number in of_type[condition.cell_type]:
                pool = dense[own & (data.batches.rows == number)].astype(np.float32)
                drawn = cells[wanted == number]
                counts = [(drawn == cell).all(axis=1).sum() for cell in pool]
                assert max(counts) - min(counts) <= 1
                assert sum(counts) == len(drawn)
            continue
        offsets = np.where(wanted[:, None] < 0, 0.0, data.batches.offsets[wanted]).mean(axis=0)
        np.testing.assert_allclose(
            cells.mean(axis=0) - offsets, train_view(task, condition.cell_type).mean, atol=1e-5
        )
    unmatched, _ = toy_task(plain)
    model.fit(unmatched)
    with pytest.raises(PluginError, match="the task has none"):
        model.predict_cells_of(held_out, batches=asked)


@pytest.mark.parametrize("name", ["control_cells", "shifted_cells"])
def test_predicted_cells_are_controls_with_the_mean_that_is_predicted(name: str) -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    task, held_out = toy_task(data)
    specs = {spec.name: spec for spec in control_cells.dygenept_baselines()}
    model = specs[name].factory(specs[name].config())
    model.fit(task)
    assert isinstance(model, PredictsCells)
    means = model.predict(held_out).expression
    cells = model.predict_cells(held_out, n_cells=10)
    dense = data.expression.toarray()
    for condition, sample, mean in zip(held_out, cells, means, strict=True):
        view = train_view(task, condition.cell_type)
        assert len(sample) == 10
        if name == "control_cells":
            np.testing.assert_array_equal(mean, view.control)
            assert all((dense == cell).all(axis=1).any() for cell in sample)
        else:
            np.testing.assert_allclose(sample.mean(axis=0), np.maximum(mean, 0.0), atol=1e-6)
