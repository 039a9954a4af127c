"""``gears`` and ``scgpt_finetune``: what they ask for, hand over, and do without their packages."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from dygenept.knowledge import child_files
from dygenept.plugin.interfaces import Model
from dygenept.plugin.isolated.handover import write_cells
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept.types import Condition, Perturbation
from dygenept_plugins.baselines import _gears_child, _scgpt_child, published, scgpt_finetune


@pytest.mark.parametrize(
    ("name", "module"), [("gears", "published"), ("scgpt_finetune", "scgpt_finetune")]
)
def test_the_environments_pin_the_published_package_and_hold_torch_in_range(
    name: str, module: str
) -> None:
    manager = PluginManager.load([f"dygenept_plugins.baselines.{module}"], entry_points=False)
    spec = manager.get(BaselineSpec, name)
    assert spec.environment is not None
    environment = spec.environment(spec.config())
    lines = (*environment.requirements, *environment.no_deps)
    assert {"gears": "cell-gears==0.1.2", "scgpt_finetune": "scgpt==0.2.4"}[name] in lines
    # A wider range would fetch gigabytes of another build.
    assert "torch>=2.4,<2.14" in lines
    assert spec.needs_cells
    assert not spec.closed_form
    model: Model = spec.factory(spec.config())
    assert callable(model.predict)


def test_go_terms_are_handed_over_in_the_spelling_of_the_data_set() -> None:
    task, _ = toy_task()
    asked = [Condition(Perturbation(f"{g}+ctrl", (g,)), "K562") for g in ("KIAA1804", "NOSUCH")]
    files = child_files.go_terms(task, asked)
    terms = json.loads(files["gene2go.json"])
    # KIAA1804 is an outdated symbol of MAP3K21; a gene without terms is left out.
    assert "GO:0004672" in terms["KIAA1804"]
    assert "NOSUCH" not in terms
    assert set(terms) >= {"KLF1", "TP53", "HBG1"}
    assert published.dygenept_baselines()[0].name == "gears"


def test_the_go_graph_is_the_one_that_gears_computes_pair_by_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    genes = [f"G{number:02d}" for number in range(30)]
    terms = {gene: {f"GO:{t}" for t in rng.choice(25, rng.integers(1, 6))} for gene in genes}
    monkeypatch.chdir(tmp_path)
    _gears_child.write_go_graph(genes, terms)
    written = pd.read_csv(tmp_path / "data" / "go_essential_task.csv")
    expected = {}
    for one, other in product(genes, repeat=2):
        score = len(terms[one] & terms[other]) / len(terms[one] | terms[other])
        if score > 0.1:
            expected[one, other] = score
    found = {(row.source, row.target): row.importance for row in written.itertuples()}
    assert found == pytest.approx(expected)
    assert 30 < len(found) < 900


@pytest.mark.parametrize(
    ("label", "known"),
    [("ctrl", True), ("A+ctrl", True), ("ctrl+B", True), ("A+B", True), ("A+X", False),
     ("A+B+C", False)],
)  # fmt: skip
def test_gears_keeps_what_it_can_represent(label: str, known: bool) -> None:
    terms = {gene: {"GO:1"} for gene in "ABC"}
    assert _gears_child.is_known(label, terms) is known


def test_a_group_of_one_cell_is_kept_from_the_t_test() -> None:
    obs = pd.DataFrame({"condition": ["A", "A", "B", "ctrl", "ctrl"], "cell_type": ["x"] * 5})
    cells = anndata.AnnData(np.zeros((5, 2), dtype=np.float32), obs=obs.rename(index=str))
    np.testing.assert_array_equal(_gears_child.enough_cells(cells), [1, 1, 0, 1, 1])


@pytest.mark.parametrize("n_cell_types", [1, 2])
def test_the_stand_in_is_the_mean_of_the_train_perturbations(
    n_cell_types: int, tmp_path: Path
) -> None:
    task, _ = toy_task(toy_data(ToyShape(n_cell_types=n_cell_types)))
    write_cells(task, tmp_path / "train.h5ad")
    cells = anndata.read_h5ad(tmp_path / "train.h5ad")
    means, controls = _gears_child.conditions_of(cells)
    for_scgpt = _scgpt_child.train_means(_scgpt_child.Cells(cells, list(task.gene_symbols)))
    for number, name in enumerate(task.cell_types):
        own = [row for row, item in enumerate(task.known) if item.cell_type == name]
        expected = task.means[own].mean(axis=0)
        np.testing.assert_allclose(means[name], expected, atol=1e-5)
        np.testing.assert_allclose(for_scgpt[name], expected, atol=1e-5)
        np.testing.assert_allclose(controls[name], task.control_means[number], atol=1e-5)


def test_scgpt_flags_the_targets_and_draws_controls_of_the_same_cell_type(tmp_path: Path) -> None:
    task, _ = toy_task(toy_data(ToyShape(n_cell_types=2)))
    write_cells(task, tmp_path / "train.h5ad")
    adata = anndata.read_h5ad(tmp_path / "train.h5ad")
    cells = _scgpt_child.Cells(adata, list(task.gene_symbols))
    rows = cells.rows("train", "control")
    labels = set(cells.condition[rows])
    assert "ctrl" in labels
    targets = {gene for label in labels for gene in label.split("+")} - {"ctrl"}
    assert targets <= set(task.gene_symbols)
    assert not set(cells.part[rows]) & {"val"}
    basal, flags, target = cells.batch(rows, np.random.default_rng(0))
    expression = adata.X.toarray()
    np.testing.assert_allclose(target.numpy(), expression[rows])
    for number, row in enumerate(rows):
        genes = sorted(set(cells.condition[row].split("+")) - {"ctrl"})
        marked = [task.gene_symbols[column] for column in np.flatnonzero(flags[number].numpy())]
        assert sorted(marked) == genes
        same = (expression == basal[number].numpy()).all(axis=1)
        sources = np.flatnonzero(same & (cells.part == "control"))
        assert set(cells.cell_type[sources]) == {cells.cell_type[row]}


def test_without_a_checkpoint_scgpt_finetune_says_where_one_belongs(tmp_path: Path) -> None:
    (spec,) = scgpt_finetune.dygenept_baselines()
    assert spec.missing is not None
    lacking = spec.missing(spec.config(checkpoint=str(tmp_path)))  # type: ignore[call-arg]
    assert lacking is not None
    assert "lacks best_model.pt, vocab.json, args.json" in lacking
    assert "--set scgpt_finetune.checkpoint=DIR" in lacking
    for name in ("best_model.pt", "vocab.json", "args.json"):
        (tmp_path / name).write_text("")
    assert spec.missing(spec.config(checkpoint=str(tmp_path))) is None  # type: ignore[call-arg]
