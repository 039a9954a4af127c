"""What a fitted model is asked by and answers with, besides predictions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from dygenept.model.effects.fitted_table import FittedTable
from dygenept.model.fitted_state import FittedState
from dygenept.types import Condition, DoubleArray, FloatArray, GeneKnowledge
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

    @classmethod
    def of_cells(cls, state: FittedState) -> ModelOutputs:
        """Return those of a model of cells."""
        return cls(
            gene_ids=state.gene_ids,
            gene_symbols=state.gene_symbols,
            target_genes=state.target_genes,
            cell_types=state.cell_types,
            reference=state.control_means,
        )

    @classmethod
    def of_table(cls, fitted: FittedTable) -> ModelOutputs:
        """Return those of a model of a table of effects."""
        start = fitted.start
        return cls(
            gene_ids=fitted.gene_ids,
            gene_symbols=start.gene_symbols,
            target_genes=fitted.target_genes,
            cell_types=start.cell_types,
            reference=start.gene_means,
            kind=fitted.kind,
        )


def unknown_genes(knowledge: GeneKnowledge) -> tuple[str, ...]:
    """Say of how many target genes nothing is known, in a sentence; none where all are known."""
    is_known = knowledge.confidence.max(axis=1).tolist()
    unknown = [gene for gene, known in zip(knowledge.genes, is_known, strict=True) if not known]
    if not unknown:
        return ()
    shown = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
    return (
        f"{len(unknown)} of {len(is_known)} target genes have no known facet and share the "
        f"null embedding: {shown}.",
    )


def joined_knowledge(first: GeneKnowledge, second: GeneKnowledge) -> GeneKnowledge:
    """Add the genes of the second that the first does not have."""
    kept = [row for row, gene in enumerate(second.genes) if gene not in set(first.genes)]
    return replace(
        first,
        sha256=hashlib.sha256(f"{first.sha256}+{second.sha256}".encode()).hexdigest(),
        genes=first.genes + tuple(second.genes[row] for row in kept),
        values=np.concatenate([first.values, second.values[kept]]),
        confidence=np.concatenate([first.confidence, second.confidence[kept]]),
    )
