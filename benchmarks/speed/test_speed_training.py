"""One training step and one epoch of dygenept_small, on random facets (no text model needed)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from dygenept.data.task import Access, build_task
from dygenept.model.assembly import named_assembly
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.overrides import Overrides
from dygenept.model.training.batches import Batch, BatchSource, perturbed_cells
from dygenept.model.training.loop import Trainer
from dygenept.model.training.optimisation import make_optimizer
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.types import (
    DeGenes,
    Fold,
    GeneKnowledge,
    PerturbationData,
    Pseudobulk,
    Runtime,
    Task,
)

pytestmark = pytest.mark.benchmark(group="training")


@pytest.fixture(scope="module")
def task(
    data: PerturbationData,
    means: Pseudobulk,
    de: DeGenes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Task:
    labels = [perturbation.label for perturbation in data.perturbations]
    fold = Fold(train=tuple(labels[4:]), val=tuple(labels[2:4]), test=tuple(labels[:2]))
    task, _ = build_task(
        data,
        means,
        de,
        fold,
        access=Access(cells=True),
        runtime=Runtime(cache_dir=tmp_path_factory.mktemp("cache")),
    )
    return task


def small_model(*sets: str) -> DyGenePTModel:
    registry = load_registry()
    manager = PluginManager.load(registry.plugins, entry_points=False)
    overrides = Overrides(parts={}, facets="random768", sets=("training.n_members=1", *sets))
    environment = Environment(registry=registry, manager=manager)
    assembly, _ = named_assembly("dygenept_small", environment, overrides)
    read = assembly.knowledge(environment)
    kept: dict[tuple[str, ...], GeneKnowledge] = {}

    def knowledge(genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        # Facets are embedded once and cached by every user; they are no part of an epoch.
        key = tuple(genes)
        if key not in kept:
            kept[key] = read(genes, runtime)
        return kept[key]

    return DyGenePTModel(
        parts=assembly.network_parts(),
        knowledge=knowledge,
        width=assembly.width,
        options=assembly.training,
    )


def test_one_epoch_with_preparation(benchmark: BenchmarkFixture, task: Task) -> None:
    model = small_model("training.epochs=1", "training.keep_steps=always")
    benchmark.pedantic(model.fit, args=(task,), rounds=1)
    assert len(model.histories[0].losses) == 1


def test_one_step(benchmark: BenchmarkFixture, task: Task, tmp_path: Path) -> None:
    model = small_model("training.epochs=1", "training.warm_start=false")
    model.fit(task)
    (network,) = model.networks
    options = model.state.options
    controls = control_cells(task.cells, n_cell_types=len(task.cell_types))
    network.cell_encoder.prepare(controls.pool(task.gene_symbols))
    n_train = len(task.train)
    source = BatchSource(
        conditions=condition_set(task, slice(0, n_train), task.target_genes),
        controls=controls,
        cells=perturbed_cells(task, n_train) if options.target == "cell" else None,
        options=options,
    )
    trainer = Trainer(
        source=source,
        validation=None,
        positions=controls.sample(8, np.random.default_rng(0)),
        options=options,
        seed=0,
        device=torch.device("cpu"),
        report=lambda epoch, text: None,
    )
    optimizer = make_optimizer(network, options, torch.device("cpu"))
    batch: Batch = next(source.epoch(np.random.default_rng(0)))
    network.train()

    def step() -> float:
        loss = trainer.batch_loss(network, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    assert np.isfinite(benchmark(step))
