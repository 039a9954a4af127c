"""Small networks of built-in parts over the toy data, for tests of the model and its training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from entmax import sparsemax

from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext
from dygenept.testing import toy_control_pool, toy_knowledge, toy_task
from dygenept.testing.toy_knowledge import UNKNOWN_GENE
from dygenept.types import GeneKnowledge, Runtime, Task
from dygenept_plugins.networks.attention import FacetAttention
from dygenept_plugins.networks.cell_states import MlpCellState
from dygenept_plugins.networks.facets import FacetEncoder
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic

WIDTH = 16
HEADS = 4


@pytest.fixture
def task() -> Task:
    """Return the toy task."""
    return toy_task()[0]


def toy_parts(*, dropout: float = 0.0, identity_share: float | None = 0.0) -> Parts:
    """Return the factories of a small network."""
    return Parts(
        gene_encoder=lambda context: FacetEncoder(
            context, facet_signs=True, identity_share=identity_share
        ),
        cell_encoder=lambda context: MlpCellState(
            n_genes=len(context.gene_symbols),
            width=context.width,
            hidden_dims=(8,),
            dropout=dropout,
        ),
        attention=lambda width: FacetAttention(
            width=width, num_heads=HEADS, normalise=partial(sparsemax, dim=-1)
        ),
        decoder=lambda context: LatentArithmetic(
            width=context.width,
            n_genes=context.n_genes,
            hidden_dims=(32, 32),
            dropout=dropout,
            interaction_rank=4,
        ),
    )


def toy_network(seed: int = 0, parts: Parts | None = None) -> DyGenePT:
    """Return an untrained network over the toy targets and one gene that nobody knows."""
    knowledge = toy_knowledge()
    genes = (*knowledge.genes, UNKNOWN_GENE)
    pool = toy_control_pool()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = DyGenePT(
            toy_parts() if parts is None else parts,
            genes=GeneEncoderContext(knowledge, genes, WIDTH),
            cells=CellEncoderContext(pool.gene_symbols, genes, WIDTH, seed=0),
            n_genes=len(pool.gene_symbols),
        )
        for parameter in network.parameters():
            # Away from the zeros of the first weights, where mistakes can hide.
            parameter.data += 0.2 * torch.randn_like(parameter)
    network.prepare(pool)
    return network.eval()


def read_toy_knowledge(genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
    """Return the toy knowledge of these genes; confidence 0 for others."""
    knowledge = toy_knowledge()
    rows = [knowledge.genes.index(gene) if gene in knowledge.genes else -1 for gene in genes]
    known = np.array(rows) >= 0
    return replace(
        knowledge,
        genes=tuple(genes),
        values=np.where(known[:, None, None], knowledge.values[rows], 0).astype(np.float32),
        confidence=np.where(known[:, None], knowledge.confidence[rows], 0).astype(np.float32),
    )


def toy_model(
    options: TrainingOptions, *, dropout: float = 0.0, parts: Parts | None = None
) -> DyGenePTModel:
    """Return an untrained model."""
    return DyGenePTModel(
        parts=toy_parts(dropout=dropout) if parts is None else parts,
        knowledge=read_toy_knowledge,
        width=WIDTH,
        options=options,
    )


@pytest.fixture
def make_parts() -> Callable[..., Parts]:
    """Return the maker of small parts."""
    return toy_parts


@pytest.fixture
def network() -> DyGenePT:
    """Return an untrained network, width 16, 4 heads; its last gene has no knowledge."""
    return toy_network()


@pytest.fixture
def make_model() -> Callable[..., DyGenePTModel]:
    """Return the maker of untrained small models."""
    return toy_model
