"""Baselines of tables of effects, against values worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.data.effects.filling import effects_as_means, filled_task
from dygenept.data.effects.reading import read_effects
from dygenept.data.guard import guard_task
from dygenept.data.task import Access, build_task
from dygenept.types import Condition, Fold, Runtime, Task
from dygenept_plugins.baselines import linear_loo
from dygenept_plugins.baselines.means import GeneMean, Majority

TABLE = """pert,gene,label,weight
KLF1,GATA1,1,2
KLF1,MYC,0,2
MYC,GATA1,1,1
MYC,TP53,0,2
BRCA1,GATA1,0,2
BRCA1,MYC,1,2
"""


def task_of(tmp_path: Path, text: str = TABLE) -> tuple[Task, tuple[Condition, ...]]:
    path = tmp_path / "t.csv"
    path.write_text(text)
    data = read_effects(path)
    assert data.effects is not None
    means, de = effects_as_means(data.effects, data)
    fold = Fold(train=("KLF1", "MYC"), val=(), test=("BRCA1",))
    task, held_out = build_task(data, means, de, fold, access=Access(), runtime=Runtime())
    guard_task(task, data=data, pseudobulk=means, de=de, held_out=held_out, is_oracle=False)
    return filled_task(task, data), held_out


def test_gene_mean_is_shrunk_to_the_mean_of_all_genes(tmp_path: Path) -> None:
    task, held_out = task_of(
        tmp_path, "\n".join(line.rpartition(",")[0] for line in TABLE.split("\n"))
    )
    model = GeneMean()
    model.fit(task)
    # Two of four train labels are 1; each gene counts two more pairs of that mean.
    expected = [(2 + 1.0) / (2 + 2), (0 + 1.0) / (1 + 2), (0 + 1.0) / (1 + 2)]
    np.testing.assert_allclose(model.predict(held_out).expression, [expected])


def test_what_was_not_measured_is_the_genes_mean_and_weights_move_towards_it(
    tmp_path: Path,
) -> None:
    task, _ = task_of(tmp_path)
    assert task.effects is not None
    mean = task.effects.gene_means[0]
    # Weights are 1, 1 for KLF1 and 0.5, 1 for MYC.
    assert mean[0] == pytest.approx((1.5 + 2 * 1.5 / 3.5) / (1.5 + 2))
    np.testing.assert_allclose(task.means[0], [1.0, 0.0, mean[2]])
    np.testing.assert_allclose(task.means[1], [mean[0] + 0.5 * (1.0 - mean[0]), mean[1], 0.0])


def test_majority_is_one_label_for_every_pair(tmp_path: Path) -> None:
    task, held_out = task_of(tmp_path, TABLE.replace("MYC,GATA1,1,1", "MYC,GATA1,0,1"))
    model = Majority()
    model.fit(task)
    assert model.predict(held_out).expression.tolist() == [[0.0, 0.0, 0.0]]


def test_linear_loo_of_one_hot_codes_is_the_mean_of_the_changes_on_a_table(tmp_path: Path) -> None:
    task, held_out = task_of(tmp_path, TABLE)
    (spec,) = linear_loo.dygenept_baselines()
    assert "effects" in spec.learns_from
    model = spec.factory(spec.config())
    model.fit(task)
    found = model.predict(held_out).expression
    # No train perturbation shares a gene with a held-out one, so that all get one typical change.
    assert np.ptp(found, axis=0).max() == 0.0
    low, high = task.means.min(axis=0), task.means.max(axis=0)
    assert ((low - 1e-9 <= found) & (found <= high + 1e-9)).all()


def test_gene_mean_and_majority_are_registered_for_tables_alone() -> None:
    from dygenept_plugins.baselines.means import dygenept_baselines

    learns_from = {spec.name: spec.learns_from for spec in dygenept_baselines()}
    assert {name: kinds for name, kinds in learns_from.items() if kinds != ("cells",)} == {
        "gene_mean": ("effects",),
        "majority": ("effects",),
    }
