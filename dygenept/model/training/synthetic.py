"""Synthetic control cells, a batch and knowledge of a model's shape, and its operations counted.

For measuring and checking training steps without a data set; needs torch, numpy and scipy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from dygenept.model.conditions import PADDING, ConditionSet
from dygenept.model.control_pool import ControlCells
from dygenept.model.losses import BatchCounts
from dygenept.model.training.batches import Batch, BatchSource
from dygenept.model.training.loop import Trainer
from dygenept.model.training.options import TrainingOptions
from dygenept.types import FACETS, GeneKnowledge

# Layers of the transformer that are trained, the last ones, and genes that are perturbed.
N_TRAINED = 2
N_TARGETS = 100


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of the model and of what it reads."""

    n_layers: int = 12
    d_model: int = 512
    n_heads: int = 8
    width: int = 768
    attention_heads: int = 8
    hidden_dims: tuple[int, ...] = (512, 256)
    n_genes: int = 5000
    n_tokens: int = 60_697
    batch: int = 64
    lengths: tuple[int, ...] = (1200, 3000)
    matrix: int = 8192


SMALL = Size(
    n_layers=4,
    d_model=64,
    n_heads=4,
    width=64,
    attention_heads=4,
    hidden_dims=(64, 32),
    n_genes=400,
    n_tokens=500,
    batch=8,
    lengths=(120, 300),
    matrix=256,
)


def gene_names(size: Size) -> tuple[str, ...]:
    """Name the output genes; the first ``N_TARGETS`` are perturbed."""
    return tuple(f"G{i}" for i in range(size.n_genes))


def knowledge_of(size: Size) -> GeneKnowledge:
    """Make random facets of the perturbed genes, all known."""
    rng = np.random.default_rng(0)
    return GeneKnowledge(
        name="synthetic",
        sha256="",
        genes=gene_names(size)[:N_TARGETS],
        facet_names=FACETS,
        values=rng.standard_normal((N_TARGETS, len(FACETS), size.width)).astype(np.float32),
        confidence=np.ones((N_TARGETS, len(FACETS)), dtype=np.float32),
    )


def control_cells(size: Size, length: int) -> ControlCells:
    """Make a control cell for each row of the batch, of ``length`` tokens with ``<cls>``."""
    rng = np.random.default_rng(1)
    # One token is <cls>; the others are the genes that a cell expresses.
    chosen = [np.sort(rng.permutation(size.n_genes)[: length - 1]) for _ in range(size.batch)]
    indptr = np.arange(size.batch + 1) * (length - 1)
    values = rng.gamma(2.0, 0.7, size.batch * (length - 1)).astype(np.float32) + 0.01
    expression = sparse.csr_matrix(
        (values, np.concatenate(chosen), indptr), shape=(size.batch, size.n_genes)
    )
    return ControlCells(expression, np.zeros(size.batch, dtype=np.int32), 1)


def batch_of(size: Size, controls: ControlCells) -> Batch:
    """Make a batch: single genes and pairs, every row with a control cell of its own."""
    rng = np.random.default_rng(2)
    genes = torch.from_numpy(rng.integers(0, N_TARGETS, (size.batch, 2)))
    genes[::2, 1] = PADDING  # single genes in even rows, pairs in odd ones
    control = torch.from_numpy(controls.expression.toarray())
    reference = 0.1 * torch.from_numpy(rng.standard_normal(control.shape).astype(np.float32))
    return Batch(
        gene_indices=genes,
        control_indices=torch.arange(size.batch),
        control=control,
        target=reference + 0.1,
        reference=reference,
        de_indices=torch.from_numpy(rng.integers(0, size.n_genes, (size.batch, 20))),
        counts=BatchCounts(n_values=control.numel(), n_de=20 * size.batch),
    )


def trainer_of(
    batch: Batch, controls: ControlCells, options: TrainingOptions, device: torch.device
) -> Trainer:
    """Make a trainer that knows one batch's conditions, for its ``step``."""
    cell_types = np.zeros(len(batch.gene_indices), dtype=np.int64)
    known = ConditionSet(batch.gene_indices, cell_types, batch.reference, batch.de_indices)
    return Trainer(
        source=BatchSource(known, controls, None, options),
        validation=None,
        positions=np.arange(1),
        options=options,
        seed=0,
        device=device,
        report=lambda epoch, text: None,
    )


def layer_flop(size: Size, length: int, n_queries: int) -> tuple[int, int, int]:
    """Count a layer's forward operations for one cell: input maps, other maps, attention."""
    # (n, D) times (D, D) takes 2 n D² operations: queries, keys and values go in; the output map
    # and two feed-forward maps of width D follow.
    square = 2 * size.d_model**2
    inputs = square * n_queries + 2 * square * length
    others = square * n_queries + 2 * square * n_queries
    return inputs, others, 4 * n_queries * length * size.d_model


def trained_flop(size: Size, length: int) -> int:
    """Count forward and backward of the trained layers over a batch.

    The last layer computes ``<cls>`` alone. A backward pass costs twice the forward one; the first
    trained layer's input needs no gradient.
    """
    total = 0
    for place in range(N_TRAINED):
        inputs, others, attention = layer_flop(
            size, length, 1 if place == N_TRAINED - 1 else length
        )
        total += 3 * (inputs + others + attention) - (inputs if place == 0 else 0)
    return total * size.batch


def frozen_flop(size: Size, length: int) -> int:
    """Count the forward pass of the frozen layers over a batch."""
    return (size.n_layers - N_TRAINED) * sum(layer_flop(size, length, length)) * size.batch
