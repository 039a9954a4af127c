"""Every score of boards as one table, and all that is known of one model on one perturbation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import ConfigError, nearest
from dygenept.leaderboard.columns import JsonDocument
from dygenept.leaderboard.judgements import CEILING, TRIVIAL
from dygenept.leaderboard.metric_table import Unit
from dygenept.reports.changes import condition_changes
from dygenept.reports.scores import BoardScores, named_gene
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.types.perturbations import CONTROL_LABEL

if TYPE_CHECKING:
    import polars as pl


def score_table(
    records: Iterable[RunRecord], *, metrics: Sequence[str] = (), with_origin: bool = False
) -> pl.DataFrame:
    """Return one row per model, metric and held-out perturbation.

    Columns: ``model``, ``fold`` (from 1), ``metric``, ``perturbation`` (or gene), ``cell_type``,
    ``value`` (null where undefined) and ``reason`` (why it is).

    Args:
        records: Records of one board or several.
        metrics: Only these; empty takes all.
        with_origin: Add in front what tells boards apart, and each model's role.
    """
    import polars as pl

    rows = [
        {
            **(_origin(record) if with_origin else {}),
            "model": record.model,
            **({"role": record.role} if with_origin else {}),
            "fold": record.fold + 1,
            "metric": entry.name,
            "perturbation": score.perturbation,
            "cell_type": score.cell_type,
            "value": score.value,
            "reason": score.reason,
        }
        for record in records
        for entry in record.metrics
        if not metrics or entry.name in metrics
        for score in entry.values
    ]
    return pl.DataFrame(
        rows,
        infer_schema_length=None,
        schema_overrides={"value": pl.Float64, "reason": pl.String} if rows else None,
    )


def _origin(record: RunRecord) -> dict[str, object]:
    return {
        "dataset": record.dataset.name,
        "dataset_sha256": record.dataset.sha256,
        "simulated": record.dataset.simulated,
        "suite": record.suite,
        "split": record.split.name,
        "seed": record.split.seed,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbationScore:
    """One model's score on one perturbation under one metric, beside those of others.

    Attributes:
        metric: Metric name.
        higher_is_better: Its direction.
        value: The score; None where undefined.
        reason: Why it is undefined.
        rank: Among the models that have a score here, ceilings and floors left out; 1 is best.
        n_models: How many these are.
        reference: Score of the trivial prediction ``reference_model``; None without one.
        reference_model: The one that is better here.
        ceiling: Score of technical_duplicate; None without it.
        mean: The model's mean over all held-out perturbations that are defined.
    """

    metric: str
    higher_is_better: bool
    value: float | None
    reason: str | None
    rank: int | None
    n_models: int
    reference: float | None
    reference_model: str | None
    ceiling: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class GeneChange:
    """Measured and predicted change of one gene: differences of mean log1p expression."""

    gene: str
    measured: float
    predicted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPerturbation:
    """All that is known of one model on one held-out perturbation in one cell type.

    Attributes:
        model: Shown name.
        perturbation: Label.
        cell_type: Cell type.
        fold: Fold, from 1.
        effect: Root mean square of the measured change; None where it is not recorded.
        scores: One entry per metric.
        genes: The top-20 DE genes; empty where nothing is kept.
        missing: Why there are no genes; empty where there are.
    """

    model: str
    perturbation: str
    cell_type: str
    fold: int
    effect: float | None
    scores: tuple[PerturbationScore, ...]
    genes: tuple[GeneChange, ...]
    missing: str

    def document(self) -> JsonDocument:
        """Return it for JSON."""
        return asdict(self)


def show_perturbation(
    records: Sequence[RunRecord],
    model: str,
    perturbation: str,
    *,
    store: ResultsStore,
    cell_type: str | None = None,
) -> tuple[ShownPerturbation, ...]:
    """Show one model on one perturbation of a board, in every cell type and fold that has it.

    Args:
        records: Records of one board.
        model: Shown name.
        perturbation: Its label; the order of genes, and ``+ctrl``, do not matter.
        store: The results folder, for predictions.
        cell_type: Only this one; None shows all.

    Raises:
        ConfigError: If the board has no such model or perturbation; the nearest name is given.
    """
    scores = BoardScores.of(records)
    chosen = units_of(scores, model, perturbation, cell_type)
    return tuple(_shown(scores, model, unit, store) for unit in chosen)


def units_of(
    scores: BoardScores, model: str, perturbation: str, cell_type: str | None = None
) -> list[Unit]:
    """Find a perturbation by its genes among those that a board holds out, or else a scored gene.

    Args:
        scores: The scores of a board.
        model: A model that must be there.
        perturbation: Its label; the order of genes, and ``+ctrl``, do not matter.
        cell_type: Only this one; None takes all.

    Returns:
        At least one unit, those that the model has scores on first.

    Raises:
        ConfigError: If there is none; the nearest name is given.
    """
    if model not in scores.models:
        raise ConfigError(f"no result of model {model!r}; {nearest(model, scores.models)}")
    units = [unit for unit in scores.units if _genes(unit.perturbation) == _genes(perturbation)]
    units = units or [of for of in scores.units if of.perturbation == named_gene(perturbation)]
    if not units:
        labels = {unit.perturbation for unit in scores.units}
        raise ConfigError(
            f"no held-out perturbation {perturbation!r}; {nearest(perturbation, labels)}"
        )
    chosen = [unit for unit in units if cell_type in (None, unit.cell_type)]
    if not chosen:
        types = {unit.cell_type for unit in units}
        raise ConfigError(
            f"{perturbation} is not in cell type {cell_type!r}; {nearest(cell_type or '', types)}"
        )
    folds = {record.fold for record in scores.records if record.model == model}
    return sorted(chosen, key=lambda unit: unit.fold not in folds)


def _genes(label: str) -> frozenset[str]:
    parts = {part.strip() for part in label.split("+")}
    return frozenset(parts - {CONTROL_LABEL}) or frozenset(parts)


def _shown(scores: BoardScores, model: str, unit: Unit, store: ResultsStore) -> ShownPerturbation:
    place = scores.units.index(unit)
    record = next((of for of in scores.records if of.model == model and of.fold == unit.fold), None)
    effects = [
        of.effects.get(unit.cell_type, {}).get(unit.perturbation)
        for of in scores.records
        if of.fold == unit.fold
    ]
    changes = (
        f"{model} has no result on fold {unit.fold + 1}"
        if record is None
        else condition_changes(store, record, unit)
    )
    genes: tuple[GeneChange, ...] = ()
    if not isinstance(changes, str):
        genes = tuple(
            GeneChange(
                changes.symbols[gene], float(changes.true[gene]), float(changes.predicted[gene])
            )
            for gene in changes.top
        )
    return ShownPerturbation(
        model=model,
        perturbation=unit.perturbation,
        cell_type=unit.cell_type,
        fold=unit.fold + 1,
        effect=next((size for size in effects if size is not None), None),
        scores=tuple(
            _score(scores, metric, model, place)
            for metric in scores.values
            if model in scores.values[metric]
        ),
        genes=genes,
        missing=changes if isinstance(changes, str) else "",
    )


def _score(scores: BoardScores, metric: str, model: str, place: int) -> PerturbationScore:
    of = scores.values[metric]
    is_up = scores.higher_is_better[metric]
    known = {name: float(row[place]) for name, row in of.items() if np.isfinite(row[place])}
    value = known.get(model)
    rivals = [known[name] for name in known if scores.roles[name] not in ("ceiling", "floor")]
    rank = None
    if value is not None and scores.roles[model] not in ("ceiling", "floor"):
        rank = 1 + sum((rival > value) == is_up and rival != value for rival in rivals)
    trivial = {name: known[name] for name in TRIVIAL if name in known}
    best = max(trivial, key=lambda name: trivial[name] if is_up else -trivial[name], default=None)
    defined = of[model][np.isfinite(of[model])]
    return PerturbationScore(
        metric=metric,
        higher_is_better=is_up,
        value=value,
        reason=scores.reasons.get((metric, model, scores.units[place])),
        rank=rank,
        n_models=len(rivals),
        reference=None if best is None else trivial[best],
        reference_model=best,
        ceiling=known.get(CEILING),
        mean=float(defined.mean()) if len(defined) else None,
    )
