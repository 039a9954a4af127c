"""What a fitted model is asked by and answers with, besides predictions."""

from __future__ import annotations

from dataclasses import dataclass

from dygenept.types import Condition, DoubleArray, FloatArray
from dygenept.types.effects import EffectKind


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which facets a prediction relied on.

    Attributes:
        conditions: What was explained, (n,).
        facet_names: The K facets, in order.
        weights: Attention weights, (n, P, K): the mean over control cells, heads and ensemble
            members; genes in the order of ``Condition.genes``, zeros past the last one and for a
            gene without a known facet.
    """

    conditions: tuple[Condition, ...]
    facet_names: tuple[str, ...]
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """What a fitted model predicts, and what it can be asked by.

    Attributes:
        gene_ids: Output genes, (G,).
        gene_symbols: Their symbols, (G,).
        target_genes: Genes perturbed in the training data.
        cell_types: Cell types.
        reference: What predictions are compared with, (n_types, G): mean log1p expression of
            control cells; of a model of a table each gene's mean over its train perturbations.
        kind: What the values of a table are; None for expression.
    """

    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    reference: DoubleArray
    kind: EffectKind | None = None
