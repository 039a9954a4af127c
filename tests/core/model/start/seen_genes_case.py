"""Single perturbations of toy cells, and a network wide enough for the codes of all their genes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from entmax import sparsemax

from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import Parts
from dygenept.model.start.features import StartData
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_data, toy_knowledge, toy_task
from dygenept.testing.toy import ToyShape
from dygenept.types import Condition, DoubleArray, GeneKnowledge, Perturbation, Runtime, Task
from dygenept_plugins.baselines.linear_loo import LinearLoo
from dygenept_plugins.networks.attention import FacetAttention
from dygenept_plugins.networks.cell_states import MlpCellState
from dygenept_plugins.networks.facets import FacetEncoder
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic

# Codes of all toy genes and their features fit in whole.
WIDTH = 64
CPU = torch.device("cpu")
START = TrainingOptions(
    target="pseudobulk",
    warm_start=True,
    fit_on_validation=True,
    patience=0,
    epochs=0,
    clamp_min_zero=False,
)


def singles_task() -> tuple[Task, tuple[Condition, ...]]:
    """Return a task of single perturbations, and those held out. All have facets."""
    return toy_task(toy_data(ToyShape(n_singles=11, n_doubles=0)))


def wide_parts(identity_share: float | None = 1.0) -> Parts:
    return Parts(
        gene_encoder=lambda context: FacetEncoder(
            context, facet_signs=True, identity_share=identity_share
        ),
        cell_encoder=lambda context: MlpCellState(
            n_genes=len(context.gene_symbols), width=context.width, hidden_dims=(8,), dropout=0.0
        ),
        attention=lambda width: FacetAttention(
            width=width, num_heads=4, normalise=partial(sparsemax, dim=-1)
        ),
        decoder=lambda context: LatentArithmetic(
            width=context.width,
            n_genes=context.n_genes,
            hidden_dims=(128,),
            dropout=0.0,
            interaction_rank=4,
        ),
    )


def read_wide(genes: tuple[str, ...], runtime: Runtime) -> GeneKnowledge:
    """Return facets of toy targets, of text width 64; nothing of other genes."""
    known = toy_knowledge(text_width=WIDTH)
    rows = np.array([known.genes.index(gene) if gene in known.genes else -1 for gene in genes])
    return replace(
        known,
        genes=tuple(genes),
        values=np.where(rows[:, None, None] >= 0, known.values[rows], 0).astype(np.float32),
        confidence=np.where(rows[:, None] >= 0, known.confidence[rows], 0).astype(np.float32),
    )


def wide_model(options: TrainingOptions = START, parts: Parts | None = None) -> DyGenePTModel:
    return DyGenePTModel(
        parts=wide_parts() if parts is None else parts,
        knowledge=read_wide,
        width=WIDTH,
        options=options,
    )


def of_genes(task: Task, *genes: str) -> Condition:
    return Condition(
        Perturbation("+".join(sorted(genes)), tuple(sorted(genes))), task.cell_types[0]
    )


def fitted(
    task: Task, options: TrainingOptions = START, parts: Parts | None = None
) -> DyGenePTModel:
    model = wide_model(options, parts)
    model.fit(task)
    return model


def changes(model: DyGenePTModel | LinearLoo, task: Task, of: list[Condition]) -> DoubleArray:
    return model.predict(of).expression - task.control_means[0]


def start_data(model: DyGenePTModel, task: Task) -> StartData:
    """Return the known conditions and control cells, which the network is prepared with."""
    assert task.cells is not None
    controls = control_cells(task.cells, n_cell_types=1)
    model.networks[0].prepare(controls.pool(task.gene_symbols))
    return StartData(condition_set(task, slice(None), task.target_genes), controls, CPU)


def unseen_of(task: Task) -> list[str]:
    return sorted(set(task.target_genes) - {gene for of in task.known for gene in of.genes})
