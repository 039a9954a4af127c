"""Metrics of cell-eval, the Virtual Cell Challenge, PerturBench and GEARS, by plain loops.

What cell-eval and scikit-learn themselves give is in ``metric_fixtures/peers.json``: mae, des,
de_sign_match, de_spearman_lfc, de_auprc, weighted_r2_delta, weighted_r2_delta_perturbed_ref,
perturbation_discrimination_l2 and perturbation_discrimination_cosine.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from dygenept.testing import small_metric_inputs
from dygenept.testing.toy_knowledge import toy_metric_inputs
from dygenept.types import Candidates, Condition, DeTests, Perturbation
from dygenept_plugins.metrics import de_set, ranks, wmse


@pytest.mark.parametrize("name", ["perturbench_rank_rmse", "perturbench_rank_cosine"])
def test_perturbench_ranks_predictions_by_their_distance_to_a_truth(name: str) -> None:
    inputs = toy_metric_inputs()
    # Another fold holds out one that lies between every prediction and its truth.
    other = Condition(Perturbation("OTHER+ctrl", ("OTHER",)), inputs.conditions[0].cell_type)
    elsewhere = Candidates(
        (other, *inputs.conditions[::-1]),
        np.concatenate((inputs.truth.mean(axis=0, keepdims=True), inputs.truth[::-1])),
    )
    metric = {spec.name: spec for spec in ranks.dygenept_metrics()}[name]
    found = metric.factory(metric.config())(replace(inputs, candidates=elsewhere))
    n = len(inputs.conditions)
    for row in range(n):
        truth, guesses = inputs.truth[row], inputs.predicted
        if name.endswith("rmse"):
            distances = np.sqrt(((guesses - truth) ** 2).mean(axis=1))
        else:
            guesses, truth = guesses - inputs.control, truth - inputs.control[row]
            norms = np.linalg.norm(guesses, axis=1) * np.linalg.norm(truth)
            distances = -(guesses @ truth) / norms
        place = list(np.argsort(distances)).index(row)
        assert found.values[row] == pytest.approx(place / n)
    assert found.chance == pytest.approx(np.full(n, (n - 1) / 2 / n))


def test_the_cosine_of_no_change_ties_with_every_candidate() -> None:
    inputs = small_metric_inputs(
        [[1.0, 1.0]] * 3, [[2.0, 1.0], [1.0, 2.0], [3.0, 3.0]], control=1.0
    )
    found = ranks.perturbation_discrimination_cosine(inputs)
    assert found.values == pytest.approx([2 / 3] * 3)


def test_distances_leave_the_target_genes_out() -> None:
    inputs = small_metric_inputs([[9.0, 1.0, 0.0]] * 2, [[9.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    inputs = replace(inputs, gene_symbols=("P0", "G1", "G2"))
    for metric in (
        ranks.perturbation_discrimination,
        ranks.perturbation_discrimination_l2,
        ranks.perturbation_discrimination_cosine,
    ):
        # P0 itself would find the first; without it, the second truth is the prediction.
        assert metric(inputs).values[0] == 0.5


def test_genes_without_control_expression_and_predictions_below_0_have_a_fold_change() -> None:
    means = np.array([[1.0, 0.0, -0.5, 0.0]])
    control = np.array([[0.0, 1.0, 1.0, 0.0]])
    found = de_set.log2_fold_change(means, control)
    assert found.tolist() == [[np.inf, -np.inf, -np.inf, 0.0]]


def test_no_significant_gene_is_undefined_and_counts_as_0_for_the_challenge() -> None:
    inputs = toy_metric_inputs()
    none = DeTests(np.zeros(inputs.truth.shape, dtype=bool), np.zeros(inputs.truth.shape))
    neutral = {spec.name: spec.neutral for spec in de_set.dygenept_metrics()}
    assert neutral["des"] == 0.0
    for spec in de_set.dygenept_metrics():
        result = spec.factory(spec.config())(replace(inputs, de_tests=none))
        assert np.isnan(result.values).all()


def test_weighted_r2_of_the_reference_itself_is_at_most_0() -> None:
    inputs = toy_metric_inputs()
    of_mean = replace(inputs, predicted=inputs.perturbed_mean)
    assert (wmse.weighted_r2_delta_perturbed_ref(of_mean).values <= 0).all()
    no_change = replace(inputs, truth=inputs.control)
    assert set(wmse.weighted_r2_delta(no_change).reasons.values()) == {wmse.CONSTANT}


def test_fold_changes_are_ranked_in_each_row_by_itself_with_ties() -> None:
    draw = np.random.default_rng(5)
    n, n_genes = 30, 50
    predicted, truth = draw.integers(0, 4, size=(2, n, n_genes)).astype(np.float64)
    shares = draw.choice([0.0, 0.05, 0.5, 1.0], size=n)
    is_significant = draw.random((n, n_genes)) < shares[:, None]
    predicted[3], is_significant[3] = 2.0, True  # A constant side.
    plain = small_metric_inputs(predicted.tolist(), truth.tolist(), control=1.0)
    inputs = replace(plain, de_tests=DeTests(is_significant, np.zeros((n, n_genes))))
    found = de_set.de_spearman_lfc(inputs)
    for row, mask in enumerate(is_significant):
        sides = predicted[row, mask], truth[row, mask]  # A fold change has the order of the mean.
        if mask.sum() < 2 or any(len(set(side)) == 1 for side in sides):
            assert np.isnan(found.values[row])
            assert found.reasons[row] == de_set.CONSTANT
        else:
            assert found.values[row] == pytest.approx(spearmanr(*sides).statistic, abs=1e-12)
    assert 0 < len(found.reasons) < n
