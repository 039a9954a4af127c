"""dygenept_small and cell-gears 0.1.2 on one file: preparation and one pass over train cells.

``DYGENEPT_GEARS_PYTHON`` names the interpreter of an environment with cell-gears 0.1.2 (with
torch_geometric, requests, scipy<1.15 and pandas<3); skipped without it. At full size
(``DYGENEPT_SPEED_SCALE=1``: 2,000 cells × 5,000 genes) cell-gears takes minutes.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import dygenept_plugins
from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated import simulation
from dygenept.data.simulated.export import write_simulation
from dygenept.data.simulated.profiles import PROFILES
from dygenept.data.task import Access, build_task
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.types import Fold, Runtime

pytestmark = pytest.mark.benchmark(group="beside cell-gears")

SCALE = float(os.environ.get("DYGENEPT_SPEED_SCALE", "0.01"))
IS_FULL = SCALE >= 1
TIMES_FASTER = 30
SHAPE = replace(
    PROFILES["norman"],
    n_cells=2_000 if IS_FULL else 600,
    n_genes=5_000 if IS_FULL else 200,
    n_controls=400 if IS_FULL else 100,
    n_singles=30 if IS_FULL else 20,
    n_doubles=10 if IS_FULL else 2,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gears") / "cells.h5ad"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "profile_named", lambda name: SHAPE)
        write_simulation(simulation.simulate("norman"), path)
    return path


def import_all() -> None:
    """Import what a run loads as it goes: neither clock counts imports."""
    for module in pkgutil.walk_packages(dygenept_plugins.__path__, "dygenept_plugins."):
        # Scripts of isolated environments are not imported here.
        if not module.name.endswith("_child"):
            importlib.import_module(module.name)
    for name in ("entmax", "omegaconf", "tokenizers", "transformers.models.bert.modeling_bert"):
        importlib.import_module(name)


def epoch_of_small(file: Path, cache: Path) -> int:
    """Read, prepare from an empty cache, and train on every cell once; return their number."""
    data = read_anndata(file)
    means = pseudobulk(data)
    labels = [perturbation.label for perturbation in data.perturbations]
    n_val = len(labels) // 10
    task, _ = build_task(
        data,
        means,
        de_genes(data, means),
        Fold(train=tuple(labels[n_val:]), val=tuple(labels[:n_val]), test=()),
        access=Access(cells=True),
        runtime=Runtime(cache_dir=cache),
    )
    registry = load_registry()
    manager = PluginManager.load(registry.plugins, entry_points=False)
    sets = ("training.target=cell", "training.steps_per_epoch=0", "training.epochs=1")
    sets = (*sets, "training.fit_on_validation=false", "training.keep_steps=always")
    overrides = Overrides(parts={}, sets=sets)
    environment = Environment(registry=registry, manager=manager)
    resolve_model("dygenept_small", environment, overrides).build().fit(task)
    assert task.cells is not None
    codes = task.cells.condition_codes
    return int(((codes >= 0) & (codes < len(task.train))).sum())


@pytest.mark.skipif(
    not os.environ.get("DYGENEPT_GEARS_PYTHON"),
    reason="DYGENEPT_GEARS_PYTHON names no interpreter with cell-gears 0.1.2",
)
def test_an_epoch_with_its_preparation_beside_cell_gears(
    benchmark: BenchmarkFixture, file: Path, tmp_path: Path
) -> None:
    python = os.environ["DYGENEPT_GEARS_PYTHON"]
    import_all()
    started = time.perf_counter()
    n_cells = benchmark.pedantic(epoch_of_small, args=(file, tmp_path / "cache"), rounds=1)
    ours = time.perf_counter() - started
    tables = load_gene_tables()
    data = read_anndata(file)
    genes = {*data.gene_symbols, *data.target_genes}
    terms = {gene: tables.terms_of(tables.resolve(gene) or gene) for gene in sorted(genes)}
    # Two genes without a term make cell-gears divide by zero.
    known = {gene: ids for gene, ids in terms.items() if ids}
    (tmp_path / "terms.json").write_text(json.dumps(known))
    (tmp_path / "gears").mkdir()
    script = Path(__file__).with_name("gears_epoch.py")
    done = subprocess.run(
        [python, script, file, tmp_path / "terms.json", tmp_path / "gears"],
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    peer = json.loads(done.stdout.strip().splitlines()[-1])
    ratio = (peer["preparation_s"] + peer["epoch_s"]) / ours
    benchmark.extra_info.update({"cell_gears": peer, "n_cells": n_cells, "times_faster": ratio})
    print(f"\nours {ours:.1f} s for {n_cells} cells; cell-gears {peer}; {ratio:.1f} × faster")  # noqa: T201
    if IS_FULL:
        assert ratio >= TIMES_FASTER
