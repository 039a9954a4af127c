"""``biolord``, ``stamp``, ``state`` and ``cellflow``: what is handed over, and what is made of it.

``test_a_peer_keeps_the_rules`` needs the packages: it runs where ``$DYGENEPT_PYTHON_BIOLORD`` (or
``_STAMP``, ``_STATE``, ``_CELLFLOW``) names an interpreter that has them, as in the folder that
``dygenept env build biolord`` names.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from dygenept.knowledge import child_files
from dygenept.plugin.isolated import for_child
from dygenept.plugin.isolated.handover import write_cells
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing import check_isolated
from dygenept.testing.toy import ToyShape, toy_data, toy_task

PEERS = {
    "biolord": "biolord==0.0.3",
    "stamp": "cell-stamp==0.1.2",
    "state": "arc-state==0.11.1",
    "cellflow": "cellflow-tools==0.0.9",
}

MODULE = "dygenept_plugins.baselines.published"


@pytest.fixture(autouse=True)
def the_module_beside_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children import a module that lies beside them when they run."""
    monkeypatch.setitem(sys.modules, "dygenept_child", for_child)


def child(name: str) -> ModuleType:
    return importlib.import_module(f"dygenept_plugins.baselines._{name}_child")


def spec_of(name: str) -> BaselineSpec:
    manager = PluginManager.load([MODULE], entry_points=False)
    return manager.get(BaselineSpec, name)


@pytest.mark.parametrize("name", sorted(PEERS))
def test_the_environment_pins_the_published_package_and_holds_torch_in_range(name: str) -> None:
    spec = spec_of(name)
    assert spec.environment is not None
    environment = spec.environment(spec.config())
    assert PEERS[name] in (*environment.requirements, *environment.no_deps)
    # A wider range would fetch gigabytes of another build; CellFlow stands on JAX.
    torch = [line for line in environment.requirements if line.startswith("torch")]
    assert all(line.startswith("torch>=") and line.endswith("<2.14") for line in torch)
    assert len(torch) == (name != "cellflow")
    assert not spec.closed_form
    assert MODULE in load_registry().plugins


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_peer_keeps_the_rules(name: str) -> None:
    variable = f"DYGENEPT_PYTHON_{name.upper()}"
    if variable not in os.environ:
        pytest.skip(f"${variable} names no interpreter")
    check_isolated(spec_of(name), Path(os.environ[variable]))


def test_stamps_levels_are_welchs_test_the_direction_and_the_fold_change(tmp_path: Path) -> None:
    stamp = child("stamp")
    task, _ = toy_task(toy_data(ToyShape(n_cell_types=2)), needs_cells=True)
    write_cells(task, tmp_path / "train.h5ad")
    cells = anndata.read_h5ad(tmp_path / "train.h5ad")
    cell_type, label = task.cell_types[1], task.train[0].label
    levels = stamp.levels_of(cells, [label], cell_type, 0.05)
    here = cells.obs["cell_type"] == cell_type
    own = cells.X[(here & (cells.obs["condition"] == label)).to_numpy()].toarray()
    control = cells.X[(here & (cells.obs["condition"] == "ctrl")).to_numpy()].toarray()
    with np.errstate(all="ignore"):
        p = stats.ttest_ind(own.astype(float), control.astype(float), equal_var=False).pvalue
    adjusted = stats.false_discovery_control(np.nan_to_num(p, nan=1.0))
    fold = np.expm1(own.mean(0) + 0.1) / np.expm1(control.mean(0) + 0.1)
    np.testing.assert_array_equal(levels.is_de[0], adjusted <= 0.05)
    np.testing.assert_allclose(levels.fold_change[0], fold, rtol=1e-4)
    np.testing.assert_array_equal(levels.is_up[0], levels.fold_change[0] >= 1)


def test_stamps_levels_are_put_together_to_the_expression_they_were_made_of() -> None:
    stamp = child("stamp")
    control = np.array([0.0, 1.0, 2.0, 0.5])
    mean = np.array([0.4, 0.3, 2.5, 0.9])
    fold = (np.expm1(mean + 0.1) / np.expm1(control + 0.1))[None]
    is_de = np.array([[1.0, 1.0, 1.0, 0.0]])
    made = stamp.put_together(stamp.Levels(is_de, (fold >= 1).astype(float), fold), control)
    np.testing.assert_allclose(made, [0.4, 0.3, 2.5, 0.5])
    # The direction of the second level decides where the third disagrees.
    turned = stamp.put_together(stamp.Levels(is_de, np.zeros((1, 4)), fold), control)
    assert turned[2] < control[2]


def test_stamp_reads_an_output_gene_without_a_vector_as_an_average_gene() -> None:
    vectors = {"A": np.array([1.0, 3.0]), "B": np.array([3.0, 5.0])}
    notebook, n_unknown = child("stamp").notebook_of(["B", "X"], vectors)
    np.testing.assert_array_equal(notebook, [[3.0, 5.0], [2.0, 4.0]])
    assert n_unknown == 1


def test_a_neighborhood_in_biolord_is_the_largest_jaccard_indices_and_itself() -> None:
    rng = np.random.default_rng(0)
    genes = [f"G{number:02d}" for number in range(30)]
    terms = {gene: {f"GO:{t}" for t in rng.choice(25, rng.integers(1, 6))} for gene in genes}
    found = child("biolord").neighborhoods(["G03", "NONE"], terms, 5)
    assert set(found) == {"G03"}
    jaccard = [len(terms["G03"] & terms[g]) / len(terms["G03"] | terms[g]) for g in genes]
    weights = found["G03"]
    assert weights[3] == 1.0
    assert np.count_nonzero(weights) <= 6
    for number in np.flatnonzero(weights):
        assert weights[number] == pytest.approx(jaccard[number])
        assert weights[number] > 0.1
    left = [j for number, j in enumerate(jaccard) if weights[number] == 0 and j > 0.1]
    assert max(left, default=0) <= weights[weights > 0].min()


def test_biolords_features_do_not_depend_on_what_is_asked_for() -> None:
    biolord = child("biolord")
    seen = {"A": np.array([0.6, 0.2, 0.0]), "B": np.array([0.6, 0.2, 0.0])}
    asked = {"C": np.array([0.0, 2.0, 0.3])}
    alone = biolord.features(seen, {"A", "B"}, 1.0)
    beside = biolord.features({**seen, **asked}, {"A", "B"}, 1.0)
    np.testing.assert_allclose(alone["A"], [0.6])
    np.testing.assert_allclose(beside["A"], [0.6])
    np.testing.assert_allclose(beside["C"], [0.0])
    # Nothing is above the level: whatever has a weight is kept.
    assert len(biolord.features(seen, {"A", "B"}, 5.0)["A"]) == 2


def test_biolord_learns_from_single_perturbations_and_controls_alone() -> None:
    biolord = child("biolord")
    profiles = for_child.Profiles(
        labels=("A+ctrl", "A+B", "B+ctrl", "X+ctrl"),
        cell_types=("k", "k", "k", "k"),
        parts=("train", "train", "val", "train"),
        means=np.arange(8.0).reshape(4, 2),
        controls={"k": np.array([9.0, 9.0])},
    )
    vectors = {"A": np.array([1.0], np.float32), "B": np.array([2.0], np.float32)}
    cells = biolord.training_cells(profiles, vectors)
    assert list(cells.obs_names) == ["A+ctrl k", "B+ctrl k", "ctrl k"]
    assert list(cells.obs["split"]) == ["train", "test", "train"]
    np.testing.assert_array_equal(cells.X, [[0, 1], [4, 5], [9, 9]])
    np.testing.assert_array_equal(cells.obsm["perturbation_neighbors"].ravel(), [1, 2, 0])


def test_state_is_told_the_validation_perturbations_of_each_cell_type() -> None:
    import tomllib

    profiles = for_child.Profiles(
        labels=("A+ctrl", "B+ctrl", "X+ctrl", "A+ctrl"),
        cell_types=("k", "k", "k", "j k"),
        parts=("train", "val", "val", "train"),
        means=np.zeros((4, 1)),
        controls={"k": np.zeros(1), "j k": np.zeros(1)},
    )
    state = child("state")
    features = state.features_of(
        ["A+B", "B+ctrl", "X+ctrl"], {"A": np.array([1.0, 0]), "B": np.array([2.0, 5])}
    )
    assert set(features) == {"ctrl", "A+B", "B+ctrl"}
    np.testing.assert_array_equal(features["A+B"], [3, 5])
    np.testing.assert_array_equal(features["ctrl"], [0, 0])
    document = tomllib.loads(state.split_toml(profiles, features))
    assert document["fewshot"] == {"task.k": {"val": ["B+ctrl"], "test": []}}
    assert document["training"] == {"task": "train"}


def test_cellflow_reads_cells_by_principal_components_and_brings_them_back() -> None:
    cellflow = child("cellflow")
    rng = np.random.default_rng(0)
    low = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 8)) + rng.standard_normal(8)
    order = SimpleNamespace(options={"n_components": 3})
    components = cellflow.components_of(low, order)
    np.testing.assert_allclose(components.axes @ components.axes.T, np.eye(3), atol=1e-9)
    coordinates = components.of(sparse.csr_matrix(low))
    np.testing.assert_allclose(components.back(coordinates[7]), low[7], atol=1e-5)
    np.testing.assert_allclose(coordinates.mean(axis=0), 0, atol=1e-5)
    assert (components.axes.max(axis=1) == np.abs(components.axes).max(axis=1)).all()


def test_cellflow_pads_perturbed_genes_and_leaves_out_what_has_no_vector() -> None:
    cellflow = child("cellflow")
    table = cellflow.covariates([("A", "B"), ("A",), ()], ["k", "k", "j"], 2)
    assert table[["gene_0", "gene_1"]].values.tolist() == [
        ["A", "B"], ["A", "ctrl"], ["ctrl", "ctrl"],
    ]  # fmt: skip
    assert table["is_control"].tolist() == [False, False, True]
    obs = pd.DataFrame(
        {
            "condition": ["ctrl", "A+ctrl", "A+X", "A+ctrl"],
            "part": ["control", "train", "train", "val"],
        }
    )
    assert cellflow.usable(obs, {"A": np.zeros(1)}).tolist() == [True, True, False, False]


@pytest.mark.parametrize("of_outputs", [True, False])
def test_genes_handed_over_are_targets_what_is_asked_and_if_wanted_outputs(
    of_outputs: bool,
) -> None:
    task, held_out = toy_task()
    genes = set(child_files.genes_of(task, held_out, of_outputs=of_outputs))
    targets = {*task.target_genes, *(gene for item in held_out for gene in item.genes)}
    assert targets <= genes
    assert (set(task.gene_symbols) <= genes) is of_outputs


def test_a_peers_options_reach_its_child(tmp_path: Path) -> None:
    """The child is given every option but the time-out, which is the harness's."""
    names = {
        "biolord": {"epochs", "batch_size", "n_latent", "n_neighbors", "min_weight"},
        "stamp": {"embedding", "epochs", "batch_size", "lr", "max_p"},
        "state": {
            "embedding", "model", "max_steps", "batch_size", "cell_set_len", "lr", "val_freq",
        },
        "cellflow": {
            "embedding", "iterations", "batch_size", "width", "n_layers", "n_components", "lr",
        },
    }  # fmt: skip
    stand_in = tmp_path / "python.sh"
    stand_in.write_text("#!/bin/sh\ncp task.json %s/task.json\nexit 3\n" % tmp_path)  # noqa: UP031
    stand_in.chmod(0o755)
    vectors = tmp_path / "vectors.csv"
    vectors.write_text("gene,a,b\nKLF1,1,2\nTP53,2,1\n")
    for name, expected in names.items():
        spec = spec_of(name)
        options = {"embedding": str(vectors)} if "embedding" in expected else {}
        model = spec.factory(spec.config(**options))
        model.use_python(stand_in)
        task, held_out = toy_task(needs_cells=True)
        model.fit(task)
        with pytest.raises(Exception, match="exit code 3"):
            model.predict(held_out)
        assert set(json.loads((tmp_path / "task.json").read_text())["options"]) == expected
