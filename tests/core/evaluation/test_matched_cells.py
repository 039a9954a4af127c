"""Metrics of cells where controls are matched by batch: cells are moved as means are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from cells_in_batches import in_batches
from core.evaluation.two_batches import N_CELLS, N_CONTROLS, moved, screen
from scipy.spatial.distance import cdist

from dygenept.data import batches as matching
from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation import cell_samples as cell_samples_module
from dygenept.evaluation.batch_mix import mixed_rows
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.scoring import GroundTruth, metric_inputs
from dygenept.types import (
    DoubleArray,
    MetricInputs,
    MetricValues,
    PerturbationData,
    PredictedCells,
    Predictions,
)
from dygenept_plugins.metrics.cells import mmd, wasserstein
from dygenept_plugins.metrics.energy_distance import energy_distance

EVERY_CELL = max(N_CELLS, N_CONTROLS)


def energies(data: PerturbationData, changes: DoubleArray, *, seed: int = 1) -> DoubleArray:
    """Energy distance of control plus a change of each condition, (n,)."""
    means = pseudobulk(data)
    types = {kind: means.control_means[row] for row, kind in enumerate(data.cell_types)}
    predictions = Predictions(data.conditions, means.control_means[0] + changes)
    against = GroundTruth(
        data=data,
        pseudobulk=means,
        de=de_genes(data),
        cells=cell_samples(data, means, seed=seed),
    )
    return energy_distance(metric_inputs(predictions, against, train_means=types)).values


def true_change(data: PerturbationData) -> DoubleArray:
    means = pseudobulk(data)
    return means.means - means.control_means[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_true_change_scores_as_it_would_without_a_batch_effect(seed: int) -> None:
    clean, ignored, matched = (
        screen(effect=effect, is_matched=is_matched, seed=seed)
        for effect, is_matched in ((0.0, False), (1.0, False), (1.0, True))
    )
    without = energies(clean, true_change(clean))
    # The change that there would be without batches: ignored, they are most of the distance.
    before, after = (energies(data, true_change(clean)) for data in (ignored, matched))
    assert before.sum() > 3.0 * without.sum()
    assert (abs(after - without) < 0.35 * abs(before - without)).all()
    # The change within batches, which models are scored against.
    np.testing.assert_allclose(energies(matched, true_change(matched)), without, rtol=0.25)
    nothing = np.zeros_like(without)[:, None]
    assert (energies(matched, nothing) > 2.0 * energies(matched, true_change(matched))).all()


def test_samples_are_the_same_cells_without_batch_effects() -> None:
    data = screen(effect=1.0, is_matched=True)
    samples, plain = (
        cell_samples(of, pseudobulk(of), seed=3) for of in (data, replace(data, batches=None))
    )
    cells = moved(data)
    for row in range(2):
        chosen, controls = samples._store.real_rows[row], samples._store.control_rows[row]
        np.testing.assert_array_equal(plain._store.real_rows[row], chosen)
        np.testing.assert_allclose(samples.real(row), cells[chosen], atol=1e-12)
        np.testing.assert_allclose(samples.control(row), cells[controls], atol=1e-12)


def test_every_cell_together_has_the_mean_that_models_are_scored_against() -> None:
    data = screen(effect=1.0, is_matched=True)
    means = pseudobulk(data)
    samples = cell_samples(data, means, seed=0, max_cells=EVERY_CELL)
    for row in range(2):
        np.testing.assert_allclose(samples.real(row).mean(axis=0), means.means[row], atol=1e-10)
        np.testing.assert_allclose(samples.mean(row), means.means[row], atol=1e-12)
        np.testing.assert_allclose(
            samples.control(row).mean(axis=0), means.control_means[0], atol=1e-10
        )


# Every cell made dense, none, and (a share between those of controls and of cells) one side alone;
# with too many batches for sparse cells.
@pytest.mark.parametrize(("share", "most"), [(0.0, 9), (2.0, 9), (None, 9), (2.0, 2)])
def test_distances_and_projections_are_those_of_moved_cells(
    share: float | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_samples_module, "MOST_BATCHES", most)
    data = screen(effect=1.0, is_matched=True)
    means = pseudobulk(data)
    if share is None:
        plain = cell_samples(data, means, seed=2)._store
        filled = [
            data.expression[rows].nnz / (len(rows) * data.n_genes)
            for rows in (plain.control_rows[0], plain.real_rows[0])
        ]
        share = float(np.mean(filled))
        assert filled[0] != filled[1]
    monkeypatch.setattr(cell_samples_module, "SPARSE_SHARE", share)
    samples = cell_samples(data, means, seed=2)
    direction = np.random.default_rng(0).normal(size=data.n_genes)
    for row in range(2):
        control, real = samples.control(row), samples.real(row)
        found = samples.distances(row)
        np.testing.assert_allclose(found.squared, cdist(control, real) ** 2, rtol=1e-5)
        assert found.within_control == pytest.approx(cdist(control, control).mean(), rel=1e-6)
        assert found.within_real == pytest.approx(cdist(real, real).mean(), rel=1e-6)
        projected = samples.project(row, direction)
        np.testing.assert_allclose(projected[0], control @ direction, atol=1e-10)
        np.testing.assert_allclose(projected[1], real @ direction, atol=1e-10)


def test_projections_of_few_among_many_batches_are_the_same() -> None:
    data = screen(effect=1.0, is_matched=True)
    assert data.batches is not None
    rng = np.random.default_rng(0)
    others = rng.normal(size=(50, data.n_genes))
    rows = data.batches.rows.copy()
    rows[N_CONTROLS::7] = -1
    few = replace(data.batches, rows=rows)
    many = replace(few, offsets=np.concatenate((few.offsets, others)))
    direction = rng.normal(size=data.n_genes)
    for row in range(2):
        found, expected = (
            cell_samples(replace(data, batches=of), pseudobulk(data), seed=0) for of in (many, few)
        )
        for mine, theirs in zip(
            found.project(row, direction), expected.project(row, direction), strict=True
        ):
            np.testing.assert_allclose(mine, theirs, atol=1e-10)
        np.testing.assert_allclose(
            expected.project(row, direction)[1], expected.real(row) @ direction, atol=1e-10
        )


def test_cells_of_small_batches_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = screen(effect=1.0, is_matched=True)
    assert data.batches is not None
    monkeypatch.setattr(matching, "MIN_CONTROLS", N_CONTROLS)
    small, plain = (
        cell_samples(of, pseudobulk(of), seed=3)
        for of in (in_batches(data, data.batches.codes), replace(data, batches=None))
    )
    for row in range(2):
        for name in ("real", "real_mixed", "control"):
            np.testing.assert_array_equal(getattr(small, name)(row), getattr(plain, name)(row))
        np.testing.assert_array_equal(small.distances(row).squared, plain.distances(row).squared)


def test_real_cells_take_the_mix_of_batches_of_the_controls() -> None:
    data = screen(effect=1.0, is_matched=True)
    means = pseudobulk(data)
    samples = cell_samples(data, means, seed=0, max_cells=EVERY_CELL)
    dense = data.expression.toarray().astype(np.float64)
    for row in range(2):
        mixed, as_they_are = samples.real_mixed(row), dense[samples._store.real_rows[row]]
        n_moved = int((mixed != as_they_are).any(axis=1).sum())
        # Nine tenths lie in one batch, where half of the controls do.
        assert n_moved == pytest.approx(0.4 * N_CELLS, abs=0.08 * N_CELLS)
        # A factor of counts changes a mean of logarithms by what depends on the value.
        assert abs(mixed.mean(axis=0) - means.means[row]).mean() < 0.02
        assert ((mixed == 0) | (mixed > 0.6)).all()
        np.testing.assert_array_equal(mixed, samples.real_mixed(row))
    unmatched = cell_samples(replace(data, batches=None), means, seed=0)
    np.testing.assert_array_equal(unmatched.real_mixed(1), unmatched.real(1))


@pytest.mark.parametrize(("metric", "left"), [(mmd, 0.2), (wasserstein, 0.1)])
def test_cells_predicted_from_controls_are_charged_with_less_of_the_batches(
    metric: Callable[[MetricInputs], MetricValues], left: float
) -> None:
    def value(data: PerturbationData, cells: DoubleArray) -> DoubleArray:
        means = pseudobulk(data)
        predictions = Predictions(data.conditions, means.means)
        against = GroundTruth(
            data=data, pseudobulk=means, de=de_genes(data), cells=cell_samples(data, means, seed=1)
        )
        inputs = metric_inputs(
            predictions, against, train_means={data.cell_types[0]: means.control_means[0]}
        )
        both = tuple(cells.astype(np.float32) for _ in data.conditions)
        given = PredictedCells(both, means.means, np.ones(means.means.shape))
        found: DoubleArray = metric(replace(inputs, predicted_cells=given)).values
        return found

    def control(data: PerturbationData) -> DoubleArray:
        rows = np.flatnonzero(data.condition_codes < 0)[::4]
        return data.expression[rows].toarray()

    clean, ignored, matched = (
        screen(effect=effect, is_matched=is_matched, change=0.0)
        for effect, is_matched in ((0.0, False), (1.0, False), (1.0, True))
    )
    # Perturbations that do nothing: control cells are the right prediction.
    without, before, after = (value(of, control(of)) for of in (clean, ignored, matched))
    assert (before > 1.2 * without).all()
    assert (abs(after - without) < left * abs(before - without)).all()


def test_no_more_cells_than_needed_change_batch() -> None:
    rng = np.random.default_rng(0)
    rows = np.array([0, 0, 0, 0, 1, -1], dtype=np.int32)
    mixed = mixed_rows(rows, np.array([0.5, 0.5, 0.0]), rng)
    # Of the five cells with a batch, two or three are wanted in each.
    assert mixed[4:].tolist() == [1, -1]
    assert sorted(mixed[:4].tolist()) in ([0, 0, 0, 1], [0, 0, 1, 1])
    balanced = np.array([2, 1, 1, 2, -1], dtype=np.int32)
    for shares in ([0.0, 0.5, 0.5], [0.0, 0.0, 0.0]):
        found = mixed_rows(balanced, np.array(shares), rng)
        assert found.tolist() == balanced.tolist()
    alone = np.array([-1, -1], dtype=np.int32)
    assert mixed_rows(alone, np.array([1.0]), rng).tolist() == [-1, -1]


@pytest.mark.parametrize("seed", range(5))
def test_the_mix_has_the_wanted_shares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 6, size=97).astype(np.int32)
    shares = rng.dirichlet(np.ones(6))
    mixed = mixed_rows(rows, shares, np.random.default_rng(seed))
    n = int((rows >= 0).sum())
    counts = np.bincount(mixed[mixed >= 0], minlength=6)
    assert counts.sum() == n
    assert (abs(counts - n * shares) < 1.0).all()
    before = np.bincount(rows[rows >= 0], minlength=6)
    assert int((mixed != rows).sum()) == int(np.maximum(before - counts, 0).sum())
    np.testing.assert_array_equal(mixed_rows(rows, shares, np.random.default_rng(seed)), mixed)


def test_with_more_batches_than_cells_each_batch_has_its_share_on_average() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(60, 5.0))
    n_draws, n_cells = 2000, 20
    counts = np.zeros(len(shares))
    for _ in range(n_draws):
        rows = rng.choice(len(shares), size=n_cells, p=shares).astype(np.int32)
        counts += np.bincount(mixed_rows(rows, shares, rng), minlength=len(shares))
    wanted = n_cells * shares
    # A batch that is wanted less than once gets a cell in that share of draws.
    spread = np.sqrt(wanted * (1.0 - wanted).clip(min=0.0) / n_draws)
    assert wanted.max() < 1.0
    assert (abs(counts / n_draws - wanted) < 4.5 * spread).all()
