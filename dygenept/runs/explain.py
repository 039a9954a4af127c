"""Which facets of a gene a kept model relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.runs.asked import asked_conditions
from dygenept.runs.predict import vocabulary_of
from dygenept.runs.saved_model import load_model
from dygenept.types import Runtime


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
        genes: One entry per perturbation, cell type and target gene.
    """

    model: str
    contribution: Chosen
    genes: tuple[GeneExplanation, ...]


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
        What the model's parts contribute, and one explanation per perturbation, cell type and
        target gene.

    Raises:
        DygeneptError: If the folder contains no model, or a label or cell type is refused.
    """
    model, manifest = load_model(checkpoint, environment, runtime)
    conditions = asked_conditions(
        labels, vocabulary_of(model, allow_unknown=allow_unknown), cell_type
    ).conditions
    explanation = model.explain(conditions)
    knowledge = model.state.knowledge
    position = {gene: row for row, gene in enumerate(knowledge.genes)}
    explained = []
    for condition, weights in zip(explanation.conditions, explanation.weights, strict=True):
        for gene, of_gene in zip(condition.genes, weights, strict=False):
            row = position.get(gene)
            confidence = [0.0] * len(of_gene) if row is None else knowledge.confidence[row]
            explained.append(
                GeneExplanation(
                    perturbation=condition.label,
                    cell_type=condition.cell_type,
                    gene=gene,
                    is_known=any(float(value) > 0 for value in confidence),
                    facets=tuple(
                        FacetWeight(name, float(weight), float(known))
                        for name, weight, known in zip(
                            explanation.facet_names, of_gene, confidence, strict=True
                        )
                    ),
                )
            )
    return ModelExplanation(manifest.model, dict(model.chosen), tuple(explained))
