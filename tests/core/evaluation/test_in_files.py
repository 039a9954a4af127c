"""What is computed from tables in files is in files too, and the same as in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core.evaluation.small_cells import BULK, A, B, C, X, Y, cells_data

from dygenept.evaluation.candidate_ranks import (
    Rivals,
    Truths,
    of_rivals,
    products,
    rivals,
    squared_distances,
)
from dygenept.evaluation.closed_form import ClosedFormModel, scored_halves
from dygenept.evaluation.held_out import HeldOutPool
from dygenept.evaluation.manhattan import Manhattan, manhattan
from dygenept.evaluation.reference import TrainView, train_view
from dygenept.evaluation.rows import change
from dygenept.machine.tables import in_file, zeros
from dygenept.types import (
    Candidates,
    Condition,
    DoubleArray,
    Fold,
    MetricInputs,
    Predictions,
    Task,
)

Filed = Callable[[DoubleArray], DoubleArray]
VALUES = np.array([[1.0, 4.0, 2.0], [3.0, 3.0, 7.0], [0.0, 5.0, 1.0]])
CONDITIONS = tuple(Condition(item, X) for item in (A, B, C))


@pytest.fixture
def filed(tmp_path: Path) -> Filed:
    """Copies an array into a file."""

    def copy(array: DoubleArray) -> DoubleArray:
        found = zeros(array.shape, array.dtype.type, folder=tmp_path)
        found[:] = array
        return found

    return copy


def same(found: DoubleArray, expected: DoubleArray) -> None:
    assert in_file(found)
    assert not in_file(expected)
    assert found.dtype == expected.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def test_changes_and_distances(filed: Filed) -> None:
    other = VALUES[:2] * 2.0
    same(change(filed(VALUES), VALUES[0]), change(VALUES, VALUES[0]))
    for compute in (products, squared_distances, manhattan):
        same(compute(other, filed(VALUES)), compute(other, VALUES))
        # The second side decides, which is that of the candidates.
        assert not in_file(compute(filed(other), VALUES))
    distances, plain = Manhattan(filed(VALUES)), Manhattan(VALUES)
    same(distances.exact(other), plain.exact(other))
    same(distances.rough(other), plain.rough(other))


def test_what_truths_keep(filed: Filed) -> None:
    stored, plain = (Truths(of, CONDITIONS) for of in (filed(VALUES), VALUES))
    control = np.array([1.0, 1.0, 2.0])
    same(stored.delta(control)[0], plain.delta(control)[0])
    np.testing.assert_array_equal(stored.delta(control)[1], plain.delta(control)[1])
    genes = [truths.of_genes([2, 0], lambda: [0, 2]) for truths in (stored, plain)]
    np.testing.assert_array_equal(*genes)
    assert stored._gathered is not None
    assert in_file(stored._gathered[1])
    alike = np.repeat(VALUES[:1] + 0.5, 2, axis=0)
    for predicted in (alike, VALUES[[1, 0]], VALUES[[1, 0]], VALUES[[2, 0]]):
        found, expected = (
            truths.distances("l1", predicted, lambda rows: manhattan(rows, VALUES))
            for truths in (stored, plain)
        )
        np.testing.assert_array_equal(found, expected)
    # Known rows and rows that are alike go into a table of their own.
    for predicted in (alike, VALUES[[1, 0]]):
        assert in_file(stored.distances("l1", predicted, lambda rows: manhattan(rows, VALUES)))
    large = Truths(filed(VALUES), CONDITIONS)
    assert large.delta(control)[0] is large.delta(control)[0]


def test_changes_of_tables_in_files_are_kept_however_large(
    filed: Filed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dygenept.evaluation.candidate_ranks.MOST_BYTES", 0)
    for values, is_kept in ((filed(VALUES), True), (VALUES, False)):
        truths = Truths(values, CONDITIONS)
        first, second = (truths.delta(VALUES[0])[0] for _ in range(2))
        assert (first is second) is is_kept


def test_rows_of_a_cell_type(filed: Filed) -> None:
    own = np.zeros(2, dtype=np.intp)
    among = Rivals(np.array([2, 0]), Truths(VALUES, CONDITIONS), own)
    same(of_rivals(filed(VALUES), among), of_rivals(VALUES, among))
    conditions = (*CONDITIONS[:2], Condition(A, Y))
    for table, is_filed in ((filed(VALUES), True), (VALUES, False)):
        inputs = MetricInputs(
            conditions=conditions,
            predicted=VALUES,
            truth=VALUES,
            control=VALUES,
            perturbed_mean=VALUES,
            de_indices=np.zeros((3, 20), dtype=np.int32),
            gene_symbols=("a", "b", "c"),
            candidates=Candidates(conditions, table),
        )
        for found, rows in zip(rivals(inputs), ([0, 1], [2]), strict=True):
            assert in_file(found.truths.values) is is_filed
            assert found.truths.values.tolist() == VALUES[rows].tolist()


class Mean(ClosedFormModel):
    """Predicts the mean of its view."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        return view.mean


def task_of(means: DoubleArray) -> Task:
    return Task(
        dataset="toy",
        is_simulated=True,
        gene_ids=("g0", "g1", "g2"),
        gene_symbols=("G0", "G1", "G2"),
        target_genes=("A", "B", "C"),
        cell_types=(X, Y),
        control_means=np.array([[1.0, 2.0, 3.0], [4.0, 8.0, 6.0]]),
        train=CONDITIONS[:2],
        val=CONDITIONS[2:],
        means=means,
        n_cells=np.ones(3, dtype=np.int32),
        de_indices=np.zeros((3, 20), dtype=np.int32),
    )


def test_views_of_train_perturbations_and_what_is_predicted_from_them(filed: Filed) -> None:
    stored, plain = task_of(filed(VALUES)), task_of(VALUES)
    for cell_type in (X, Y):
        view, expected = train_view(stored, cell_type), train_view(plain, cell_type)
        same(view.means, expected.means)
        same(view.deltas, expected.deltas)
    predictions = []
    for task in (stored, plain):
        model = Mean()
        model.fit(task)
        predictions.append(model.predict((Condition(A, Y), Condition(B, X))).expression)
    same(*predictions)


def test_halves(filed: Filed) -> None:
    first, second = VALUES.copy(), VALUES + 1.0
    first[1] = np.nan
    found = scored_halves((filed(first), filed(second)), VALUES, CONDITIONS)
    expected = scored_halves((first, second), VALUES, CONDITIONS)
    same(found.expression, expected.expression)
    assert found.truth is not None
    assert expected.truth is not None
    same(found.truth, expected.truth)


@pytest.mark.parametrize("is_whole", [True, False])
def test_candidates(is_whole: bool, filed: Filed, tmp_path: Path) -> None:
    labels = (A, B) if is_whole else (A,)
    folds = [Fold(("C+ctrl",), (), (item.label,)) for item in labels]
    pools = [
        HeldOutPool(replace(cells_data(), tables=folder), bulk, folds, seed=0)
        for folder, bulk in (
            (tmp_path, replace(BULK, means=filed(BULK.means))),
            (None, BULK),
        )
    ]
    asked = Predictions((Condition(A, X),), np.ones((1, 2)))
    own = replace(asked, truth=np.array([[5.0, 6.0]]))
    none = replace(asked, truth=np.array([[np.nan, 6.0]]))
    for predictions in (asked, own, none):
        found, expected = (pool.candidates(predictions) for pool in pools)
        assert found.conditions == expected.conditions
        same(found.truth, expected.truth)
