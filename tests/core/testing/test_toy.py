from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.errors import DataError
from dygenept.testing import (
    ToyShape,
    toy_control_pool,
    toy_data,
    toy_fold,
    toy_knowledge,
    toy_metric_inputs,
    toy_task,
    write_toy_h5ad,
)
from dygenept.testing.dataset_checks import check_perturbation_data
from dygenept.testing.rules import Rules

SHAPES = [
    ToyShape(),
    ToyShape(n_cell_types=2, n_singles=12, n_doubles=12, seed=3),
    ToyShape(n_genes=80, n_singles=2, n_doubles=1, n_cells=5),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_toy_data_keep_the_rules_of_a_data_set(shape: ToyShape) -> None:
    data = toy_data(shape)
    check_perturbation_data(data, Rules("toy"))
    assert data.n_genes == shape.n_genes
    assert len(data.perturbations) == shape.n_singles + shape.n_doubles
    assert len(data.cell_types) == shape.n_cell_types
    assert data.is_simulated


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_file_reads_back_as_the_data_in_memory(shape: ToyShape, tmp_path: Path) -> None:
    data, read = toy_data(shape), read_anndata(write_toy_h5ad(tmp_path / "toy.h5ad", shape))
    np.testing.assert_array_equal(read.expression.toarray(), data.expression.toarray())
    np.testing.assert_array_equal(read.condition_codes, data.condition_codes)
    np.testing.assert_array_equal(read.cell_type_codes, data.cell_type_codes)
    np.testing.assert_array_equal(read.cell_ids, data.cell_ids)
    assert read.conditions == data.conditions
    assert read.cell_types == data.cell_types
    assert read.gene_ids == data.gene_ids
    assert read.gene_symbols == data.gene_symbols
    assert read.raw_labels == data.raw_labels
    assert dict(read.raw_to_label) == dict(data.raw_to_label)
    assert read.is_simulated


def test_the_same_seed_gives_the_same_cells_and_another_seed_others() -> None:
    first, again, other = toy_data(), toy_data(), toy_data(ToyShape(seed=1))
    assert first.sha256 == again.sha256 != other.sha256
    np.testing.assert_array_equal(first.expression.data, again.expression.data)


def test_some_targets_are_no_output_gene_and_one_label_has_two_spellings() -> None:
    data = toy_data()
    assert set(data.target_genes) - set(data.gene_symbols)
    assert set(data.target_genes) & set(data.gene_symbols)
    assert len(data.raw_labels) == len(data.perturbations) + 1


def test_effects_are_planted_above_the_noise() -> None:
    task, _ = toy_task(toy_data(ToyShape(n_cells=60)))
    deltas = task.means - task.control_means[0]
    rows = {condition.genes: delta for condition, delta in zip(task.known, deltas, strict=True)}
    for pair in [genes for genes in rows if len(genes) == 2]:
        if all((gene,) in rows for gene in pair):
            added = rows[(pair[0],)] + rows[(pair[1],)]
            assert np.corrcoef(added, rows[pair])[0, 1] > 0.7


def test_the_fold_is_disjoint_and_holds_out_singles_and_combinations() -> None:
    data = toy_data()
    fold = toy_fold(data)
    assert {*fold.train, *fold.val, *fold.test} == {item.label for item in data.perturbations}
    assert len(fold.train) + len(fold.val) + len(fold.test) == len(data.perturbations)
    n_targets = {len(condition.genes) for condition in data.conditions_of(fold.test)}
    assert n_targets == {1, 2}


def test_the_task_hides_the_held_out_conditions() -> None:
    task, held_out = toy_task()
    assert not {item.label for item in held_out} & {item.label for item in task.known}
    assert task.held_out is None
    assert task.cells is not None
    assert task.cells.condition_codes.max() < len(task.known)
    assert toy_task(needs_cells=False)[0].cells is None
    assert toy_task(held_out=True)[0].held_out is not None


def test_knowledge_has_unknown_facets_and_a_gene_without_any() -> None:
    knowledge = toy_knowledge()
    assert not knowledge.confidence[0].any()
    assert (knowledge.confidence[1:] == 0).any()
    assert not knowledge.values[knowledge.confidence == 0].any()


def test_the_control_pool_ends_with_a_cell_that_expresses_nothing() -> None:
    pool = toy_control_pool()
    assert pool.expression[-1].nnz == 0
    assert len(pool.cell_type_codes) == pool.expression.shape[0] == ToyShape().n_controls + 1


def test_metric_inputs_are_half_right() -> None:
    inputs = toy_metric_inputs()
    error = np.abs(inputs.predicted - inputs.truth).mean()
    assert 0 < error < np.abs(inputs.control - inputs.truth).mean()


@pytest.mark.parametrize("options", [{"n_genes": 5}, {"n_singles": 13}, {"n_doubles": 99}])
def test_a_shape_out_of_range_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        ToyShape(**options)
