"""Halves of controls, and how many there are, where controls are matched by batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cells_in_batches import in_batches, of_one_type
from core.evaluation.two_batches import N_CELLS, N_CONTROLS, moved, screen

from dygenept.data import batches as matching
from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation.control_cells import control_half_means, count_controls
from dygenept.evaluation.scoring import GroundTruth, metric_inputs
from dygenept.machine import tables
from dygenept.types import DoubleArray, Perturbation, PerturbationData, Predictions
from dygenept_plugins.metrics.split_control import pearson_delta_split_control

T = "t"


def many_batches(*, n_batches: int, n_controls: int, per_batch: int, seed: int) -> PerturbationData:
    """Noise in batches of few controls; each perturbation has 40 cells of one batch, no effect."""
    rng = np.random.default_rng(seed)
    n, n_genes, n_cells = n_batches * per_batch, 200, 40
    codes = np.repeat(np.arange(-1, n), [n_batches * n_controls, *[n_cells] * n], axis=0).astype(
        np.int32
    )
    batch = np.concatenate(
        (
            np.repeat(np.arange(n_batches), n_controls),
            np.repeat(np.arange(n) % n_batches, n_cells),
        )
    ).astype(np.int32)
    values = 3.0 + rng.normal(0.0, 1.0, (n_batches, n_genes))[batch]
    values += rng.normal(0.0, 1.0, values.shape)
    labels = tuple(f"P{number:02d}+ctrl" for number in range(n))
    perturbations = [Perturbation(of, (of[:3],)) for of in labels]
    return of_one_type(values, codes, perturbations, cell_type=T, batch=batch)


def correlations(data: PerturbationData, seed: int = 0) -> tuple[DoubleArray, DoubleArray]:
    """Usual and split correlation of each condition with the others of its batch."""
    means = pseudobulk(data)
    n_batches = len(data.batches.names) if data.batches is not None else 1
    n = len(data.conditions)
    of_batch = np.arange(n) % n_batches
    others = np.array(
        [
            means.means[(of_batch == of_batch[row]) & (np.arange(n) != row)].mean(axis=0)
            for row in range(n)
        ]
    )
    inputs = metric_inputs(
        Predictions(data.conditions, others),
        GroundTruth(
            data=data,
            pseudobulk=means,
            de=de_genes(data),
            control_halves=control_half_means(data, seed=seed),
        ),
        train_means={T: means.control_means[0]},
    )
    usual = [
        np.corrcoef(one, other)[0, 1]
        for one, other in zip(
            inputs.predicted - inputs.control, inputs.truth - inputs.control, strict=True
        )
    ]
    return np.array(usual), pearson_delta_split_control(inputs).values


@pytest.mark.parametrize("seed", range(3))
def test_split_controls_take_the_noise_of_a_batchs_controls_away(seed: int) -> None:
    data = many_batches(n_batches=8, n_controls=12, per_batch=4, seed=seed)
    usual, split = correlations(data)
    # 12 controls beside 40 and 120 cells: most of what two changes share is the controls' noise.
    assert usual.mean() > 0.6
    assert abs(split.mean()) < 0.08


def test_few_controls_of_a_batch_are_few_however_many_there_are_in_all() -> None:
    data = many_batches(n_batches=8, n_controls=50, per_batch=2, seed=0)
    n_own = pseudobulk(data).n_cells
    found = count_controls(data, n_own)
    assert found.n_cells == {T: 400}
    assert found.noise_shares == {T: pytest.approx(40 / 90)}
    assert count_controls(replace(data, batches=None), n_own).noise_shares == {
        T: pytest.approx(40 / 440)
    }


def test_controls_in_equal_proportions_count_as_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = many_batches(n_batches=4, n_controls=20, per_batch=2, seed=0)
    assert data.batches is not None
    spread = np.arange(data.n_cells, dtype=np.int32) % 4
    n_own = pseudobulk(data).n_cells

    def share(batch: np.ndarray) -> float:
        (value,) = count_controls(in_batches(data, batch), n_own).noise_shares.values()
        return value

    assert share(spread) == pytest.approx(40 / 120)
    # A quarter of the cells has too few controls of its own and is compared with all 80: as if
    # their mean were that of a quarter of 80 cells and of three quarters of three batches of 20.
    is_control = data.condition_codes < 0
    small = spread.copy()
    small[is_control & (spread == 3)] = 2
    noise = 2 * 0.25**2 / 20 + 0.25**2 / 40 + (1 - 0.75**2) / 80
    assert share(small) == pytest.approx(40 / (40 + 1 / noise))
    monkeypatch.setattr(matching, "MIN_CONTROLS", 1000)
    assert share(spread) == pytest.approx(40 / 120)


def test_halves_of_batches_are_disjoint_and_add_up() -> None:
    data = screen(effect=1.0, is_matched=True)
    assert data.batches is not None
    means, cells = pseudobulk(data), moved(data)
    halves = control_half_means(data, seed=3)
    assert halves.of_batches is not None
    for row in range(2):
        own = (data.condition_codes < 0) & (data.batches.rows == row)
        n, first = int(own.sum()), int(own.sum()) // 2
        both = first * halves.of_batches[0, row] + (n - first) * halves.of_batches[1, row]
        # Without batch effects the controls of every batch have one mean.
        np.testing.assert_allclose(both / n, means.control_means[0], atol=1e-9)
        np.testing.assert_allclose(both / n, cells[own].mean(axis=0), atol=1e-9)
    n_second = [np.mean(data.batches.rows[data.condition_codes == row] == 1) for row in range(2)]
    for row, share in enumerate(n_second):
        expected = (1 - share) * halves.of_batches[:, 0] + share * halves.of_batches[:, 1]
        np.testing.assert_allclose(halves.of_condition(row, 0), expected, atol=1e-12)
    again, other = (control_half_means(data, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(again.of_batches, halves.of_batches)
    assert not np.array_equal(other.of_batches, halves.of_batches)
    assert N_CELLS < N_CONTROLS


def test_cells_without_controls_of_their_batch_are_measured_from_all(tmp_path: object) -> None:
    data = screen(effect=1.0, is_matched=True)
    assert data.batches is not None
    rows = data.batches.rows.copy()
    # The second condition lies in no batch, and the first one with every other cell.
    rows[data.condition_codes == 1] = -1
    rows[np.flatnonzero(data.condition_codes == 0)[::2]] = -1
    halves = control_half_means(replace(data, batches=replace(data.batches, rows=rows)), seed=0)
    np.testing.assert_array_equal(halves.of_condition(1, 0), halves.of_types[:, 0])
    assert halves.shares is not None
    assert halves.shares[0].sum() == pytest.approx(0.5)
    assert halves.of_batches is not None
    inside = np.tensordot(halves.shares[0].toarray()[0], np.nan_to_num(halves.of_batches), (0, 1))
    np.testing.assert_allclose(
        halves.of_condition(0, 0), inside + 0.5 * halves.of_types[:, 0], atol=1e-12
    )


def test_halves_are_laid_out_condition_by_condition_in_memory_and_in_files(
    tmp_path: pytest.TempPathFactory,
) -> None:
    data = screen(effect=1.0, is_matched=True)
    means = pseudobulk(data)
    halves = control_half_means(data, seed=0)
    kept = tables.zeros(means.means.shape, np.float64, folder=tmp_path)
    kept[:] = means.means
    for of in (means, replace(means, means=kept)):
        inputs = metric_inputs(
            Predictions(data.conditions, means.means),
            GroundTruth(data=data, pseudobulk=of, de=de_genes(data), control_halves=halves),
            train_means={T: means.control_means[0]},
        )
        assert inputs.control_halves is not None
        for row in range(2):
            np.testing.assert_array_equal(
                inputs.control_halves[:, row], halves.of_condition(row, 0)
            )
