"""Toy gene knowledge, control cells and metric inputs, made from the toy data set's names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.cell_samples import CellSamples, samples_of
from dygenept.plugin.interfaces import ControlPool
from dygenept.testing.toy import TOY_TARGETS, toy_data
from dygenept.types import (
    FACETS,
    Condition,
    DeTests,
    DoubleArray,
    GeneKnowledge,
    MetricInputs,
    Perturbation,
    PerturbationData,
    PredictedCells,
)

# Known to nobody: it stands for a target that no facet set covers.
UNKNOWN_GENE = "TOYGENE_WITHOUT_KNOWLEDGE"
N_DE_GENES = 20


def toy_knowledge(*, text_width: int = 16, seed: int = 0) -> GeneKnowledge:
    """Draw facet embeddings of the toy targets.

    A quarter of the facets is unknown, some of the known ones are unsure, and the first gene has
    no known facet at all.

    Args:
        text_width: Width of a facet embedding.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    shape = (len(TOY_TARGETS), len(FACETS))
    values = rng.normal(size=(*shape, text_width)).astype(np.float32)
    confidence = rng.choice([0.0, 0.4, 1.0, 1.0], size=shape).astype(np.float32)
    confidence[0] = 0.0
    confidence[1:, 0] = 1.0
    values[confidence == 0] = 0.0
    return GeneKnowledge(
        name="toy",
        sha256=hashlib.sha256(values.tobytes() + confidence.tobytes()).hexdigest(),
        genes=TOY_TARGETS,
        facet_names=FACETS,
        values=values,
        confidence=confidence,
    )


def toy_control_pool(data: PerturbationData | None = None) -> ControlPool:
    """Return the control cells of a toy data set; the last one expresses nothing."""
    from scipy import sparse

    data = data or toy_data()
    rows = np.flatnonzero(data.condition_codes < 0)
    empty = sparse.csr_matrix((1, data.n_genes), dtype=np.float32)
    codes = [int(code) for code in data.cell_type_codes[rows]]
    return ControlPool(
        expression=sparse.vstack([data.expression[rows], empty], format="csr"),
        gene_symbols=data.gene_symbols,
        cell_type_codes=[*codes, codes[-1]],
    )


def toy_metric_inputs(*, n_conditions: int = 6, seed: int = 0) -> MetricInputs:
    """Draw truth, prediction and reference for a metric: the prediction is half right.

    Args:
        n_conditions: Held-out conditions, at most the toy data set's 16.
        seed: Seed of the noise.
    """
    data = toy_data()
    conditions = data.conditions[:n_conditions]
    rng = np.random.default_rng(seed)
    size = (len(conditions), data.n_genes)
    control = np.broadcast_to(rng.uniform(0.5, 3.0, data.n_genes), size).copy()
    truth = np.maximum(control + rng.normal(0.0, 0.5, size), 0.0)
    perturbed_mean = np.broadcast_to(control[0] + rng.normal(0.0, 0.2, data.n_genes), size).copy()
    predicted = control + 0.5 * (truth - control) + rng.normal(0.0, 0.2, size)
    change = truth - control
    noise = rng.normal(0.0, 0.05, data.n_genes)
    ranking = np.argsort(-np.abs(change), axis=1, kind="stable")
    return MetricInputs(
        conditions=conditions,
        predicted=predicted,
        truth=truth,
        control=control,
        perturbed_mean=perturbed_mean,
        de_indices=ranking[:, :20].astype(np.int32),
        gene_symbols=data.gene_symbols,
        de_tests=DeTests(np.abs(change) > 0.6, change / 0.1),
        cells=_toy_samples(truth, control[0], rng),
        control_halves=np.stack([control + noise, control - noise]),
        spread=rng.uniform(0.1, 0.5, size),
        predicted_cells=PredictedCells(
            tuple(np.maximum(row + rng.normal(0.0, 0.2, (8, data.n_genes)), 0.0) for row in truth),
            truth,
            np.where(np.abs(change) > 0.7, 0.01, 0.5),
        ),
        single_deltas=tuple(
            None if len(item.genes) == 1 else rng.normal(0.0, 0.3, (2, data.n_genes))
            for item in conditions
        ),
    )


def small_metric_inputs(
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    control: npt.ArrayLike = 0.0,
    perturbed_mean: npt.ArrayLike = 0.0,
    de_genes: Sequence[int] | None = None,
) -> MetricInputs:
    """Make metric inputs of a few numbers, all in one cell type.

    Args:
        predicted: Predicted mean expression, (n, G).
        truth: True mean expression, (n, G).
        control: Mean expression of control, (G,), or one number for all genes.
        perturbed_mean: Mean of the train perturbations, (G,), or one number for all genes.
        de_genes: Positions of the DE genes of every condition; None takes the first 20 genes.
    """
    expected = np.asarray(truth, dtype=np.float64)
    n_conditions, n_genes = expected.shape
    listed = list(range(n_genes) if de_genes is None else de_genes)[:N_DE_GENES]
    de_indices = np.full((n_conditions, N_DE_GENES), -1, dtype=np.int32)
    de_indices[:, : len(listed)] = listed

    def for_each(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), expected.shape)

    return MetricInputs(
        conditions=tuple(
            Condition(Perturbation(f"P{row}+ctrl", (f"P{row}",)), "cells")
            for row in range(n_conditions)
        ),
        predicted=np.asarray(predicted, dtype=np.float64),
        truth=expected,
        control=for_each(control),
        perturbed_mean=for_each(perturbed_mean),
        de_indices=de_indices,
        gene_symbols=tuple(f"G{column}" for column in range(n_genes)),
    )


def _toy_samples(truth: DoubleArray, control: DoubleArray, rng: np.random.Generator) -> CellSamples:
    """Draw cells around each condition's truth, and one set of cells around control."""
    from scipy import sparse

    centres = np.concatenate((control[None], truth))
    n_cells = 12
    noise = rng.normal(0.0, 0.4, (len(centres), n_cells, truth.shape[1]))
    noise -= noise.mean(axis=1, keepdims=True)
    cells = (centres[:, None] + noise).reshape(-1, truth.shape[1])
    rows = np.arange(len(cells)).reshape(len(centres), n_cells)
    return samples_of(
        sparse.csr_matrix(cells.astype(np.float32)),
        control_rows=(rows[0],) * len(truth),
        real_rows=tuple(rows[1:]),
        means=truth,
    )
