"""Predicting perturbations that a user names, from a kept model or one fitted on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.effects.filling import filled_task
from dygenept.data.measured import measure
from dygenept.data.opening import open_data
from dygenept.data.reading.unknown_targets import listed
from dygenept.data.request import DataRequest
from dygenept.data.task import Access, build_task
from dygenept.errors import ConfigError, DataError
from dygenept.knowledge.gene_embedding import gene_embedding
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.model.knowledge import RegistryKnowledge
from dygenept.model.overrides import NO_OVERRIDES, Overrides
from dygenept.model.resolve import ResolvedModel, resolve_model
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces.offers import ReadsCodesOf, notes_of, spread_of
from dygenept.runs.asked import KnownTo, Vocabulary, asked_conditions, nobody
from dygenept.runs.keys_and_seeds import job_seed
from dygenept.runs.model_answers import fitted, predicted
from dygenept.runs.readiness import require_buildable, unready_models
from dygenept.runs.run_context import check_learns, run_device
from dygenept.runs.saved_model import load_model
from dygenept.types import (
    Condition,
    DoubleArray,
    Fold,
    PerturbationData,
    Predictions,
    Progress,
    Runtime,
)

if TYPE_CHECKING:
    import polars as pl

    from dygenept.model.estimator import DyGenePTModel
    from dygenept.types.effects import EffectKind

VALIDATION_SHARE = 0.1
# A tenth of fewer is one perturbation, and a choice by one is chance: defaults are better.
LEAST_TO_VALIDATE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest(DataRequest):
    """What to fit before predicting, and on what.

    Attributes:
        model: Model name.
        de_list: Top-20 DE list.
        seed: Seed of all draws.
        overrides: Changes to an assembly.
        allow_unknown: Predict genes that nobody knows, as average genes.
    """

    model: str
    de_list: str
    seed: int
    overrides: Overrides = NO_OVERRIDES
    allow_unknown: bool = False


@dataclass(frozen=True, slots=True)
class NamedPredictions:
    """Predictions of perturbations that a user named.

    Attributes:
        table: Long: perturbation, cell_type, gene_id, gene, control (of a table of effects,
            gene_mean in its place), predicted, delta, and predicted_sd, the standard deviation of
            the error that the model expects of a prediction; null where it states none.
        notes: What the user should know of them, one sentence each.
        kind: What the values of a table of effects are; None for expression.
    """

    table: pl.DataFrame
    notes: tuple[str, ...]
    kind: EffectKind | None = None


def predict_from_checkpoint(
    checkpoint: Path,
    labels: Sequence[str],
    environment: Environment,
    *,
    cell_type: str | None,
    runtime: Runtime,
    allow_unknown: bool = False,
) -> NamedPredictions:
    """Predict with a model that ``dygenept train`` kept.

    Raises:
        DygeneptError: If the folder contains no model, or a label or cell type is refused.
    """
    model, _ = load_model(checkpoint, environment, runtime)
    outputs = model.outputs
    asked = asked_conditions(labels, vocabulary_of(model, allow_unknown=allow_unknown), cell_type)
    conditions = asked.conditions
    predictions = replace(model.predict(conditions), spread=model.spread(conditions))
    reference = np.stack(
        [outputs.reference[outputs.cell_types.index(c.cell_type)] for c in conditions]
    )
    table = prediction_table(
        predictions, reference, outputs.gene_ids, outputs.gene_symbols, kind=outputs.kind
    )
    notes = (*asked.notes, *unknown_targets(model, conditions))
    return NamedPredictions(table, (*notes, *_told_apart(predictions)), outputs.kind)


def predict_from_data(
    request: PredictRequest,
    labels: Sequence[str],
    environment: Environment,
    *,
    cell_type: str | None,
    report: Callable[[Progress], None],
) -> NamedPredictions:
    """Fit one model on every perturbation of a data set and predict.

    Of 20 perturbations or more, a tenth is for validation: an assembled model stops early by it, a
    baseline chooses its hyper-parameters by it and then fits on everything. A perturbation that
    the data set contains is predicted all the same, by a model that has seen it.

    Raises:
        DataError: If the model is a ceiling or floor, which only copies what is known, or a label
            or cell type is refused (see ``asked_conditions``).
    """
    model = resolve_model(request.model, environment, request.overrides)
    if model.is_oracle:
        raise DataError(f"{model.name} only copies known truth and predicts nothing new")
    device = run_device((model,), environment)
    require_buildable(model, environment)
    if reasons := unready_models((model,), environment, report):
        raise ConfigError(f"{model.name} cannot run here: {reasons[model.name]}")
    data = open_data(request, environment, report)
    check_learns((model,), data)
    vocabulary = Vocabulary(
        names=GeneNames(data.gene_symbols, data.gene_ids),
        targets=data.target_genes,
        cell_types=data.cell_types,
        known=_known_to(model, environment, report),
        allow_unknown=request.allow_unknown,
    )
    asked = asked_conditions(labels, vocabulary, cell_type)
    conditions = asked.conditions
    seed = job_seed(request.seed, "predict", model.base)
    rng = np.random.default_rng(seed)
    measured = measure(data, request.de_list)
    task, _ = build_task(
        data,
        measured.means,
        measured.de,
        _whole(data, rng),
        access=Access(cells=model.needs_cells and data.effects is None, memory=request.memory),
        runtime=replace(
            environment.runtime(report, device=device),
            seed=seed,
            knowledge=RegistryKnowledge(environment),
        ),
    )
    if data.effects is not None:
        task = filled_task(task, data)
    built = fitted(model, task)
    predictions = replace(predicted(model, built, conditions), spread=spread_of(built, conditions))
    of_types = task.control_means if task.effects is None else task.effects.gene_means
    reference = np.stack([of_types[task.cell_types.index(c.cell_type)] for c in conditions])
    kind = None if data.effects is None else data.effects.kind
    table = prediction_table(predictions, reference, data.gene_ids, data.gene_symbols, kind=kind)
    notes = (*asked.notes, *_unperturbed(model, data, conditions), *notes_of(built))
    return NamedPredictions(table, (*notes, *_told_apart(predictions)), kind)


def vocabulary_of(model: DyGenePTModel, *, allow_unknown: bool = False) -> Vocabulary:
    """Return what a kept model can be asked by."""
    outputs = model.outputs
    return Vocabulary(
        names=GeneNames(outputs.gene_symbols, outputs.gene_ids),
        targets=outputs.target_genes,
        cell_types=outputs.cell_types,
        known=model.known_genes,
        allow_unknown=allow_unknown,
    )


def prediction_table(
    predictions: Predictions,
    reference: DoubleArray,
    gene_ids: Sequence[str],
    gene_symbols: Sequence[str],
    *,
    kind: EffectKind | None = None,
) -> pl.DataFrame:
    """Lay predictions out as a long table.

    Args:
        predictions: Mean log1p expression of n conditions; of a table of effects the probability
            of label 1, or its signs or numbers.
        reference: What they are compared with, (n, G): control means, or genes' means.
        gene_ids: Output genes, (G,).
        gene_symbols: Their symbols, (G,).
        kind: What the values of a table of effects are; None for expression.
    """
    import polars as pl

    n_conditions, n_genes = predictions.expression.shape
    predicted = predictions.expression.ravel()
    compared = reference.ravel()
    return pl.DataFrame(
        {
            "perturbation": np.repeat([c.label for c in predictions.conditions], n_genes),
            "cell_type": np.repeat([c.cell_type for c in predictions.conditions], n_genes),
            "gene_id": list(gene_ids) * n_conditions,
            "gene": list(gene_symbols) * n_conditions,
            "control" if kind is None else "gene_mean": compared,
            "predicted": predicted,
            "delta": predicted - compared,
            "predicted_sd": [None] * len(predicted)
            if predictions.spread is None
            else predictions.spread.ravel(),
        },
        schema_overrides={"predicted_sd": pl.Float64},
    )


def unknown_targets(model: DyGenePTModel, conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Name the target genes of predicted conditions of which nothing is known."""
    targets = tuple(dict.fromkeys(gene for item in conditions for gene in item.genes))
    unread: frozenset[str] = frozenset()
    if model.of_table is not None:
        instead = "it is like no train perturbation, and adds nothing to the genes' means"
        known = set(model.known_genes(targets))
    else:
        instead = "the learned null embedding is used instead"
        members = model.state.chosen
        if members and all(chosen.get("identity_share") == 1 for chosen in members):
            instead = "a code of its own is used instead, of which nothing was learned"
        # Predicting has read the facets of genes that training had not met.
        knowledge = model.state.knowledge
        rows = zip(knowledge.genes, knowledge.confidence.max(axis=1), strict=True)
        known = {gene for gene, confidence in rows if confidence > 0}
        unread = unread_genes(model, targets)
    typical = "it gets the typical change, as all genes that were not perturbed"
    return tuple(
        f"nothing is known about {gene}; {typical if gene in unread else instead}"
        for gene in targets
        if gene not in known
    )


def unread_genes(model: DyGenePTModel, genes: Sequence[str]) -> frozenset[str]:
    """Return the genes of which no member of a model reads anything (see ``ReadsCodesOf``)."""
    read: set[str] = set()
    for network in model.networks:
        encoder = network.gene_encoder
        codes = encoder.codes_read() if isinstance(encoder, ReadsCodesOf) else None
        if codes is None:
            return frozenset()
        read.update(model.state.target_genes[place] for place in codes.tolist())
    return frozenset(genes) - read


def _known_to(
    model: ResolvedModel, environment: Environment, report: Callable[[Progress], None]
) -> KnownTo:
    """Ask the gene embedding of a model which genes it has."""
    if model.assembly is not None:
        name: str | None = model.assembly.facets
    else:
        name = None if model.baseline is None else model.baseline.knowledge
    if name is None:
        return nobody
    runtime = replace(environment.runtime(report), knowledge=RegistryKnowledge(environment))

    def known(genes: Sequence[str]) -> Sequence[str]:
        return sorted(set(genes) - set(gene_embedding(name, genes, runtime).unknown()))

    return known


def _unperturbed(
    model: ResolvedModel, data: PerturbationData, conditions: Sequence[Condition]
) -> tuple[str, ...]:
    """Name genes outside the screen where the model has no gene embedding to place them by."""
    has_embedding = model.assembly is not None or (
        model.baseline is not None and model.baseline.knowledge is not None
    )
    asked = {gene for condition in conditions for gene in condition.genes}
    new = sorted(asked.difference(data.target_genes))
    if has_embedding or not new:
        return ()
    return (
        f"the data set does not perturb {listed(new)}, and {model.name} reads no gene embedding",
    )


def _told_apart(predictions: Predictions) -> tuple[str, ...]:
    """Name perturbations of which the model predicts the very same."""
    same: dict[tuple[str, bytes], list[str]] = {}
    for condition, row in zip(predictions.conditions, predictions.expression, strict=True):
        same.setdefault((condition.cell_type, row.tobytes()), []).append(condition.label)
    groups = dict.fromkeys(tuple(labels) for labels in same.values() if len(labels) > 1)
    return tuple(
        f"the model has nothing to tell {listed(labels, 5)} apart, and predicts the same for them"
        for labels in groups
    )


def _whole(data: PerturbationData, rng: np.random.Generator) -> Fold:
    labels = sorted({condition.label for condition in data.conditions})
    if len(labels) < LEAST_TO_VALIDATE:
        return Fold(train=tuple(labels), val=(), test=())
    n_val = max(1, round(VALIDATION_SHARE * len(labels)))
    val = set(rng.choice(len(labels), size=n_val, replace=False).tolist())
    return Fold(
        train=tuple(label for i, label in enumerate(labels) if i not in val),
        val=tuple(label for i, label in enumerate(labels) if i in val),
        test=(),
    )
