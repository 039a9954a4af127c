"""What the predictions of a kept model rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from dygenept.model.effects.explanation import StartExplanation, explained_starts
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.runs.asked import asked_conditions
from dygenept.runs.predict import unread_genes, vocabulary_of
from dygenept.runs.saved_model import load_model
from dygenept.types import Condition, FloatArray, Runtime

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel

# A share below this is shown as 0.
LEAST_SHARE = 0.0005


@dataclass(frozen=True, slots=True)
class FacetWeight:
    """How much one facet weighed.

    Attributes:
        facet: Facet name.
        weight: Attention weight, in [0, 1]: the mean over control cells, heads and members; None
            where nothing of the gene's facets is read.
        confidence: What is known of the facet, in [0, 1]; 0 where nothing is.
    """

    facet: str
    weight: float | None
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
        not_read: Why attention over its facets says nothing, as a clause; None where it does.
    """

    perturbation: str
    cell_type: str
    gene: str
    is_known: bool
    facets: tuple[FacetWeight, ...]
    not_read: str | None = None


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
        genes = _of_genes(conditions, explanation.weights, facets, _not_read(model, conditions))
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


def _not_read(model: DyGenePTModel, conditions: Sequence[Condition]) -> dict[str, str]:
    """Say of which target genes of a model of cells no facet is read, and why.

    Attention has weights for their facets too: where a gene's own code is all that is read, every
    facet is that code, and its weight says nothing of what the facet tells.
    """
    targets = tuple(dict.fromkeys(gene for item in conditions for gene in item.genes))
    members = model.state.chosen
    if not members or not all(map(_reads_nothing, members)):
        return {}
    if all(chosen.get("identity_share") == 1 for chosen in members):
        unread = unread_genes(model, targets)
        code = "all that is read of it is its own code (identity share 1), the same in every facet"
        nothing = "nothing at all is read of it: it gets the typical change"
        return {gene: nothing if gene in unread else code for gene in targets}
    nothing = "nothing of what is predicted comes from facets (knowledge share 0)"
    return dict.fromkeys(targets, nothing)


def _reads_nothing(chosen: Chosen) -> bool:
    """Tell whether a member of an ensemble reads nothing of facets, by what it settled on.

    Own codes alone may still tell genes apart by which facets are known, where attention was tuned
    to that: then the knowledge share says so. A member that was not started in closed form has no
    identity share, and reads facets.
    """
    share = chosen.get("knowledge_share")
    return chosen.get("identity_share") == 1 if share is None else float(share) < LEAST_SHARE


def _of_genes(
    conditions: Sequence[Condition],
    weights: FloatArray,
    facets: FacetRows,
    not_read: Mapping[str, str] = MappingProxyType({}),
) -> tuple[GeneExplanation, ...]:
    """Lay attention weights, (n, P, K), out by target gene, but for those that are not read."""
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
                        FacetWeight(name, None if gene in not_read else float(weight), float(known))
                        for name, weight, known in zip(
                            facets.names, of_gene, confidence, strict=True
                        )
                    ),
                    not_read=not_read.get(gene),
                )
            )
    return tuple(explained)
