"""Predicting perturbations that a user names, from a kept model or one fitted on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.reading.labels import parse_labels
from dygenept.data.request import DataRequest, open_data
from dygenept.data.task import Access, build_task
from dygenept.errors import DataError, nearest
from dygenept.model.knowledge import RegistryKnowledge
from dygenept.model.overrides import NO_OVERRIDES, Overrides
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces.offers import notes_of
from dygenept.runs.job_identity import job_seed
from dygenept.runs.run_context import data_summary, run_device
from dygenept.runs.saved_model import load_model
from dygenept.runs.scored_job import fitted, predicted
from dygenept.types import (
    CONTROL_LABEL,
    Condition,
    DoubleArray,
    Fold,
    Perturbation,
    PerturbationData,
    Predictions,
    Progress,
    Runtime,
)

if TYPE_CHECKING:
    import polars as pl

    from dygenept.types import GeneKnowledge

VALIDATION_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest(DataRequest):
    """What to fit before predicting, and on what.

    Attributes:
        model: Model name.
        de_list: Top-20 DE list.
        seed: Seed of all draws.
        overrides: Changes to an assembly.
    """

    model: str
    de_list: str
    seed: int
    overrides: Overrides = NO_OVERRIDES


@dataclass(frozen=True, slots=True)
class NamedPredictions:
    """Predictions of perturbations that a user named.

    Attributes:
        table: Long: perturbation, cell_type, gene_id, gene, control, predicted, delta.
        notes: What the user should know of them, one sentence each.
    """

    table: pl.DataFrame
    notes: tuple[str, ...]


def predict_from_checkpoint(
    checkpoint: Path,
    labels: Sequence[str],
    environment: Environment,
    *,
    cell_type: str | None,
    runtime: Runtime,
) -> NamedPredictions:
    """Predict with a model that ``dygenept train`` kept."""
    model, _ = load_model(checkpoint, environment, runtime)
    state = model.state
    conditions = named_conditions(labels, state.cell_types, cell_type)
    predictions = model.predict(conditions)
    controls = np.stack(
        [state.control_means[state.cell_types.index(c.cell_type)] for c in conditions]
    )
    table = prediction_table(predictions, controls, state.gene_ids, state.gene_symbols)
    # Predicting has read the facets of genes that training had not met.
    return NamedPredictions(table, _without_knowledge(conditions, model.state.knowledge))


def predict_from_data(
    request: PredictRequest,
    labels: Sequence[str],
    environment: Environment,
    *,
    cell_type: str | None,
    report: Callable[[Progress], None],
) -> NamedPredictions:
    """Fit one model on every perturbation of a data set and predict.

    A tenth of the perturbations is for validation: an assembled model stops early by it, a
    baseline chooses its hyper-parameters by it and then fits on everything. A perturbation that
    the data set contains is predicted all the same, by a model that has seen it.

    Raises:
        DataError: If the model is a ceiling or floor, which only copies what is known.
    """
    model = resolve_model(request.model, environment, request.overrides)
    if model.is_oracle:
        raise DataError(f"{model.name} only copies known truth and predicts nothing new")
    data = open_data(request, environment, report)
    conditions = named_conditions(labels, data.cell_types, cell_type)
    seed = job_seed(request.seed, "predict", model.base)
    rng = np.random.default_rng(seed)
    means, de = data_summary(data, request.de_list)
    task, _ = build_task(
        data,
        means,
        de,
        _whole(data, rng),
        access=Access(cells=model.needs_cells),
        runtime=replace(
            environment.runtime(report, device=run_device((model,), environment)),
            seed=seed,
            knowledge=RegistryKnowledge(environment),
        ),
    )
    built = fitted(model, task)
    predictions = predicted(model, built, conditions)
    controls = np.stack([task.control_mean(c.cell_type) for c in conditions])
    table = prediction_table(predictions, controls, data.gene_ids, data.gene_symbols)
    return NamedPredictions(table, notes_of(built))


def named_conditions(
    labels: Sequence[str], cell_types: Sequence[str], cell_type: str | None
) -> tuple[Condition, ...]:
    """Read perturbations as a user writes them, in one cell type or in all.

    Raises:
        DataError: If a label names no gene or is control, or the cell type is unknown.
    """
    if cell_type is not None and cell_type not in cell_types:
        raise DataError(f"unknown cell type {cell_type!r}; {nearest(cell_type, cell_types)}")
    for label in labels:
        if not all(part.strip() for part in label.split("+")):
            raise DataError(
                f"perturbation {label!r} has an empty gene; write KLF1, or KLF1+MAPK1 for both"
            )
    found: list[Perturbation] = []
    for label, perturbation in parse_labels(labels).perturbations.items():
        if perturbation is None:
            raise DataError(f"{label!r} is control; name a gene, such as KLF1 or KLF1+MAPK1")
        if "+" in perturbation.label or len(perturbation.genes) > 1:
            found.append(perturbation)
        else:
            gene = perturbation.genes[0]
            found.append(Perturbation(f"{gene}+{CONTROL_LABEL}", perturbation.genes))
    chosen = tuple(cell_types) if cell_type is None else (cell_type,)
    return tuple(
        Condition(perturbation, of) for perturbation in dict.fromkeys(found) for of in chosen
    )


def prediction_table(
    predictions: Predictions,
    controls: DoubleArray,
    gene_ids: Sequence[str],
    gene_symbols: Sequence[str],
) -> pl.DataFrame:
    """Lay predictions out as a long table; expression is mean log1p of normalised counts."""
    import polars as pl

    n_conditions, n_genes = predictions.expression.shape
    predicted = predictions.expression.ravel()
    control = controls.ravel()
    return pl.DataFrame(
        {
            "perturbation": np.repeat([c.label for c in predictions.conditions], n_genes),
            "cell_type": np.repeat([c.cell_type for c in predictions.conditions], n_genes),
            "gene_id": list(gene_ids) * n_conditions,
            "gene": list(gene_symbols) * n_conditions,
            "control": control,
            "predicted": predicted,
            "delta": predicted - control,
        }
    )


def _without_knowledge(
    conditions: Sequence[Condition], knowledge: GeneKnowledge
) -> tuple[str, ...]:
    """Name the target genes of which no facet is known."""
    is_known = dict(zip(knowledge.genes, knowledge.confidence.max(axis=1) > 0, strict=True))
    targets = dict.fromkeys(gene for condition in conditions for gene in condition.genes)
    return tuple(
        f"nothing is known about {gene}; the learned null embedding is used instead"
        for gene in targets
        if not is_known.get(gene, False)
    )


def _whole(data: PerturbationData, rng: np.random.Generator) -> Fold:
    labels = sorted({condition.label for condition in data.conditions})
    if len(labels) < 3:
        return Fold(train=tuple(labels), val=(), test=())
    n_val = max(1, round(VALIDATION_SHARE * len(labels)))
    val = set(rng.choice(len(labels), size=n_val, replace=False).tolist())
    return Fold(
        train=tuple(label for i, label in enumerate(labels) if i not in val),
        val=tuple(label for i, label in enumerate(labels) if i in val),
        test=(),
    )
