"""The metrics against hand-worked values and against loops over scipy and scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, mean_squared_error

from dygenept.plugin.specs import MetricSpec
from dygenept.testing.metric_checks import check_metric
from dygenept.types import (
    Condition,
    DoubleArray,
    IntArray,
    MetricInputs,
    MetricValues,
    Perturbation,
)
from dygenept_plugins.metrics import direction_accuracy_top20, errors, pearson

MODULES = (direction_accuracy_top20, errors, pearson)
SPECS: dict[str, MetricSpec] = {
    spec.name: spec
    for module in MODULES
    for spec in module.dygenept_metrics()
    if spec.name != "pearson_delta_perturbed_ref"  # see test_metrics_reference_and_cells.py
}
CORRELATIONS = ("pearson_top20", "pearson_delta_top20", "pearson_delta")


def inputs_of(
    predicted: DoubleArray, truth: DoubleArray, control: DoubleArray, de_indices: IntArray
) -> MetricInputs:
    conditions = tuple(
        Condition(Perturbation(f"G{row}+ctrl", (f"G{row}",)), "cell") for row in range(len(truth))
    )
    return MetricInputs(
        conditions=conditions,
        predicted=predicted,
        truth=truth,
        control=control,
        perturbed_mean=truth.mean(axis=0, keepdims=True).repeat(len(truth), axis=0),
        de_indices=de_indices,
        gene_symbols=tuple(f"SYMBOL{column}" for column in range(truth.shape[1])),
    )


def values_of(name: str, inputs: MetricInputs) -> MetricValues:
    spec = SPECS[name]
    return spec.factory(spec.config())(inputs)


def padded(rows: list[list[int]]) -> IntArray:
    lists = np.full((len(rows), 20), -1, dtype=np.int32)
    for row, genes in enumerate(rows):
        lists[row, : len(genes)] = genes
    return lists


@pytest.mark.parametrize("name", sorted(SPECS))
def test_metrics_conform(name: str) -> None:
    check_metric(SPECS[name])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", (1.0 + 0.0 + 4.0 + 9.0) / 4),
        ("mae_top20", (1.0 + 2.0 + 3.0) / 3),
        ("mse_top20", (1.0 + 4.0 + 9.0) / 3),
        # predicted (2, 3, 0), truth (1, 5, 3): centred (1/3, 4/3, -5/3) and (-2, 2, 0).
        ("pearson_top20", 2.0 / np.sqrt(42 / 9 * 8)),
        # deltas (1, 2, -2) and (0, 4, 1): centred (2/3, 5/3, -7/3) and (-5/3, 7/3, -2/3).
        ("pearson_delta_top20", (-10 / 9 + 35 / 9 + 14 / 9) / np.sqrt(78 / 9 * 78 / 9)),
        # deltas (1, 0, 2, -2) and (0, 0, 4, 1): means 1/4 and 5/4.
        ("pearson_delta", (6.0 - 4 * 0.25 * 1.25) / np.sqrt((9 - 0.25) * (17 - 6.25))),
        ("direction_accuracy_top20", 1 / 3),
    ],
)
def test_hand_worked_values(name: str, expected: float) -> None:
    inputs = inputs_of(
        predicted=np.array([[2.0, 1.0, 3.0, 0.0]]),
        truth=np.array([[1.0, 1.0, 5.0, 3.0]]),
        control=np.array([[1.0, 1.0, 1.0, 2.0]]),
        de_indices=padded([[2, 0, 3]]),
    )
    assert values_of(name, inputs).values == pytest.approx([expected], abs=1e-12)


def test_control_in_float32_changes_no_gene() -> None:
    control = np.random.default_rng(0).exponential(size=(2, 40))
    rounded = control.astype(np.float32).astype(np.float64)
    inputs = inputs_of(rounded, control + 1.0, control, padded([list(range(20))] * 2))
    assert (rounded > control).any()
    assert values_of("direction_accuracy_top20", inputs).values.tolist() == [0.0, 0.0]


def looped(name: str, inputs: MetricInputs) -> list[float]:
    """Score one condition at a time with the peers' own functions; NaN where undefined."""

    def correlation(left: DoubleArray, right: DoubleArray) -> float:
        if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
            return float("nan")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(pearsonr(left, right).statistic)

    one: dict[str, Callable[[DoubleArray, DoubleArray, DoubleArray], float]] = {
        "mse_top20": lambda p, y, c: float(mean_squared_error(y, p)),
        "mae_top20": lambda p, y, c: float(mean_absolute_error(y - c, p - c)),
        "pearson_top20": lambda p, y, c: correlation(p, y),
        "pearson_delta_top20": lambda p, y, c: correlation(p - c, y - c),
        "direction_accuracy_top20": lambda p, y, c: float(np.mean((p - c) * (y - c) > 0)),
        "mse": lambda p, y, c: float(mean_squared_error(y, p)),
        "mae": lambda p, y, c: float(mean_absolute_error(y, p)),
        "pearson_delta": lambda p, y, c: correlation(p - c, y - c),
    }
    values = []
    for row in range(len(inputs.truth)):
        genes = inputs.de_indices[row][inputs.de_indices[row] >= 0]
        picked = genes if name.endswith("top20") else np.arange(inputs.truth.shape[1])
        sides = [side[row, picked] for side in (inputs.predicted, inputs.truth, inputs.control)]
        values.append(one[name](*sides) if len(picked) else float("nan"))
    return values


@pytest.mark.parametrize("name", sorted(SPECS))
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), n_genes=st.integers(2, 40))
def test_matrix_passes_agree_with_scipy_and_sklearn(
    name: str, seed: int, n: int, n_genes: int
) -> None:
    rng = np.random.default_rng(seed)
    # Eighths: zeros and ties turn up as in log1p data, and differences are exact.
    predicted, truth, control = np.round(8 * rng.exponential(1.0, (3, n, n_genes))) / 8
    lists = [
        rng.permutation(n_genes)[: rng.integers(0, min(20, n_genes) + 1)].tolist() for _ in range(n)
    ]
    if rng.random() < 0.3:
        predicted[0] = control[0]
    inputs = inputs_of(predicted, truth, control, padded(lists))
    result = values_of(name, inputs)
    np.testing.assert_allclose(result.values, looped(name, inputs), rtol=0, atol=1e-9)
    assert set(result.reasons) == set(np.flatnonzero(np.isnan(result.values)).tolist())


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_batch_gives_what_each_condition_gives_alone(name: str) -> None:
    rng = np.random.default_rng(0)
    predicted, truth, control = rng.normal(size=(3, 5, 30))
    lists = padded([rng.permutation(30)[:size].tolist() for size in (20, 3, 20, 1, 0)])
    together = values_of(name, inputs_of(predicted, truth, control, lists)).values
    for row in range(5):
        rows = slice(row, row + 1)
        alone = inputs_of(predicted[rows], truth[rows], control[rows], lists[rows])
        np.testing.assert_array_equal(values_of(name, alone).values, together[rows])


@pytest.mark.parametrize("name", [name for name in sorted(SPECS) if name.endswith("top20")])
def test_an_empty_de_list_is_undefined_with_its_reason(name: str) -> None:
    rng = np.random.default_rng(0)
    predicted, truth, control = rng.normal(size=(3, 2, 5))
    result = values_of(name, inputs_of(predicted, truth, control, padded([[], [0, 1, 2]])))
    assert np.isnan(result.values[0])
    assert dict(result.reasons) == {0: "no DE genes"}


@pytest.mark.parametrize("name", CORRELATIONS)
def test_a_constant_side_is_undefined_with_its_reason(name: str) -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(size=(2, 3, 20))
    control = np.zeros((3, 20))
    predicted[0] = 0.5
    truth[1] = 0.5
    lists = padded([list(range(20))] * 3)
    result = values_of(name, inputs_of(predicted, truth, control, lists))
    assert dict(result.reasons) == {0: "constant prediction", 1: "constant truth"}
    assert np.isfinite(result.values[2])


@pytest.mark.parametrize("name", ["pearson_delta_top20", "pearson_delta"])
def test_the_rounding_of_a_control_predicted_in_float32_earns_no_correlation(name: str) -> None:
    rng = np.random.default_rng(0)
    control = rng.exponential(size=(1, 20))
    truth = rng.exponential(size=(1, 20))
    lists = padded([list(range(20))])
    shifted = control + 0.1
    for predicted in (control.astype(np.float32).astype(np.float64), control, shifted):
        result = values_of(name, inputs_of(predicted, truth, control, lists))
        assert dict(result.reasons) == {0: "constant prediction"}


@pytest.mark.parametrize("name", CORRELATIONS)
def test_one_gene_has_no_correlation(name: str) -> None:
    inputs = inputs_of(np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), 3.0), padded([[0]]))
    assert dict(values_of(name, inputs).reasons) == {0: "fewer than two genes"}


@pytest.mark.parametrize("name", ["pearson_top20", "pearson_delta_top20", "pearson_delta"])
def test_correlations_do_not_depend_on_the_scale_of_the_effect(name: str) -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(size=(2, 1, 20))
    zero, lists = np.zeros((1, 20)), padded([list(range(20))])
    reference = values_of(name, inputs_of(predicted, truth, zero, lists)).values
    tiny = values_of(name, inputs_of(predicted * 1e-200, truth, zero, lists)).values
    np.testing.assert_allclose(tiny, reference, atol=1e-12)


def test_no_predicted_change_is_the_wrong_direction() -> None:
    control = np.zeros((1, 4))
    truth = np.array([[1.0, -1.0, 1.0, -1.0]])
    inputs = inputs_of(control, truth, control, padded([[0, 1, 2, 3]]))
    assert values_of("direction_accuracy_top20", inputs).values == pytest.approx([0.0])


def test_declarations_say_what_the_definitions_say() -> None:
    for name, spec in SPECS.items():
        is_error = name.startswith(("mse", "mae"))
        assert spec.higher_is_better is not is_error
        assert spec.neutral == (0.0 if name in CORRELATIONS else None)
        assert spec.uses_de_genes == name.endswith("top20")
        assert bool(spec.undefined) == (name not in ("mse", "mae"))
        assert (spec.lower, spec.upper) == (
            (0.0, None) if is_error else (-1.0, 1.0) if name in CORRELATIONS else (0.0, 1.0)
        )
