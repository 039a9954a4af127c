"""pearson_delta_perturbed_ref and energy_distance."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.spatial.distance import cdist

from dygenept.evaluation.cell_samples import samples_of
from dygenept.plugin.specs import MetricSpec
from dygenept.testing.metric_checks import check_metric
from dygenept.testing.toy_knowledge import toy_metric_inputs
from dygenept.types import Condition, DoubleArray, MetricInputs, MetricValues, Perturbation
from dygenept_plugins.metrics import energy_distance, pearson

REFERENCE, ENERGY = "pearson_delta_perturbed_ref", "energy_distance"
SPECS: dict[str, MetricSpec] = {
    spec.name: spec
    for module in (pearson, energy_distance)
    for spec in module.dygenept_metrics()
    if spec.name in (REFERENCE, ENERGY)
}


def values_of(name: str, inputs: MetricInputs) -> MetricValues:
    spec = SPECS[name]
    return spec.factory(spec.config())(inputs)


def inputs_of(predicted: DoubleArray, truth: DoubleArray, mean: DoubleArray) -> MetricInputs:
    n, n_genes = truth.shape
    return MetricInputs(
        conditions=tuple(
            Condition(Perturbation(f"G{row}+ctrl", (f"G{row}",)), "cell") for row in range(n)
        ),
        predicted=predicted,
        truth=truth,
        control=np.ones_like(truth),
        perturbed_mean=np.broadcast_to(mean, truth.shape),
        de_indices=np.full((n, 20), -1, dtype=np.int32),
        gene_symbols=tuple(f"SYMBOL{column}" for column in range(n_genes)),
    )


def cells_of(
    control: list[DoubleArray], real: list[DoubleArray], means: DoubleArray | None = None
) -> MetricInputs:
    """Inputs whose real cells and control cells are given, one array a condition.

    The prediction is the control's mean, that is no change.
    """
    blocks = [*control, *real]
    starts = np.cumsum([0, *(len(block) for block in blocks)])
    rows = [np.arange(first, last) for first, last in pairwise(starts)]
    truth = np.stack([block.mean(axis=0) for block in real]) if means is None else means
    base = np.stack([block.mean(axis=0) for block in control])
    samples = samples_of(
        sparse.csr_matrix(np.concatenate(blocks)),
        control_rows=tuple(rows[: len(control)]),
        real_rows=tuple(rows[len(control) :]),
        means=truth,
    )
    plain = inputs_of(base.copy(), truth, truth.mean(axis=0))
    return replace(plain, control=base, cells=samples)


def energy(predicted_cells: DoubleArray, real_cells: DoubleArray) -> float:
    """2E|X-Y| - E|X-X'| - E|Y-Y'| as it is written."""
    between = cdist(predicted_cells, real_cells).mean()
    own = cdist(predicted_cells, predicted_cells).mean()
    return float(2 * between - own - cdist(real_cells, real_cells).mean())


@pytest.mark.parametrize("name", sorted(SPECS))
def test_metrics_conform(name: str) -> None:
    check_metric(SPECS[name])


def test_declarations_say_what_the_definitions_say() -> None:
    reference, energy_spec = SPECS[REFERENCE], SPECS[ENERGY]
    assert (reference.higher_is_better, reference.lower, reference.upper) == (True, -1.0, 1.0)
    assert reference.neutral == 0.0
    assert not reference.uses_de_genes
    assert (energy_spec.higher_is_better, energy_spec.lower, energy_spec.upper) == (
        False,
        0.0,
        None,
    )
    assert energy_spec.neutral is None
    assert energy_spec.uses_cells


def test_a_hand_worked_correlation_from_the_mean() -> None:
    # From m = (1, 1, 1): predicted (1, 0, 2), truth (0, -1, 4); centred (0, -1, 1), (-1, -2, 3).
    inputs = inputs_of(
        np.array([[2.0, 1.0, 3.0]]), np.array([[1.0, 0.0, 5.0]]), np.array([1.0, 1.0, 1.0])
    )
    assert values_of(REFERENCE, inputs).values == pytest.approx([5 / np.sqrt(2 * 14)])


def test_the_correlation_agrees_with_scipy_and_ignores_the_control() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.exponential(size=(2, 8, 50))
    mean = rng.exponential(size=50)
    inputs = inputs_of(predicted, truth, mean)
    expected = [
        stats.pearsonr(guess - mean, y - mean).statistic
        for guess, y in zip(predicted, truth, strict=True)
    ]
    found = values_of(REFERENCE, inputs).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    moved = replace(inputs, control=inputs.control + rng.normal(size=50))
    np.testing.assert_array_equal(values_of(REFERENCE, moved).values, found)


def test_what_all_perturbations_share_earns_nothing() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=400)
    truth = 1.0 + 5.0 * shared + rng.normal(size=(6, 400))
    guess = np.broadcast_to(1.0 + 5.0 * shared, truth.shape) + rng.normal(0, 0.5, truth.shape)
    inputs = inputs_of(guess, truth, 1.0 + 5.0 * shared)
    assert np.abs(values_of(REFERENCE, inputs).values).max() < 0.2
    assert stats.pearsonr(guess[0] - 1.0, truth[0] - 1.0).statistic > 0.95


def test_the_mean_itself_and_a_truth_at_the_mean_are_undefined() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.exponential(size=(2, 3, 20))
    mean = rng.exponential(size=20)
    predicted[0] = mean
    # Its rounding in float32 is not a prediction either.
    predicted[1] = mean.astype(np.float32)
    truth[2] = mean
    result = values_of(REFERENCE, inputs_of(predicted, truth, mean))
    assert np.isnan(result.values).all()
    assert dict(result.reasons) == {
        0: "constant prediction",
        1: "constant prediction",
        2: "constant truth",
    }


def test_a_hand_worked_energy_distance() -> None:
    # X = {0, 2} and Y = {1}: 2·1 - 1 - 0 = 1.
    inputs = cells_of([np.array([[0.0], [2.0]])], [np.array([[1.0]])])
    assert values_of(ENERGY, inputs).values == pytest.approx([1.0])
    # A predicted change of 3 moves X to {3, 5}: 2·3 - 1 - 0 = 5.
    moved = replace(inputs, predicted=inputs.control + 3.0)
    assert values_of(ENERGY, moved).values == pytest.approx([5.0])


def test_energy_distance_agrees_with_the_formula_on_moved_control_cells() -> None:
    rng = np.random.default_rng(0)
    control = [rng.exponential(size=(int(size), 30)) for size in rng.integers(1, 40, 6)]
    real = [rng.exponential(size=(int(size), 30)) for size in rng.integers(1, 40, 6)]
    inputs = cells_of(control, real)
    inputs = replace(inputs, predicted=inputs.control + rng.normal(0, 0.3, inputs.truth.shape))
    deltas = inputs.predicted - inputs.control
    expected = [
        energy(cells + delta, other)
        for cells, delta, other in zip(control, deltas, real, strict=True)
    ]
    # Distances that no model changes are kept in float32.
    np.testing.assert_allclose(values_of(ENERGY, inputs).values, expected, rtol=0, atol=2e-6)


def test_with_one_gene_it_is_the_square_of_scipys_energy_distance() -> None:
    rng = np.random.default_rng(1)
    control, real = rng.exponential(size=(25, 1)), rng.exponential(2.0, size=(17, 1))
    inputs = cells_of([control], [real])
    inputs = replace(inputs, predicted=inputs.control + 0.4)
    expected = stats.energy_distance(control[:, 0] + 0.4, real[:, 0]) ** 2
    assert values_of(ENERGY, inputs).values == pytest.approx([expected], abs=1e-6)


def test_the_same_cells_are_at_no_distance_and_none_is_negative() -> None:
    rng = np.random.default_rng(0)
    cells = rng.exponential(size=(30, 12))
    (value,) = values_of(ENERGY, cells_of([cells], [cells.copy()])).values
    assert 0.0 <= value < 1e-5


def test_a_larger_error_of_the_mean_is_a_larger_distance() -> None:
    rng = np.random.default_rng(0)
    inputs = cells_of([rng.normal(size=(40, 10))], [rng.normal(size=(40, 10)) + 1.0])
    right = inputs.truth - inputs.control
    distances = [
        float(values_of(ENERGY, replace(inputs, predicted=inputs.control + s * right)).values[0])
        for s in (1.0, 0.5, 0.0, -1.0)
    ]
    assert distances == sorted(distances)
    assert len(set(distances)) == 4


def test_a_truth_of_its_own_moves_the_real_cells() -> None:
    rng = np.random.default_rng(0)
    control, real = rng.normal(size=(2, 20, 5))
    inputs = cells_of([control], [real])
    other = replace(inputs, truth=inputs.truth + 0.7)
    expected = energy(control, real + 0.7)
    assert values_of(ENERGY, other).values == pytest.approx([expected], abs=2e-6)


def test_without_cells_it_is_undefined_with_its_reason() -> None:
    inputs = replace(toy_metric_inputs(), cells=None)
    result = values_of(ENERGY, inputs)
    assert np.isnan(result.values).all()
    assert set(result.reasons.values()) == {"no cell-level prediction"}
    assert len(result.reasons) == len(inputs.conditions)
