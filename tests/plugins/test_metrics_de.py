"""de_overlap and wmse: the metrics that read DE tests of every gene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.plugin.specs import MetricSpec
from dygenept.testing.metric_checks import check_metric
from dygenept.types import Condition, DeTests, DoubleArray, MetricInputs, MetricValues, Perturbation
from dygenept_plugins.metrics import de_overlap, wmse

SPECS: dict[str, MetricSpec] = {
    spec.name: spec for module in (de_overlap, wmse) for spec in module.dygenept_metrics()
}


def values_of(name: str, inputs: MetricInputs) -> MetricValues:
    spec = SPECS[name]
    return spec.factory(spec.config())(inputs)


def inputs_of(
    predicted: DoubleArray,
    truth: DoubleArray,
    *,
    significant: object = None,
    scores: DoubleArray | None = None,
) -> MetricInputs:
    n, n_genes = truth.shape
    marked = np.zeros((n, n_genes)) if significant is None else np.asarray(significant)
    return MetricInputs(
        conditions=tuple(
            Condition(Perturbation(f"G{row}+ctrl", (f"G{row}",)), "cell") for row in range(n)
        ),
        predicted=predicted,
        truth=truth,
        control=np.zeros_like(truth),
        perturbed_mean=np.zeros_like(truth),
        de_indices=np.full((n, 20), -1, dtype=np.int32),
        gene_symbols=tuple(f"SYMBOL{column}" for column in range(n_genes)),
        de_tests=DeTests(
            marked.astype(np.bool_), np.ones((n, n_genes)) if scores is None else scores
        ),
    )


@pytest.mark.parametrize("name", sorted(SPECS))
def test_metrics_conform(name: str) -> None:
    check_metric(SPECS[name])


def test_declarations_say_what_the_definitions_say() -> None:
    overlap, weighted = SPECS["de_overlap"], SPECS["wmse"]
    assert (overlap.higher_is_better, overlap.lower, overlap.upper) == (True, 0.0, 1.0)
    assert (weighted.higher_is_better, weighted.lower, weighted.upper) == (False, 0.0, None)
    for spec in (overlap, weighted):
        assert spec.uses_de_tests
        assert not spec.uses_de_genes
        assert spec.neutral is None
        assert "left out of means" in spec.undefined


def test_hand_worked_overlap() -> None:
    # Significant: genes 0, 2, 3. The prediction's top three by size: 3, 1, 0. Two of three.
    predicted = np.array([[0.5, -0.6, 0.1, -0.9, 0.2]])
    inputs = inputs_of(predicted, np.ones((1, 5)), significant=[[1, 0, 1, 1, 0]])
    assert values_of("de_overlap", inputs).values == pytest.approx([2 / 3])


def test_overlap_agrees_with_a_loop_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(size=(2, 30, 25))
    marked = rng.random((30, 25)) < rng.random((30, 1))
    inputs = replace(
        inputs_of(predicted, truth, significant=marked), control=rng.normal(size=(30, 25))
    )
    expected = []
    for row in range(30):
        chosen = set(np.flatnonzero(marked[row]).tolist())
        change = np.abs(inputs.predicted[row] - inputs.control[row])
        top = set(np.argsort(-change)[: len(chosen)].tolist())
        expected.append(len(chosen & top) / len(chosen) if chosen else float("nan"))
    found = values_of("de_overlap", inputs).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_no_significant_gene_is_undefined_with_its_reason() -> None:
    inputs = inputs_of(np.ones((2, 3)), np.ones((2, 3)), significant=[[0, 0, 0], [1, 1, 1]])
    result = values_of("de_overlap", inputs)
    assert np.isnan(result.values[0])
    assert result.values[1] == 1.0
    assert dict(result.reasons) == {0: "no significant DE gene"}


def test_genes_that_tie_for_the_last_place_share_it_whatever_their_order() -> None:
    # One sure place (gene 0), one place for the tied genes 1, 2, 3, of which 2 is significant.
    predicted = np.array([[2.0, 1.0, -1.0, 1.0, 0.0]])
    marked = np.array([[1, 0, 1, 0, 0]])
    inputs = inputs_of(predicted, np.ones((1, 5)), significant=marked)
    assert values_of("de_overlap", inputs).values == pytest.approx([(1 + 1 / 3) / 2])
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(5)
        turned = inputs_of(predicted[:, order], np.ones((1, 5)), significant=marked[:, order])
        assert values_of("de_overlap", turned).values == pytest.approx([(1 + 1 / 3) / 2])


def test_no_predicted_change_has_the_overlap_of_chance() -> None:
    inputs = inputs_of(np.zeros((1, 10)), np.ones((1, 10)), significant=[[1, 1, 1] + [0] * 7])
    assert values_of("de_overlap", inputs).values == pytest.approx([0.3])
    # Rounding of the control must not choose genes either.
    noisy = replace(inputs, predicted=np.full((1, 10), 1e-15) * np.arange(10))
    assert values_of("de_overlap", noisy).values == pytest.approx([0.3])


def test_the_sign_of_a_change_does_not_matter_to_the_overlap() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=(4, 12))
    marked = rng.random((4, 12)) < 0.4
    plain = values_of("de_overlap", inputs_of(predicted, predicted, significant=marked)).values
    turned = values_of("de_overlap", inputs_of(-predicted, predicted, significant=marked)).values
    np.testing.assert_array_equal(turned, plain)


def test_hand_worked_weighted_error() -> None:
    # |t| = 1, 3, 2: scaled 0, 1, 1/2; squared 0, 1, 1/4; weights 0, 4/5, 1/5.
    inputs = inputs_of(
        np.array([[9.0, 2.0, 0.0]]),
        np.array([[0.0, 1.0, 2.0]]),
        scores=np.array([[1.0, -3.0, 2.0]]),
    )
    assert values_of("wmse", inputs).values == pytest.approx([0.8 * 1.0 + 0.2 * 4.0])


def test_weighted_error_agrees_with_a_loop_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(size=(2, 12, 40))
    scores = 5.0 * rng.standard_t(3, size=(12, 40))
    expected = []
    for row in range(12):
        strength = np.abs(scores[row])
        weights = ((strength - strength.min()) / (strength.max() - strength.min())) ** 2
        errors = (predicted[row] - truth[row]) ** 2
        expected.append(float(np.average(errors, weights=weights)))
    found = values_of("wmse", inputs_of(predicted, truth, scores=scores)).values
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_equal_scores_weigh_all_genes_alike() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.normal(size=(2, 3, 8))
    found = values_of("wmse", inputs_of(predicted, truth)).values
    np.testing.assert_allclose(found, np.mean((predicted - truth) ** 2, axis=1))


def test_an_infinite_score_weighs_as_the_largest_finite_one() -> None:
    scores = np.array([[0.0, np.inf, -4.0, 2.0]])
    weights = wmse.de_weights(scores)
    np.testing.assert_allclose(weights, wmse.de_weights(np.array([[0.0, 4.0, -4.0, 2.0]])))
    assert weights.sum() == pytest.approx(1.0)


def test_a_perturbation_without_scores_is_undefined_with_its_reason() -> None:
    scores = np.array([[np.nan] * 3, [1.0, 2.0, 3.0]])
    result = values_of("wmse", inputs_of(np.ones((2, 3)), np.zeros((2, 3)), scores=scores))
    assert np.isnan(result.values[0])
    assert result.values[1] == pytest.approx(1.0)
    assert dict(result.reasons) == {0: "no DE scores against the rest"}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_without_de_tests_every_value_is_undefined(name: str) -> None:
    inputs = replace(inputs_of(np.ones((2, 3)), np.ones((2, 3))), de_tests=None)
    result = values_of(name, inputs)
    assert np.isnan(result.values).all()
    assert set(result.reasons) == {0, 1}
