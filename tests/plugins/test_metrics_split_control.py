"""pearson_delta_split_control and its like: a shared control makes noise look like signal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation.control_cells import control_half_means, count_controls
from dygenept.plugin.specs import MetricSpec
from dygenept.testing import ToyShape, small_metric_inputs, toy_data
from dygenept.testing.metric_checks import check_metric
from dygenept.types import MetricInputs
from dygenept_plugins.metrics import pearson, split_control

SPECS: dict[str, MetricSpec] = {spec.name: spec for spec in split_control.dygenept_metrics()}
NAMES = (
    "pearson_delta_split_control",
    "pearson_delta_top20_split_control",
    "direction_accuracy_top20_split_control",
)


def screen(*, effect: float, seed: int, n_cells: int = 8, n_genes: int = 400) -> MetricInputs:
    """Simulate nine perturbations in three cell lines, 8 cells each and 16 controls a line.

    The prediction is the mean of the other perturbations of the line; of an effect, one half is
    common to all perturbations.
    """
    rng = np.random.default_rng(seed)
    n_each, lines = 9, []
    common = effect * rng.normal(size=n_genes)
    for _ in range(3):
        base = rng.exponential(size=n_genes)
        own = effect * rng.normal(size=(n_each, n_genes))
        cells = base + common + own
        truth = cells + rng.normal(size=(n_each, n_genes)) / n_cells**0.5
        halves = base + rng.normal(size=(2, n_genes)) / n_cells**0.5
        predicted = (truth.sum(axis=0) - truth) / (n_each - 1)
        lines.append((predicted, truth, np.broadcast_to(halves[:, None], (2, n_each, n_genes))))
    predicted, truth = (np.concatenate([line[part] for line in lines]) for part in (0, 1))
    halves = np.concatenate([line[2] for line in lines], axis=1)
    return replace(
        small_metric_inputs(predicted, truth), control=halves.mean(0), control_halves=halves
    )


@pytest.mark.parametrize("name", NAMES)
def test_metrics_conform(name: str) -> None:
    check_metric(SPECS[name])
    assert SPECS[name].boards == "few_controls"


def test_a_screen_of_noise_correlates_through_its_control_alone() -> None:
    one_half, both, disjoint = [], [], []
    for seed in range(5):
        inputs = screen(effect=0.0, seed=seed)
        assert inputs.control_halves is not None
        same = replace(inputs, control=inputs.control_halves[0])
        one_half.append(pearson.pearson_delta(same).values.mean())
        both.append(pearson.pearson_delta(inputs).values.mean())
        disjoint.append(split_control.pearson_delta_split_control(inputs).values.mean())
    # With n cells in a half and a perturbation, 8 others predict it: the noise of a change is
    # 1/n + 1/n and of a prediction 1/n + 1/8n, of which 1/n is common.
    assert np.mean(one_half) == pytest.approx(1 / (2 * 1.125) ** 0.5, abs=0.03)
    assert np.mean(both) == pytest.approx(0.5 / (1.5 * 0.625) ** 0.5, abs=0.03)
    assert abs(np.mean(disjoint)) < 0.03


def test_a_common_effect_is_seen_from_disjoint_halves() -> None:
    inputs = screen(effect=1.0, seed=0)
    # Of variance 2 + 1/4 in truth, 1 is common, and 1 + 1/8 + 1/8 + 1/64 in the prediction.
    expected = 1 / (2.25 * 1.266) ** 0.5
    found = split_control.pearson_delta_split_control(inputs).values.mean()
    assert found == pytest.approx(expected, abs=0.05)


def test_the_control_mean_is_no_prediction_whichever_half_it_is_seen_from() -> None:
    inputs = screen(effect=0.5, seed=1)
    inputs = replace(inputs, predicted=inputs.control)
    for name in NAMES[:2]:
        result = SPECS[name].factory(SPECS[name].config())(inputs)
        assert np.isnan(result.values).all()
        assert set(result.reasons.values()) == {split_control.CONTROL}
    directions = split_control.direction_accuracy_top20_split_control(inputs)
    assert not directions.values.any()


def test_halves_of_controls_are_disjoint_and_seeded() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    means = pseudobulk(data)
    first, second = control_half_means(data, seed=3).of_types
    counts = count_controls(data, means.n_cells)
    for row, kind in enumerate(data.cell_types):
        n_all = counts.n_cells[kind]
        n_first = n_all // 2
        total = n_first * first[row] + (n_all - n_first) * second[row]
        np.testing.assert_allclose(total / n_all, means.control_means[row], atol=1e-9)
    np.testing.assert_array_equal(control_half_means(data, seed=3).of_types[0], first)
    assert not np.array_equal(control_half_means(data, seed=4).of_types[0], first)


def test_few_controls_are_few_beside_the_perturbed_cells() -> None:
    data = toy_data()
    means = pseudobulk(data)
    counted = count_controls(data, means.n_cells)
    (kind,) = data.cell_types
    n_own = means.n_cells.astype(float)
    expected = np.median(n_own / (n_own + counted.n_cells[kind]))
    assert counted.noise_shares == {kind: pytest.approx(expected)}
    many = count_controls(data, np.full_like(means.n_cells, 1))
    assert (counted.are_few, many.are_few) == (True, False)
