"""What the predictions of a kept model rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.model.effects.explanation import StartExplanation, explained_starts
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.runs.asked import asked_conditions
from dygenept.runs.predict import vocabulary_of
from dygenept.runs.saved_model import load_model
from dygenept.types import Condition, FloatArray, Runtime

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel


@dataclass(frozen=True, slots=True)
class FacetWeight:
    """How much one facet weighed.

    Attributes:
        facet: Facet name.
        weight: Attention weight, in [0, 1]: the mean over control cells, heads and members.
        confidence: What is known of the facet, in [0, 1]; 0 where nothing is.
    """

    facet: str
    weight: float
    confidence: float


@dataclass(frozen=True, slots=True)
class GeneExplanation:
    """The facets of one target gene of one perturbation in one cell type.

    Attributes:
        perturbation: Label of the perturbation.
        cell_type: Cell type.
        gene: Target gene.
        is_known: False where the model knows no facet of it: all its weights are 0.
        facets: One entry per facet, in the order of the knowledge set.
    """

    perturbation: str
    cell_type: str
    gene: str
    is_known: bool
    facets: tuple[FacetWeight, ...]


@dataclass(frozen=True, slots=True)
class ModelExplanation:
    """What a kept model relies on.

    Attributes:
        model: Its name.
        contribution: What it settled on and how much its parts contribute, as its records have it
            under ``chosen`` (see ``dygenept.model.choices.member_choices``).
        genes: One entry per perturbation, cell type and target gene; none of a model of a table
            to which nothing of its networks is added.
        starts: Of a model of a table, one entry per perturbation and cell type.
    """

    model: str
    contribution: Chosen
    genes: tuple[GeneExplanation, ...]
    starts: tuple[StartExplanation, ...] = ()


def explain_from_checkpoint(
    checkpoint: Path,
    labels: Sequence[str],
    environment: Environment,
    *,
    cell_type: str | None,
    runtime: Runtime,
    allow_unknown: bool = False,
) -> ModelExplanation:
    """Explain perturbations with a model that ``dygenept train`` kept.

    Returns:
        What the model's parts contribute, one explanation per perturbation, cell type and target
        gene, and of a model of a table what each perturbation is drawn from.

    Raises:
        DygeneptError: If the folder contains no model, or a label or cell type is refused.
    """
    model, manifest = load_model(checkpoint, environment, runtime)
    conditions = asked_conditions(
        labels, vocabulary_of(model, allow_unknown=allow_unknown), cell_type
    ).conditions
    return explain_conditions(model, manifest.model, conditions)


def explain_conditions(
    model: DyGenePTModel, name: str, conditions: Sequence[Condition]
) -> ModelExplanation:
    """Explain conditions with a fitted model.

    Args:
        model: A model of cells or of a table.
        name: Its name, for people.
        conditions: What to explain.
    """
    table = model.of_table
    if table is None:
        explanation = model.explain(conditions)
        knowledge = model.state.knowledge
        facets = FacetRows(explanation.facet_names, knowledge.genes, knowledge.confidence)
        genes = _of_genes(conditions, explanation.weights, facets)
        return ModelExplanation(name, dict(model.chosen), genes)
    names, weights = table.attention(conditions)
    start = table.fitted.start
    genes = ()
    if names:
        like = start.likeness
        genes = _of_genes(conditions, weights, FacetRows(names, like.genes, like.confidence))
    return ModelExplanation(name, dict(model.chosen), genes, explained_starts(start, conditions))


@dataclass(frozen=True, slots=True)
class FacetRows:
    """How far each facet of some genes is known.

    Attributes:
        names: The K facets.
        genes: The genes, (n,).
        confidence: In [0, 1], (n, K).
    """

    names: tuple[str, ...]
    genes: tuple[str, ...]
    confidence: FloatArray


def _of_genes(
    conditions: Sequence[Condition], weights: FloatArray, facets: FacetRows
) -> tuple[GeneExplanation, ...]:
    """Lay attention weights, (n, P, K), out by target gene."""
    position = {gene: row for row, gene in enumerate(facets.genes)}
    explained = []
    for condition, of_condition in zip(conditions, weights, strict=True):
        for gene, of_gene in zip(condition.genes, of_condition, strict=False):
            row = position.get(gene)
            confidence = [0.0] * len(of_gene) if row is None else facets.confidence[row]
            explained.append(
                GeneExplanation(
                    perturbation=condition.label,
                    cell_type=condition.cell_type,
                    gene=gene,
                    is_known=any(float(value) > 0 for value in confidence),
                    facets=tuple(
                        FacetWeight(name, float(weight), float(known))
                        for name, weight, known in zip(
                            facets.names, of_gene, confidence, strict=True
                        )
                    ),
                )
            )
    return tuple(explained)
