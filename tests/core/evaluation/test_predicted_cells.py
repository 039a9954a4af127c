"""Cells that a model predicts: what is refused, and their tests against control cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import A, B, X, Y, cells_data
from core.evaluation.two_batches import screen
from scipy import stats

from dygenept.data.de.rank_sum import rank_sum_p_values
from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import PluginError
from dygenept.evaluation import predicted_cells
from dygenept.evaluation.predicted_cells import CellTester, checked_cells
from dygenept.types import Condition, DoubleArray, PerturbationData, Predictions

WHERE = (Condition(A, X), Condition(B, X))


def cells_of(*sizes: int, n_genes: int = 2) -> list[np.ndarray]:
    return [np.full((size, n_genes), number - 0.5) for number, size in enumerate(sizes)]


def test_one_to_a_hundred_cells_of_each_condition_are_taken() -> None:
    first, second = checked_cells(cells_of(1, 100), WHERE, 2)
    assert (first.shape, second.shape) == ((1, 2), (100, 2))
    assert (first.dtype, second.dtype) == (np.float32, np.float32)
    # Below 0 there is no expression.
    assert first.tolist() == [[0, 0]]
    assert second[0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (cells_of(3), "^1 sets of cells for 2 conditions$"),
        (cells_of(3, 3, 3), "^3 sets of cells for 2 conditions$"),
        (cells_of(3, 0), r"^predicted cells of 'B\+ctrl' are \(0, 2\); expected 1 to 100 cells of"),
        (cells_of(101, 3), r"^predicted cells of 'A\+ctrl' are \(101, 2\); expected 1 to 100"),
        (cells_of(3, 3, n_genes=3), r"'A\+ctrl' are \(3, 3\); expected 1 to 100 cells of 2 genes"),
        ([np.ones((3, 2)), np.ones(2)], r"'B\+ctrl' are \(2,\)"),
        ([np.ones((3, 2)), np.ones((2, 2, 2))], r"'B\+ctrl' are \(2, 2, 2\)"),
        ([np.ones((3, 2)), np.array([[1.0, np.nan]])], r"'B\+ctrl' are NaN or infinite$"),
        (
            [np.ones((3, 2)), np.ones((3, 2)) * 1j],
            r"'B\+ctrl' must be real numbers, got complex128",
        ),
        ([np.array([["1", "2"]]), np.ones((3, 2))], r"'A\+ctrl' must be real numbers, got <U1"),
        ([np.array([[np.inf, 1.0]]), np.ones((3, 2))], r"'A\+ctrl' are NaN or infinite$"),
    ],
)
def test_what_are_no_cells_of_the_conditions_is_refused(
    cells: list[np.ndarray], message: str
) -> None:
    with pytest.raises(PluginError, match=message):
        checked_cells(cells, WHERE, 2)


def test_each_gene_is_tested_against_all_controls_of_the_cell_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = cells_data()
    made: list[int] = []
    plain = predicted_cells.ControlCellsTest

    def counted(control: object) -> object:
        made.append(control.shape[0])  # type: ignore[attr-defined]
        return plain(control)  # type: ignore[arg-type]

    monkeypatch.setattr(predicted_cells, "ControlCellsTest", counted)
    rng = np.random.default_rng(0)
    where = (Condition(A, X), Condition(A, Y), Condition(B, X))
    cells = tuple(rng.integers(0, 12, (6, 2)).astype(np.float32) for _ in where)
    tester = CellTester(data)
    found = tester(Predictions(where, np.ones((3, 2)), cells=cells))
    assert found is not None
    # The control cells of each type are sorted once, for both conditions and the next call.
    tester(Predictions(where[:1], np.ones((1, 2)), cells=cells[:1]))
    assert made == [3, 2]
    assert found.cells is cells
    dense = data.expression.toarray()
    for row, condition in enumerate(where):
        controls = dense[[0, 6, 11] if condition.cell_type == X else [4, 10]]
        p_values = [
            stats.mannwhitneyu(cells[row][:, gene], controls[:, gene], method="asymptotic").pvalue
            for gene in range(2)
        ]
        expected = stats.false_discovery_control(p_values)
        np.testing.assert_allclose(found.adjusted_p[row], expected, rtol=1e-6)
        np.testing.assert_allclose(found.means[row], cells[row].mean(axis=0))
    assert found.adjusted_p.dtype == np.float64
    assert tester(Predictions(where, np.ones((3, 2)))) is None


def adjusted(data: PerturbationData, batches: bool) -> tuple[DoubleArray, DoubleArray]:
    """Test every real cell of a screen as if it were predicted: adjusted p, and means."""
    codes, of_batch = data.condition_codes, data.batches
    assert of_batch is not None
    own = [np.flatnonzero(codes == row) for row in range(len(data.conditions))]
    cells = tuple(data.expression[rows].toarray() for rows in own)
    given = Predictions(
        data.conditions,
        np.ones((len(own), data.n_genes)),
        cells=cells,
        cell_batches=tuple(of_batch.rows[rows] for rows in own) if batches else None,
    )
    found = CellTester(data)(given)
    assert found is not None
    assert found.name_batches == batches
    return found.adjusted_p, found.means


def test_cells_that_name_their_batch_are_tested_as_real_cells_are() -> None:
    data = screen(effect=1.0, is_matched=True)
    assert data.batches is not None
    # Some cells lie in no batch, and are compared with all controls.
    rows = np.where(np.arange(data.n_cells) % 7 == 0, -1, data.batches.rows)
    rows[data.condition_codes < 0] = data.batches.rows[data.condition_codes < 0]
    data = replace(data, batches=replace(data.batches, rows=rows.astype(np.int32)))
    p_values, means = adjusted(data, batches=True)
    expected = stats.false_discovery_control(rank_sum_p_values(data), axis=1)
    np.testing.assert_allclose(p_values, expected, rtol=1e-12)
    np.testing.assert_allclose(means, pseudobulk(data).means, atol=1e-6)


def test_a_batch_is_no_effect_in_cells_that_name_it() -> None:
    # Perturbations that do nothing, nine tenths of whose cells lie in one of two batches.
    data = screen(effect=1.0, is_matched=True, change=0.0)
    (named, _), (unnamed, _) = (adjusted(data, batches=batches) for batches in (True, False))
    assert (named < 0.05).sum() <= 1
    assert ((unnamed < 0.05).sum(axis=1) > 0.3 * data.n_genes).all()
