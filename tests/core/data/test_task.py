from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.task import Access, build_task
from dygenept.errors import DataError, SplitError
from dygenept.testing import ToyShape, toy_data, toy_fold
from dygenept.types import Condition, Fold, PerturbationData, Runtime, Task


def build(
    data: PerturbationData, fold: Fold, *, needs_cells: bool = True, held_out: bool = False
) -> tuple[Task, tuple[Condition, ...]]:
    means = pseudobulk(data)
    return build_task(
        data,
        means,
        de_genes(data, means),
        fold,
        access=Access(cells=needs_cells, truth=held_out),
        runtime=Runtime(seed=7),
    )


def test_rows_belong_to_train_and_validation_in_order() -> None:
    data, fold = toy_data(), toy_fold(toy_data())
    task, test = build(data, fold)
    means, lists = pseudobulk(data), de_genes(data)
    assert tuple(of.label for of in task.train) == fold.train
    assert tuple(of.label for of in task.val) == fold.val
    assert tuple(of.label for of in test) == fold.test
    for row, condition in enumerate(task.known):
        place = data.conditions.index(condition)
        np.testing.assert_array_equal(task.means[row], means.means[place])
        np.testing.assert_array_equal(task.de_indices[row], lists.indices[place])
        assert task.n_cells[row] == means.n_cells[place]
    assert task.target_genes == data.target_genes
    assert task.runtime.seed == 7


def test_cells_are_exactly_those_of_train_validation_and_control() -> None:
    data, fold = toy_data(), toy_fold(toy_data())
    task, _ = build(data, fold)
    assert task.cells is not None
    allowed = {*fold.train, *fold.val}
    expected = [
        cell
        for cell, code in enumerate(data.condition_codes)
        if code < 0 or data.conditions[code].label in allowed
    ]
    assert list(task.cells.cell_ids) == [data.cell_ids[cell] for cell in expected]
    assert (task.cells.expression != data.expression[expected]).nnz == 0
    for code, cell in zip(task.cells.condition_codes, expected, strict=True):
        whole = data.condition_codes[cell]
        assert code == -1 if whole < 0 else task.known[code] == data.conditions[whole]


def test_the_task_holds_no_memory_of_the_data_set() -> None:
    data = toy_data()
    before = data.expression.copy()
    task, _ = build(data, toy_fold(data))
    assert task.cells is not None
    task.cells.expression.data[:] = -1.0
    task.cells.condition_codes[:] = 99
    assert (before != data.expression).nnz == 0
    assert data.condition_codes.max() < 99


def test_nothing_in_a_task_changes_with_the_held_out_cells() -> None:
    data = toy_data()
    fold = toy_fold(data)
    task, test = build(data, fold)
    is_held_out = np.isin(data.condition_codes, [data.conditions.index(of) for of in test])
    changed = data.expression.copy()
    changed.data[np.repeat(is_held_out, np.diff(changed.indptr))] *= 3.0
    other, _ = build(replace(data, expression=changed), fold)
    assert task.cells is not None
    assert other.cells is not None
    np.testing.assert_array_equal(task.means, other.means)
    np.testing.assert_array_equal(task.control_means, other.control_means)
    np.testing.assert_array_equal(task.de_indices, other.de_indices)
    assert (task.cells.expression != other.cells.expression).nnz == 0
    assert task.held_out is None


def test_cells_and_truth_are_handed_over_only_when_asked_for() -> None:
    data = toy_data()
    bare, _ = build(data, toy_fold(data), needs_cells=False)
    assert bare.cells is None
    assert bare.held_out is None
    oracle, test = build(data, toy_fold(data), needs_cells=False, held_out=True)
    assert oracle.held_out is not None
    assert oracle.held_out.conditions == test
    rows = [data.conditions.index(of) for of in test]
    np.testing.assert_array_equal(oracle.held_out.means, pseudobulk(data).means[rows])
    np.testing.assert_allclose(
        oracle.held_out.half_means.mean(axis=0), oracle.held_out.means, rtol=1e-12
    )


def test_a_held_out_cell_type_gives_its_controls_alone() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    labels = tuple(of.label for of in data.perturbations)
    fold = Fold(train=labels[1:], val=labels[:1], test=labels, test_cell_type="toy_b")
    task, test = build(data, fold)
    assert {of.cell_type for of in test} == {"toy_b"}
    assert {of.cell_type for of in task.known} == {"toy_a"}
    assert task.cells is not None
    is_other = task.cells.cell_type_codes == 1
    assert is_other.any()
    assert (task.cells.condition_codes[is_other] == -1).all()
    assert task.control_means.shape == (2, data.n_genes)


def test_perturbations_of_all_cell_types_are_held_out_together() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    task, test = build(data, toy_fold(data))
    assert {of.cell_type for of in test} == {"toy_a", "toy_b"}
    assert not {of.label for of in test} & {of.label for of in task.known}


def test_an_unknown_label_is_refused() -> None:
    data = toy_data()
    with pytest.raises(DataError, match="no perturbation 'XYZ'"):
        build(data, Fold(train=("XYZ",), val=(), test=(data.perturbations[0].label,)))


def test_a_fold_that_leaves_nothing_to_fit_or_predict_is_refused() -> None:
    both = toy_data(ToyShape(n_cell_types=2))
    in_first = {of.label for of in both.conditions if of.cell_type == "toy_a"}
    lone = tuple(of.label for of in both.perturbations if of.label not in in_first)
    assert len(lone) == 1
    fold = Fold(train=tuple(in_first), val=(), test=lone, test_cell_type="toy_a")
    with pytest.raises(SplitError, match=r"no test condition .*toy_a"):
        build(both, fold)
    data = toy_data()
    labels = tuple(of.label for of in data.perturbations)
    with pytest.raises(SplitError, match=r"no train condition .*toy_a"):
        build(data, Fold(train=labels, val=(), test=labels, test_cell_type="toy_a"))


def test_a_fold_without_test_labels_is_a_fit_on_everything() -> None:
    data = toy_data()
    labels = tuple(of.label for of in data.perturbations)
    task, test = build(data, Fold(train=labels, val=(), test=()))
    assert test == ()
    assert len(task.train) == len(data.conditions)
