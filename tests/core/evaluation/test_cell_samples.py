"""Samples of cells: who is drawn, distances and projections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core.evaluation.small_cells import BULK, cells_data
from scipy import sparse

from dygenept.evaluation import cell_samples as cell_samples_module
from dygenept.evaluation.cell_samples import cell_samples, samples_of
from dygenept.machine.tables import in_file


def test_small_groups_of_cells_are_taken_whole() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    assert samples.control(0)[:, 0].tolist() == [0, 6, 11]
    assert samples.control(1)[:, 0].tolist() == [4, 10]
    assert samples.control(2)[:, 0].tolist() == [0, 6, 11]
    assert samples.real(0)[:, 0].tolist() == [1, 5, 8]
    assert samples.real(1)[:, 0].tolist() == [3, 9]
    assert samples.real(2)[:, 0].tolist() == [2, 7]
    assert samples.real(2).dtype == np.float64
    np.testing.assert_array_equal(samples.mean(1), [3.0, 5.0])


def test_large_groups_are_drawn_by_seed_without_replacement_and_sorted() -> None:
    samples = cell_samples(cells_data(), BULK, seed=5, max_cells=2)
    rng = np.random.default_rng([5, 0])
    of_x = np.sort(rng.choice([0, 6, 11], size=2, replace=False))
    assert samples.control(0)[:, 0].tolist() == of_x.tolist()
    assert samples.control(1)[:, 0].tolist() == [4, 10]
    rng = np.random.default_rng([5, 1])
    drawn = np.sort(rng.choice([1, 5, 8], size=2, replace=False))
    assert samples.real(0)[:, 0].tolist() == drawn.tolist()
    seeds = {
        tuple(cell_samples(cells_data(), BULK, seed=seed, max_cells=1).real(0)[:, 0].tolist())
        for seed in range(12)
    }
    assert len(seeds) == 3


def test_a_hundred_cells_are_the_most_by_default() -> None:
    data = cells_data()
    rows = np.zeros(101, dtype=np.int64) + 1
    large = replace(
        data,
        expression=data.expression[rows],
        condition_codes=np.zeros(101, dtype=np.int32),
        cell_type_codes=np.zeros(101, dtype=np.int32),
    )
    assert len(cell_samples(large, BULK, seed=0).real(0)) == 100


def test_distances_are_euclidean_and_include_each_cell_with_itself() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    control, real = samples.control(0), samples.real(0)

    def pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.array([[np.linalg.norm(one - other) for other in right] for one in left])

    found = samples.distances(0)
    np.testing.assert_allclose(found.squared, pairs(control, real) ** 2, rtol=1e-6)
    assert found.squared.dtype == np.float32
    assert found.within_control == pytest.approx(pairs(control, control).mean())
    assert found.within_real == pytest.approx(pairs(real, real).mean())
    assert samples.distances(0) is found
    other = samples.distances(1)
    assert other.within_control == pytest.approx(
        pairs(samples.control(1), samples.control(1)).mean()
    )
    # Conditions of one cell type share their controls.
    assert samples.distances(2).within_control == found.within_control


def test_distances_are_kept_in_a_file_where_tables_are(tmp_path: Path) -> None:
    data = replace(cells_data(), tables=tmp_path)
    plain, samples = (cell_samples(of, BULK, seed=0) for of in (cells_data(), data))
    # Two controls beside two cells, three beside two, three beside three: no table is mixed up.
    for row in (1, 2, 0, 2, 1):
        found, expected = samples.distances(row), plain.distances(row)
        np.testing.assert_array_equal(found.squared, expected.squared)
        assert found.squared.dtype == expected.squared.dtype == np.float32
        assert found.within_control == expected.within_control
        assert found.within_real == expected.within_real
        assert in_file(found.squared)
        assert not in_file(expected.squared)
    assert samples.distances(2) is samples.distances(2)
    few = cell_samples(data, BULK, seed=0, max_cells=2)
    assert few.distances(0).squared.shape == (2, 2)


def test_there_is_one_sample_per_condition() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    assert len(samples._store.real_rows) == len(samples._store.control_rows) == 3
    with pytest.raises(IndexError):
        samples.real(3)


def test_samples_of_a_mask_or_of_positions_are_in_their_order() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    assert samples.take(np.array([True, False, True])).mean(1).tolist() == [2.0, 0.0]
    assert samples.take([1]).take([0]).mean(0).tolist() == [3.0, 5.0]


def test_a_group_of_exactly_the_most_cells_is_taken_whole_and_in_order() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0, max_cells=3)
    assert samples.real(0)[:, 0].tolist() == [1, 5, 8]
    assert samples.control(0)[:, 0].tolist() == [0, 6, 11]
    # More controls do not change which perturbed cells are drawn.
    codes = cells_data().condition_codes.copy()
    codes[2] = -1
    more = cell_samples(replace(cells_data(), condition_codes=codes), BULK, seed=4, max_cells=2)
    plain = cell_samples(cells_data(), BULK, seed=4, max_cells=2)
    np.testing.assert_array_equal(more.real(0), plain.real(0))


def test_taken_samples_keep_the_order_and_the_distances() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    known = samples.distances(2)
    taken = samples.take([2, 0])
    assert taken.distances(0) is known
    assert taken.real(1)[:, 0].tolist() == [1, 5, 8]
    assert taken.take(np.array([False, True])).real(0)[:, 0].tolist() == [1, 5, 8]


def test_projections_are_inner_products() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    control, real = samples.project(2, np.array([1.0, -2.0]))
    np.testing.assert_allclose(control, samples.control(2) @ [1.0, -2.0])
    np.testing.assert_allclose(real, samples.real(2) @ [1.0, -2.0])
    assert control.shape == (3,)


def test_cells_at_hand_make_samples_of_their_own() -> None:
    samples = samples_of(
        sparse.csr_matrix(np.arange(8.0, dtype=np.float32).reshape(4, 2)),
        control_rows=(np.array([0]), np.array([0])),
        real_rows=(np.array([1, 2]), np.array([3])),
        means=np.array([[3.0, 4.0], [6.0, 7.0]]),
    )
    assert samples.control(1).tolist() == [[0, 1]]
    assert samples.real(0).tolist() == [[2, 3], [4, 5]]
    assert samples.real(1).tolist() == [[6, 7]]
    assert samples.mean(1).tolist() == [6, 7]


@pytest.mark.parametrize("densities", [(0.01, 0.01), (0.01, 0.2), (0.2, 0.01), (0.2, 0.2)])
def test_distances_of_sparse_and_dense_cells_are_those_of_their_values(
    densities: tuple[float, float],
) -> None:
    control, real = (
        sparse.random(12, 400, density=density, format="csr", dtype=np.float32, random_state=seed)
        for seed, density in enumerate(densities)
    )
    samples = samples_of(
        sparse.vstack([control, real]).tocsr(),
        control_rows=(np.arange(12),),
        real_rows=(np.arange(12, 24),),
        means=np.zeros((1, 400)),
    )
    found = samples.distances(0)
    left, right = control.toarray().astype(np.float64), real.toarray().astype(np.float64)
    squares = ((left[:, None] - right[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(found.squared, squares, rtol=1e-6)
    for within, cells in ((found.within_control, left), (found.within_real, right)):
        among = np.sqrt(((cells[:, None] - cells[None]) ** 2).sum(axis=2)).mean()
        # A cell's distance to itself is the root of what cancellation leaves.
        assert within == pytest.approx(among, rel=1e-7)


@pytest.mark.parametrize(("n_stored", "is_sparse"), [(1, True), (2, False), (64, False)])
def test_cells_of_which_a_32nd_is_stored_are_made_dense(n_stored: int, is_sparse: bool) -> None:
    values = np.zeros(64, dtype=np.float32)
    values[:n_stored] = np.arange(1, n_stored + 1)
    cells = cell_samples_module._Cells(sparse.csr_matrix(values.reshape(8, 8)))
    assert (cells._dense is None) is is_sparse
    assert (cells._stored is None) is not is_sparse
    other = cell_samples_module._Cells(sparse.csr_matrix(np.eye(8, dtype=np.float32) * 3))
    few = cell_samples_module._Cells(sparse.csr_matrix(([2.0], ([1], [2])), shape=(3, 8)))
    dense = values.reshape(8, 8).astype(np.float64)
    for beside, its in ((other, np.eye(8) * 3), (few, few._whole()), (cells, dense)):
        expected = [[((one - two) ** 2).sum() for two in its] for one in dense]
        np.testing.assert_allclose(cells.squared_distances(beside), expected)
        np.testing.assert_allclose(beside.squared_distances(cells), np.transpose(expected))


def test_squares_of_equal_cells_are_not_below_zero() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(1e4, 1.0, (30, 20)).astype(np.float32)
    cells = cell_samples_module._Cells(sparse.csr_matrix(rows))
    assert (cells.squared_distances(cells) >= 0.0).all()


def test_distances_within_controls_are_computed_once_per_cell_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    plain = cell_samples_module._Cells

    def counted(stored: sparse.csr_matrix, moves: None) -> object:
        made.append(stored.shape[0])
        return plain(stored, moves)

    monkeypatch.setattr(cell_samples_module, "_Cells", counted)
    samples = cell_samples(cells_data(), BULK, seed=0)
    for row in (0, 2, 1, 0, 2):
        samples.distances(row)
    # The controls of x, the three conditions' own, and the controls of y before its condition's.
    assert made == [3, 3, 2, 2, 2]
