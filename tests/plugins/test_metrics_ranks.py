"""centroid_accuracy and perturbation_discrimination: where the right perturbation ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from dygenept.evaluation.candidate_ranks import ONE_CONDITION
from dygenept.plugin.specs import MetricSpec
from dygenept.testing.metric_checks import check_metric
from dygenept.types import Condition, DoubleArray, MetricInputs, MetricValues, Perturbation
from dygenept_plugins.metrics import ranks

SPECS: dict[str, MetricSpec] = {
    spec.name: spec
    for spec in ranks.dygenept_metrics()
    if not spec.name.startswith("perturbench")  # see test_metrics_field.py
}
CENTROID, DISCRIMINATION = "centroid_accuracy", "perturbation_discrimination"


def single(gene: str, cell_type: str = "cell") -> Condition:
    return Condition(Perturbation(f"{gene}+ctrl", (gene,)), cell_type)


def inputs_of(
    predicted: DoubleArray,
    truth: DoubleArray,
    *,
    control: DoubleArray | None = None,
    conditions: tuple[Condition, ...] | None = None,
    symbols: tuple[str, ...] | None = None,
) -> MetricInputs:
    n, n_genes = truth.shape
    return MetricInputs(
        conditions=conditions or tuple(single(f"G{row}") for row in range(n)),
        predicted=predicted,
        truth=truth,
        control=np.zeros_like(truth) if control is None else control,
        perturbed_mean=np.broadcast_to(truth.mean(axis=0), truth.shape),
        de_indices=np.full((n, 20), -1, dtype=np.int32),
        gene_symbols=symbols or tuple(f"SYMBOL{column}" for column in range(n_genes)),
    )


def values_of(name: str, inputs: MetricInputs) -> MetricValues:
    spec = SPECS[name]
    return spec.factory(spec.config())(inputs)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_rank_metrics_conform_and_declare_their_range(name: str) -> None:
    check_metric(SPECS[name])
    spec = SPECS[name]
    assert (spec.higher_is_better, spec.lower, spec.upper, spec.neutral) == (True, 0.0, 1.0, None)


# Truths at 0, 4 and 10 on a line; predictions at 1 (own nearest), 9 (own second), 1 (own last).
LINE_TRUTH = np.array([[0.0], [4.0], [10.0]])
LINE_PREDICTED = np.array([[1.0], [9.0], [1.0]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [(CENTROID, [1.0, 0.5, 0.0]), (DISCRIMINATION, [1.0, 2 / 3, 1 / 3])],
)
def test_hand_worked_ranks(name: str, expected: list[float]) -> None:
    result = values_of(name, inputs_of(LINE_PREDICTED, LINE_TRUTH))
    assert result.values == pytest.approx(expected, abs=1e-15)
    assert not result.reasons


def test_euclidean_and_l1_distances_choose_differently() -> None:
    # From the origin, (3, 3) is nearer than (5, 0) by Euclid and farther by L1.
    inputs = inputs_of(np.zeros((2, 2)), np.array([[3.0, 3.0], [5.0, 0.0]]))
    assert values_of(CENTROID, inputs).values == pytest.approx([1.0, 0.0])
    assert values_of(DISCRIMINATION, inputs).values == pytest.approx([0.5, 1.0])


def loop_centroid(inputs: MetricInputs) -> list[float]:
    values = []
    for row, prediction in enumerate(inputs.predicted):
        distances = [float(np.sqrt(np.sum((prediction - y) ** 2))) for y in inputs.truth]
        others = [d for place, d in enumerate(distances) if place != row]
        values.append(sum(d > distances[row] for d in others) / len(others))
    return values


def loop_discrimination(inputs: MetricInputs) -> list[float]:
    values = []
    for row, condition in enumerate(inputs.conditions):
        kept = [i for i, name in enumerate(inputs.gene_symbols) if name not in condition.genes]
        guess = (inputs.predicted - inputs.control)[row, kept]
        deltas = (inputs.truth - inputs.control)[:, kept]
        distances = cdist(guess[None], deltas, "cityblock")[0]
        rank = int(np.sum(distances < distances[row]))
        values.append(1.0 - rank / len(deltas))
    return values


@pytest.mark.parametrize("seed", range(5))
def test_matrix_passes_agree_with_a_loop_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, n_genes = int(rng.integers(2, 90)), int(rng.integers(3, 60))
    truth = rng.exponential(size=(n, n_genes))
    predicted = truth[0] + 0.6 * (truth - truth[0]) + rng.normal(0, 0.5, truth.shape)
    control = np.broadcast_to(rng.exponential(size=n_genes), truth.shape)
    symbols = tuple(f"G{column}" for column in range(n_genes))
    pair = Condition(Perturbation("G0+G2", ("G0", "G2")), "cell")
    conditions = (pair, *(single(f"G{row}") for row in range(1, n)))
    inputs = inputs_of(predicted, truth, control=control, conditions=conditions, symbols=symbols)
    for name, loop in ((CENTROID, loop_centroid), (DISCRIMINATION, loop_discrimination)):
        found = values_of(name, inputs).values
        np.testing.assert_allclose(found, loop(inputs), rtol=0, atol=1e-12)


def test_target_genes_are_left_out_of_discrimination_alone() -> None:
    # A is found by its own target gene alone: knocked down it reads 0 everywhere else alike.
    truth = np.array([[-9.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    predicted = np.array([[-9.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    conditions = (single("A"), single("B"))
    named = inputs_of(predicted, truth, conditions=conditions, symbols=("A", "X", "Y"))
    assert values_of(DISCRIMINATION, named).values == pytest.approx([0.5, 1.0])
    assert values_of(CENTROID, named).values == pytest.approx([1.0, 1.0])
    unnamed = replace(named, gene_symbols=("Z", "X", "Y"))
    assert values_of(DISCRIMINATION, unnamed).values == pytest.approx([1.0, 1.0])


def test_a_symbol_that_occurs_twice_is_left_out_twice() -> None:
    truth = np.array([[-9.0, -9.0, 1.0], [0.0, 0.0, 0.0]])
    predicted = np.array([[-9.0, -9.0, 0.0], [0.0, 0.0, 0.0]])
    inputs = inputs_of(
        predicted, truth, conditions=(single("A"), single("B")), symbols=("A", "A", "X")
    )
    assert values_of(DISCRIMINATION, inputs).values == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize(("name", "chance"), [(CENTROID, 0.5), (DISCRIMINATION, 0.6)])
def test_a_tie_counts_half_and_the_order_of_rows_decides_nothing(name: str, chance: float) -> None:
    rng = np.random.default_rng(0)
    truth = np.tile(rng.normal(size=(1, 7)), (5, 1))
    predicted = rng.normal(size=(5, 7))
    inputs = inputs_of(predicted, truth)
    assert values_of(name, inputs).values == pytest.approx([chance] * 5)
    turned = inputs.take(np.arange(5)[::-1])
    np.testing.assert_array_equal(values_of(name, turned).values, np.full(5, chance))


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_same_prediction_for_all_is_at_chance(name: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 12))
    same = np.broadcast_to(truth.mean(axis=0), truth.shape)
    mean = values_of(name, inputs_of(same, truth)).values.mean()
    # Ranks 0 … N-1 once each: (N+1) / 2N and one half.
    assert mean == pytest.approx(0.5 if name == CENTROID else 41 / 80)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_candidates_are_those_of_the_same_cell_type(name: str) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 9, 6))
    types = ["a", "b", "a", "b", "a", "a", "b", "a", "b"]
    conditions = tuple(single(f"G{row}", kind) for row, kind in enumerate(types))
    inputs = inputs_of(predicted, truth, conditions=conditions)
    together = values_of(name, inputs).values
    for kind in "ab":
        rows = np.flatnonzero(np.array(types) == kind)
        np.testing.assert_allclose(values_of(name, inputs.take(rows)).values, together[rows])


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_only_perturbation_of_a_cell_type_has_no_rank(name: str) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 3, 6))
    conditions = (single("A", "a"), single("B", "b"), single("C", "a"))
    result = values_of(name, inputs_of(predicted, truth, conditions=conditions))
    assert np.isnan(result.values).tolist() == [False, True, False]
    assert dict(result.reasons) == {1: ONE_CONDITION}


def test_a_shift_of_prediction_and_truth_together_changes_no_centroid_rank() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=(2, 12, 6))
    plain = values_of(CENTROID, inputs_of(predicted, truth)).values
    moved = values_of(CENTROID, inputs_of(predicted + 1e4, truth + 1e4)).values
    np.testing.assert_array_equal(moved, plain)
