from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.data.effects.reading import read_effects
from dygenept.errors import PluginError
from dygenept.evaluation.effect_scoring import EffectScore, score_effects
from dygenept.types import PerturbationData, Predictions
from dygenept_plugins.effect_metrics import areas

LEAD, ANY, *_ = areas.dygenept_effect_metrics()


@pytest.fixture
def data(tmp_path: Path) -> PerturbationData:
    rng = np.random.default_rng(3)
    rows = [
        f"MED{pert + 1},G{gene},{int(rng.random() < 0.4 or gene + pert == 0)}"
        for pert in range(12)
        for gene in range(6)
        if gene > 0 or pert < 3
    ]
    path = tmp_path / "t.csv"
    path.write_text("pert,gene,label\n" + "\n".join(rows) + "\n")
    return read_effects(path)


def scores(data: PerturbationData, predicted: np.ndarray) -> dict[str, EffectScore]:
    found = score_effects(
        [(spec, spec.factory(spec.config())) for spec in (LEAD, ANY)],
        Predictions(data.conditions, predicted),
        data,
    )
    return {spec.name: item for spec, item in found}


def test_a_gene_with_few_pairs_counts_only_where_any_number_does(data: PerturbationData) -> None:
    assert data.effects is not None
    found = scores(data, np.random.default_rng(1).random(data.effects.values.shape))
    lead = found["auroc_gene_n5"]
    assert [
        name for name, value in zip(lead.names, lead.values, strict=True) if np.isnan(value)
    ] == ["G0"]
    assert not np.isnan(found["auroc_gene"].values).any()


def test_a_constant_is_worth_a_half_in_every_resample(data: PerturbationData) -> None:
    assert data.effects is not None
    found = scores(data, np.ones(data.effects.values.shape))["auroc_gene"]
    for draws in (found.resampled.genes, found.resampled.perturbations, found.resampled.pairs):
        np.testing.assert_allclose(draws, 0.5)
    assert found.chance == 0.5


def test_models_share_their_resamples(data: PerturbationData) -> None:
    assert data.effects is not None
    one = np.random.default_rng(1).random(data.effects.values.shape)
    first, second = scores(data, one)["auroc_gene"], scores(data, 2 * one)["auroc_gene"]
    apart = first.resampled.minus(second.resampled)
    assert apart.standard_error() == 0.0
    assert first.resampled.standard_error() > 0.02


def test_what_was_not_measured_changes_no_score(data: PerturbationData) -> None:
    assert data.effects is not None
    one = np.random.default_rng(1).random(data.effects.values.shape)
    other = np.where(data.effects.is_observed, one, 99.0)
    np.testing.assert_array_equal(
        scores(data, one)["auroc_gene"].values, scores(data, other)["auroc_gene"].values
    )


def test_a_prediction_that_is_not_finite_is_refused(data: PerturbationData) -> None:
    assert data.effects is not None
    with pytest.raises(PluginError, match="finite"):
        scores(data, np.full(data.effects.values.shape, np.nan))
