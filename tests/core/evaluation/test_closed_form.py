"""What models in closed form see of a task, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import AB, A, B, C, X, Y

from dygenept.errors import PluginError
from dygenept.evaluation.closed_form import (
    ClosedFormModel,
    cells_of_halves,
    require_held_out,
    scored_halves,
)
from dygenept.evaluation.reference import TrainView, train_means, train_view
from dygenept.machine import tables
from dygenept.types import (
    Condition,
    DoubleArray,
    HeldOut,
    Task,
)


def task_of(train: Sequence[Condition], val: Sequence[Condition] = ()) -> Task:
    """Two genes, two cell types; the k-th known condition's means are (k + 1, 10 (k + 1))."""
    n = len(train) + len(val)
    return Task(
        dataset="toy",
        is_simulated=True,
        gene_ids=("g0", "g1"),
        gene_symbols=("G0", "G1"),
        target_genes=("A", "B", "C"),
        cell_types=(X, Y),
        control_means=np.array([[1.0, 2.0], [4.0, 8.0]]),
        train=tuple(train),
        val=tuple(val),
        means=np.arange(1.0, n + 1)[:, None] * np.array([1.0, 10.0]),
        n_cells=np.ones(n, dtype=np.int32),
        de_indices=np.zeros((n, 20), dtype=np.int32),
    )


def test_a_view_sorts_the_conditions_of_its_own_cell_type() -> None:
    task = task_of([Condition(B, X), Condition(C, Y)], [Condition(A, X)])
    view = train_view(task, X)
    assert view.conditions == (Condition(A, X), Condition(B, X))
    assert view.means.tolist() == [[3, 30], [1, 10]]
    assert view.control.tolist() == [1, 2]
    assert view.mean.tolist() == [2, 20]
    assert (view.means.dtype, view.control.dtype) == (np.float64, np.float64)


def test_a_type_without_perturbations_takes_the_changes_of_the_others() -> None:
    task = task_of([Condition(B, X), Condition(A, X)])
    view = train_view(task, Y)
    assert view.conditions == (Condition(A, X), Condition(B, X))
    # (2, 20) and (1, 10), less the control of x, (1, 2), plus that of y, (4, 8).
    assert view.means.tolist() == [[5, 26], [4, 16]]
    assert view.control.tolist() == [4, 8]
    assert {name: mean.tolist() for name, mean in train_means(task).items()} == {
        X: [1.5, 15],
        Y: [4.5, 21],
    }


def test_a_view_is_in_double_precision_whatever_the_task_is_in() -> None:
    task = task_of([Condition(A, X)])
    narrow = replace(
        task,
        means=task.means.astype(np.float32),
        control_means=task.control_means.astype(np.float32),
    )
    for cell_type in (X, Y):
        view = train_view(narrow, cell_type)
        assert (view.means.dtype, view.control.dtype) == (np.float64, np.float64)


def test_a_view_of_nothing_or_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(PluginError, match=r"'toy' .*'xx'; did you mean 'x'\? known: x, y"):
        train_view(task_of([Condition(A, X)]), "xx")
    with pytest.raises(
        PluginError, match=r"^the task has no train perturbation; use a split with fewer folds$"
    ):
        train_view(task_of([]), X)


class Echo(ClosedFormModel):
    """Predicts the mean of its view plus the row's place in the request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[TrainView, tuple[Condition, ...]]] = []

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        self.asked.append((view, tuple(conditions)))
        return view.mean + np.arange(len(conditions))[:, None]


def test_a_closed_form_model_predicts_each_cell_type_from_its_own_view() -> None:
    model = Echo()
    model.fit(task_of([Condition(B, X), Condition(A, X)]))
    wanted = (Condition(C, Y), Condition(C, X), Condition(AB, Y))
    found = model.predict(wanted)
    assert found.conditions == wanted
    assert found.expression.tolist() == [[4.5, 21], [1.5, 15], [5.5, 22]]
    assert [conditions for _, conditions in model.asked] == [(wanted[1],), (wanted[0], wanted[2])]
    assert found.expression.dtype == np.float64
    model.predict(wanted)
    assert model.asked[2][0] is model.asked[0][0]


def test_another_fit_forgets_the_first() -> None:
    model = Echo()
    model.fit(task_of([Condition(A, X)]))
    model.predict([Condition(B, X)])
    model.fit(task_of([Condition(B, X), Condition(A, X)]))
    assert model.predict([Condition(C, X)]).expression.tolist() == [[1.5, 15]]
    assert model.task.train == (Condition(B, X), Condition(A, X))


def test_a_model_must_be_fitted_before_it_predicts() -> None:
    with pytest.raises(PluginError, match=r"^Echo cannot predict before it is fitted; call fit"):
        Echo().predict([Condition(A, X)])


def test_an_oracle_is_handed_the_rows_it_asks_for() -> None:
    held_out = HeldOut(
        conditions=(Condition(A, X), Condition(B, X)),
        means=np.zeros((2, 2)),
        half_means=np.zeros((2, 2, 2)),
    )
    task = replace(task_of([Condition(C, X)]), held_out=held_out)
    found, rows = require_held_out(task, [Condition(B, X), Condition(A, X), Condition(B, X)])
    assert found is held_out
    assert rows == [1, 0, 1]
    with pytest.raises(PluginError, match=r"^'C\+ctrl' in 'x' is not held out"):
        require_held_out(task, [Condition(A, X), Condition(C, X)])
    with pytest.raises(PluginError, match="'ceiling' or 'floor'"):
        require_held_out(task_of([Condition(C, X)]), [])


@pytest.mark.parametrize("part_values", [1 << 21, 2])
def test_one_half_predicts_the_other_where_there_are_two(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    conditions = (Condition(A, X), Condition(B, X), Condition(C, X))
    first = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0]])
    second = np.array([[5.0, 6.0], [7.0, 8.0], [9.0, np.nan]])
    means = np.array([[10.0, 11.0], [12.0, 13.0], [14.0, 15.0]])
    found = scored_halves((first, second), means, conditions)
    assert found.conditions == conditions
    assert found.expression.tolist() == [[1, 2], [12, 13], [14, 15]]
    assert found.truth is not None
    np.testing.assert_array_equal(found.truth, [[5, 6], [np.nan] * 2, [np.nan] * 2])


def test_half_of_the_cells_are_behind_a_half() -> None:
    held_out = HeldOut(
        conditions=tuple(Condition(item, X) for item in (A, B, C)),
        means=np.zeros((3, 2)),
        half_means=None,
        n_cells=np.array([5, 1, 8], dtype=np.int32),
    )
    found = cells_of_halves(held_out, [2, 0, 1])
    assert found is not None
    assert found.tolist() == [4, 2, 0]
    assert cells_of_halves(replace(held_out, n_cells=None), [0]) is None


@pytest.mark.parametrize("part_values", [1 << 21, 2])
def test_one_mean_serves_all_conditions_and_parts_of_them(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flat(ClosedFormModel):
        def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
            return view.mean

    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    asked = (Condition(C, Y), Condition(C, X), Condition(AB, Y))
    for model, expected in (
        (Flat(), [[4.5, 21], [1.5, 15], [4.5, 21]]),
        (Echo(), [[4.5, 21], [1.5, 15], [5.5, 22]]),
    ):
        model.fit(task_of([Condition(B, X), Condition(A, X)]))
        assert model.predict(asked).expression.tolist() == expected


@pytest.mark.parametrize("part_values", [1 << 21, 2])
def test_changes_are_moved_to_another_cell_type_from_each_ones_own_control(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    task = replace(
        task_of([Condition(B, "z"), Condition(A, X)]),
        cell_types=(X, Y, "z"),
        control_means=np.array([[1.0, 2.0], [4.0, 8.0], [0.5, 0.25]]),
    )
    view = train_view(task, Y)
    assert view.conditions == (Condition(A, X), Condition(B, "z"))
    assert view.means.tolist() == [[2 - 1 + 4, 20 - 2 + 8], [1 - 0.5 + 4, 10 - 0.25 + 8]]
    assert view.deltas.tolist() == [[1, 18], [0.5, 9.75]]
    # The task's own means stay as they were.
    assert task.means.tolist() == [[1, 10], [2, 20]]
