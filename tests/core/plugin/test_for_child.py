"""What a child in Python may use: it reads what was handed over and writes what is read back."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest

from dygenept.knowledge.child_files import gene_vectors
from dygenept.plugin.isolated import for_child
from dygenept.plugin.isolated.answer import read_answer, read_notes
from dygenept.plugin.isolated.handover import Order, write_order
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept.types import Condition, Task


@pytest.fixture
def handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Task, tuple[Condition, ...]]:
    """Write a task's files into the working folder."""
    task, held_out = toy_task(toy_data(ToyShape(n_cell_types=2)))
    order = Order(conditions=held_out, options={"alpha": 0.5}, inputs=("cells", "means"), files={})
    write_order(order, task, tmp_path)
    monkeypatch.chdir(tmp_path)
    return task, held_out


def test_an_order_is_read_as_it_was_written(
    handed_over: tuple[Task, tuple[Condition, ...]],
) -> None:
    task, held_out = handed_over
    order = for_child.read_order()
    assert order.options == {"alpha": 0.5}
    assert (order.gene_ids, order.gene_symbols) == (task.gene_ids, task.gene_symbols)
    assert (order.cell_types, order.seed) == (task.cell_types, task.runtime.seed)
    read = [(asked.perturbation, asked.genes, asked.cell_type) for asked in order.predict]
    assert read == [(item.label, item.genes, item.cell_type) for item in held_out]
    assert set(order.split) == {"train", "val", "test"}


@pytest.mark.parametrize("source", ["means", "cells"])
def test_profiles_are_the_tasks_from_tables_and_from_cells(
    handed_over: tuple[Task, tuple[Condition, ...]], source: str
) -> None:
    task, _ = handed_over
    if source == "means":
        profiles = for_child.read_profiles()
    else:
        profiles = for_child.profiles_of(anndata.read_h5ad("train.h5ad"))
    parts = dict.fromkeys(task.train, "train") | dict.fromkeys(task.val, "val")
    expected = {
        (item.label, item.cell_type): (parts[item], task.means[row])
        for row, item in enumerate(task.known)
    }
    assert len(profiles.labels) == len(expected)
    for row, key in enumerate(zip(profiles.labels, profiles.cell_types, strict=True)):
        part, mean = expected[key]
        assert profiles.parts[row] == part
        np.testing.assert_allclose(profiles.means[row], mean, atol=1e-5)
        control = task.control_mean(key[1])
        np.testing.assert_allclose(profiles.deltas[row], mean - control, atol=1e-5)


def test_what_stands_in_is_the_mean_of_the_cell_type_or_the_others_change_on_its_control() -> None:
    profiles = for_child.Profiles(
        labels=("A+ctrl", "B+ctrl"),
        cell_types=("x", "x"),
        parts=("train", "val"),
        means=np.array([[1.0, 2.0], [3.0, 6.0]]),
        controls={"x": np.array([1.0, 1.0]), "y": np.array([5.0, 0.0])},
    )
    np.testing.assert_array_equal(profiles.mean_perturbed("x"), [2.0, 4.0])
    np.testing.assert_array_equal(profiles.mean_perturbed("y"), [6.0, 3.0])


def test_an_answer_is_read_back_with_what_stands_in_named(
    handed_over: tuple[Task, tuple[Condition, ...]], tmp_path: Path
) -> None:
    task, held_out = handed_over
    order, profiles = for_child.read_order(), for_child.read_profiles()
    answer = for_child.Answer()
    answer.add_mean(order.predict[0], profiles, "no vector")
    for number, asked in enumerate(order.predict[1:], start=1):
        answer.add(asked, np.full(len(task.gene_ids), float(number)))
    answer.write()
    expression = read_answer(tmp_path, held_out, task)
    own = profiles.mean_perturbed(held_out[0].cell_type)
    np.testing.assert_allclose(expression[0], own)
    np.testing.assert_array_equal(expression[1:, 0], np.arange(1, len(held_out)))
    assert read_notes(tmp_path) == (
        f"{held_out[0].label}: no vector; the mean of the train perturbations stands in",
    )


def test_gene_vectors_reach_the_child_without_genes_that_have_none(
    handed_over: tuple[Task, tuple[Condition, ...]], tmp_path: Path
) -> None:
    task, held_out = handed_over
    targets = sorted({*task.target_genes, *(gene for item in held_out for gene in item.genes)})
    known = targets[1:]
    vectors = tmp_path / "vectors.npz"
    values = np.arange(2.0 * len(known)).reshape(-1, 2)
    np.savez(vectors, genes=np.array(known), values=values)
    (name, content), = gene_vectors(str(vectors))(task, held_out).items()  # fmt: skip
    (tmp_path / name).write_bytes(content)
    found = for_child.read_gene_vectors()
    assert set(found) == set(known)
    np.testing.assert_array_equal(found[known[3]], values[3])


def test_labels_give_target_genes() -> None:
    assert for_child.target_genes("ctrl") == ()
    assert for_child.target_genes("ctrl+B") == ("B",)
    assert for_child.target_genes("A+B") == ("A", "B")
