"""What an isolated model's child is handed: cells of its task, and a document."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
from cells_in_batches import in_batches
from core.plugin.small_children import DOCS, MakeModel, task_in

from dygenept.errors import ChildError, PluginError
from dygenept.plugin.isolated import for_child
from dygenept.plugin.isolated.handover import write_cells
from dygenept.testing.toy import ToyShape, toy_data, toy_task


def test_cells_handed_over_are_those_of_train_validation_and_control(tmp_path: Path) -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    task, held_out = toy_task(data)
    write_cells(task, tmp_path / "train.h5ad")
    cells = anndata.read_h5ad(tmp_path / "train.h5ad")
    known = {item.label for item in task.known}
    assert set(cells.obs["condition"]) == known | {"ctrl"}
    assert not {item.label for item in held_out} & set(cells.obs["condition"])
    parts = cells.obs.groupby("condition", observed=True)["part"].unique()
    assert {parts[item.label][0] for item in task.train} == {"train"}
    assert {parts[item.label][0] for item in task.val} == {"val"}
    assert cells.var["gene_name"].tolist() == list(task.gene_symbols)
    for row, item in enumerate(task.known):
        own = (cells.obs["condition"] == item.label) & (cells.obs["cell_type"] == item.cell_type)
        np.testing.assert_allclose(
            np.asarray(cells.X[np.flatnonzero(own)].mean(axis=0)).ravel(),
            task.means[row],
            atol=1e-5,
        )


def test_cells_of_matched_batches_name_them_and_give_the_tasks_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = toy_data(ToyShape(n_cell_types=2, n_controls=60))
    rng = np.random.default_rng(0)
    batch = rng.integers(-1, 3, plain.n_cells).astype(np.int32)
    is_control = plain.condition_codes < 0
    # Of the third batch there are too few controls in either cell type.
    batch[is_control & (batch == 2)] = 0
    batch[np.flatnonzero(is_control)[:4]] = 2
    values = plain.expression.toarray() * np.where(batch[:, None] == 1, 1.5, 1.0)
    matched = in_batches(plain, batch, expression=values)
    task, _ = toy_task(matched)
    write_cells(task, tmp_path / "train.h5ad")
    cells = anndata.read_h5ad(tmp_path / "train.h5ad")
    assert sorted(set(cells.obs["batch"])) == [-1, 0, 1, 2, 3]
    monkeypatch.chdir(tmp_path)
    profiles = for_child.profiles_of(cells)
    row = {(item.label, item.cell_type): place for place, item in enumerate(task.known)}
    for place, key in enumerate(zip(profiles.labels, profiles.cell_types, strict=True)):
        np.testing.assert_allclose(profiles.means[place], task.means[row[key]], atol=1e-5)
    unnamed, _ = toy_task(replace(matched, batches=None))
    write_cells(unnamed, tmp_path / "unnamed.h5ad")
    unmatched = anndata.read_h5ad(tmp_path / "unnamed.h5ad")
    assert "batch" not in unmatched.obs
    assert abs(for_child.profiles_of(unmatched).means - profiles.means).max() > 0.05


def test_a_child_that_reads_cells_needs_a_task_with_cells(tmp_path: Path) -> None:
    task, _ = toy_task(needs_cells=False)
    with pytest.raises(PluginError, match="must declare needs_cells"):
        write_cells(task, tmp_path / "train.h5ad")


def test_the_task_document_says_all_that_is_promised(
    make: MakeModel, cache: Path, tmp_path: Path
) -> None:
    task, held_out = task_in(cache, tmp_path / "checkpoints")
    model = make("import sys; sys.exit(1)", depth=3)
    model.fit(task)
    with pytest.raises(ChildError):
        model.predict(held_out)
    (kept,) = (tmp_path / "checkpoints").iterdir()
    document = json.loads((kept / "task.json").read_text())
    text = DOCS.read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in document)
    assert document["options"] == {"depth": 3}
    assert [item["perturbation"] for item in document["predict"]] == [c.label for c in held_out]
    assert document["predict"][0]["genes"] == list(held_out[0].genes)
