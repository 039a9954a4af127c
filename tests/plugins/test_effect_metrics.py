from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peers

from dygenept.plugin.specs import EffectMetricSpec
from dygenept.testing.effect_metric_checks import N_GROUPS, toy_pairs
from dygenept.types import DoubleArray, GroupedPairs
from dygenept_plugins.effect_metrics import agreement, areas

SPECS: dict[str, EffectMetricSpec] = {
    spec.name: spec
    for spec in (*areas.dygenept_effect_metrics(), *agreement.dygenept_effect_metrics())
}


def value(name: str, pairs: GroupedPairs) -> DoubleArray:
    spec = SPECS[name]
    return spec.factory(spec.config())(pairs)[0]


def by_group(pairs: GroupedPairs, peer) -> DoubleArray:  # type: ignore[no-untyped-def]
    found = np.full(N_GROUPS, np.nan)
    for group in range(N_GROUPS):
        own = pairs.groups == group
        found[group] = peer(pairs.truth[own], pairs.predicted[own])
    return found


def both_labels(peer):  # type: ignore[no-untyped-def]
    return lambda y, p: peer(y, p) if 0 < y.sum() < len(y) else np.nan


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("auroc_gene", peers.roc_auc_score),
        ("auroc_gene_n5", peers.roc_auc_score),
        ("auroc_perturbation", peers.roc_auc_score),
        ("auprc_gene", peers.average_precision_score),
        ("auprc_perturbation", peers.average_precision_score),
    ],
)
def test_areas_are_those_of_scikit_learn(name: str, peer) -> None:  # type: ignore[no-untyped-def]
    pairs = toy_pairs("labels")
    expected = by_group(pairs, both_labels(peer))
    np.testing.assert_allclose(value(name, pairs), expected, atol=1e-12)
    assert np.isnan(expected).tolist() == [False, True, True, False, False]


def test_the_areas_of_signs_are_those_of_their_sizes() -> None:
    pairs = toy_pairs("signs")
    expected = by_group(
        pairs,
        lambda y, p: (
            peers.roc_auc_score(y != 0, np.abs(p)) if 0 < (y != 0).sum() < len(y) else np.nan
        ),
    )
    np.testing.assert_allclose(value("auroc_gene", pairs), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "peer"),
    [("pearson_perturbation", stats.pearsonr), ("spearman_perturbation", stats.spearmanr)],
)
def test_correlations_are_those_of_scipy(name: str, peer) -> None:  # type: ignore[no-untyped-def]
    pairs = toy_pairs("values")
    found = value(name, pairs)
    for group in (0, 3, 4):
        own = pairs.groups == group
        expected = peer(pairs.truth[own], pairs.predicted[own]).statistic
        assert found[group] == pytest.approx(expected, abs=1e-12)
    # A constant truth, and a single pair.
    assert np.isnan(found[[1, 2]]).all()


def test_the_error_is_the_mean_over_measured_pairs() -> None:
    pairs = toy_pairs("values")
    expected = by_group(pairs, lambda y, p: np.mean((y - p) ** 2))
    np.testing.assert_allclose(value("mse_observed", pairs), expected)


def test_the_brier_score_is_that_of_scikit_learn_and_sees_what_areas_do_not() -> None:
    pairs = toy_pairs("labels")
    cut_off = np.clip(pairs.predicted, 0, 1)
    assert not np.array_equal(cut_off, pairs.predicted)
    expected = by_group(replace(pairs, predicted=cut_off), lambda y, p: np.mean((y - p) ** 2))
    np.testing.assert_allclose(value("brier_perturbation", pairs), expected)
    own = pairs.groups == 0
    peer = peers.brier_score_loss(pairs.truth[own], cut_off[own])
    assert value("brier_perturbation", pairs)[0] == pytest.approx(peer)
    calibrated = replace(pairs, predicted=0.25 + 0.5 * pairs.truth)
    overconfident = replace(pairs, predicted=0.9 + 0.1 * pairs.truth)
    areas_of = [value("auroc_perturbation", of) for of in (calibrated, overconfident)]
    np.testing.assert_array_equal(*areas_of)
    briers = [value("brier_perturbation", of) for of in (calibrated, overconfident)]
    assert briers[0][0] == pytest.approx(1 / 16)
    assert briers[1][0] > 0.2


def test_agreement_of_signs_worked_by_hand() -> None:
    pairs = GroupedPairs(
        kind="signs",
        groups=np.zeros(5, dtype=np.int32),
        n_groups=1,
        truth=np.array([1.0, -1.0, 1.0, 0.0, 0.0]),
        predicted=np.array([0.9, 0.2, 0.0, 0.5, -0.1]),
        counts=np.ones((1, 5)),
    )
    # Of three significant genes the first has its sign; the third has none.
    assert value("direction_match", pairs)[0] == pytest.approx(1 / 3)
    # The three largest are genes 1, 4 and 2: two of three are significant, of four in all.
    assert value("significant_jaccard", pairs)[0] == pytest.approx(2 / 4)
