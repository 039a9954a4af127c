"""gi_correlation, gi_sign_top20, gi_overlap_top20 and gi_synergy on hand-made combinations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import TheilSenRegressor

import dygenept as dg
from dygenept.data.pseudobulk import pseudobulk
from dygenept.testing import small_metric_inputs, toy_data
from dygenept.types import Condition, MetricInputs, Perturbation
from dygenept_plugins.metrics import interactions


def pairs(n: int, *, n_genes: int = 60, seed: int = 0) -> MetricInputs:
    """Pairs with random singles, each its own blend of them, and a single at the end."""
    rng = np.random.default_rng(seed)
    control = rng.exponential(size=n_genes)
    singles = [rng.normal(size=(2, n_genes)) for _ in range(n)]
    shares = rng.uniform(0.2, 3.0, size=(n, 2, 1))
    noise = rng.normal(0, 0.2, size=(2, n, n_genes))
    truth = control + np.array([(a * b).sum(axis=0) for a, b in zip(shares, singles, strict=True)])
    lone = np.zeros((1, n_genes))
    plain = small_metric_inputs(
        np.concatenate([truth + noise[0], lone]),
        np.concatenate([truth + noise[1], lone]),
        control=control,
    )
    conditions = tuple(
        Condition(Perturbation(f"A{row}+B{row}", (f"A{row}", f"B{row}")), "cells")
        for row in range(n)
    )
    return replace(
        plain,
        conditions=(*conditions, plain.conditions[-1]),
        single_deltas=(*singles, None),
    )


def test_departures_are_what_the_singles_do_not_add_up_to() -> None:
    inputs = pairs(4)
    correlation = interactions.gi_correlation(inputs)
    signs = interactions.gi_sign_top20(inputs)
    overlap = interactions.gi_overlap_top20(inputs)
    for row in range(4):
        deltas = inputs.single_deltas[row]
        assert deltas is not None
        additive = inputs.control[row] + deltas[0] + deltas[1]
        guess, truth = inputs.predicted[row] - additive, inputs.truth[row] - additive
        assert correlation.values[row] == pytest.approx(pearsonr(guess, truth).statistic)
        top = np.argsort(-np.abs(truth))[:20]
        assert signs.values[row] == np.mean(np.sign(guess[top]) == np.sign(truth[top]))
        also = set(np.argsort(-np.abs(guess))[:20].tolist())
        assert overlap.values[row] == len(also & set(top.tolist())) / 20
    assert correlation.reasons == {4: interactions.NO_SINGLES}


def test_the_magnitude_is_that_of_theil_and_sen() -> None:
    inputs = pairs(3)
    for row in range(3):
        deltas = inputs.single_deltas[row]
        assert deltas is not None
        change = inputs.truth[row] - inputs.control[row]
        peer = TheilSenRegressor(fit_intercept=False, max_subpopulation=1e5, random_state=1000)
        expected = np.linalg.norm(peer.fit(deltas.T, change).coef_)
        assert interactions.magnitude(change, deltas) == pytest.approx(expected, abs=2e-3)


def test_synergy_asks_for_the_strongest_pairs_alone() -> None:
    inputs = pairs(14)
    found = interactions.gi_synergy(inputs)
    assert found.chance is not None
    deltas = [item for item in inputs.single_deltas if item is not None]
    sizes = [
        [interactions.magnitude(means[row] - inputs.control[row], deltas[row]) for row in range(14)]
        for means in (inputs.predicted, inputs.truth)
    ]
    guessed, strongest = (set(np.argsort(of)[-10:].tolist()) for of in sizes)
    assert set(np.flatnonzero(~np.isnan(found.values)).tolist()) == strongest
    assert np.nansum(found.values) == len(guessed & strongest)
    assert set(found.chance[sorted(strongest)].tolist()) == {10 / 14}
    perfect = interactions.gi_synergy(replace(inputs, predicted=inputs.truth))
    assert np.nanmean(perfect.values) == 1.0


def test_a_run_finds_the_singles_of_the_cell_type() -> None:
    data = toy_data()
    found = dg.bench(
        data, ["additive", "perturbed_mean"], folds=2, metrics=["gi_correlation"], progress=False
    )
    rows = found.per_perturbation().to_dicts()
    means, labels = pseudobulk(data), {item.label: item for item in data.conditions}
    singles = {item.genes for item in data.conditions if len(item.genes) == 1}
    n_seen = 0
    for row in rows:
        genes = labels[row["perturbation"]].genes
        is_whole = len(genes) > 1 and {(gene,) for gene in genes} <= singles
        if row["model"] == "perturbed_mean":
            assert (row["value"] is not None) == is_whole
            n_seen += is_whole
    assert n_seen > 0
    assert means.means.shape[0] == len(labels)
