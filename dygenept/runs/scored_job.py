"""Fits, predicts and scores a job, and makes its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dygenept.data.pseudobulk import condition_positions
from dygenept.evaluation.draws import averaged, lengthened
from dygenept.evaluation.effect_scoring import score_effects
from dygenept.evaluation.held_out import de_gene_counts, effect_sizes
from dygenept.evaluation.scoring import GroundTruth, metric_inputs, score
from dygenept.evaluation.two_way import drawn_together
from dygenept.machine.process_memory import give_back_memory, peak_memory, reset_peak_memory
from dygenept.machine.versions import device_name, installed_versions, thread_counts
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.interfaces import Model
from dygenept.plugin.interfaces.offers import (
    PredictsCells,
    PredictsCellsOfBatches,
    child_of,
    chosen_by,
    notes_of,
)
from dygenept.results.provenance import CodeRecord, DatasetRecord, PluginRecord, SplitRecord
from dygenept.results.records import ControlsRecord, MetricRecord, RunRecord, TimingRecord
from dygenept.results.top_changes import keep_top_changes
from dygenept.runs.keys_and_seeds import job_key
from dygenept.runs.model_answers import checked_spread, fitted, predicted, with_cells
from dygenept.runs.run_context import RunContext
from dygenept.types import (
    ChildResources,
    Condition,
    DoubleArray,
    Predictions,
    Score,
    Task,
)

# How draws are gone through: one after the other, or in threads.
Each = Callable[
    [Callable[[Predictions], list[Score]], Sequence[Predictions]], Iterable[list[Score]]
]
OTHER_CODE = "it was trained by other code than the present, which predicted and scored"


@dataclass(frozen=True, slots=True)
class FoldJob:
    """One model on one fold.

    It does not contain the model's task: the garbage collector leads from an object to whatever
    refers to it, and so would lead a model from its task to the held-out cells.

    Attributes:
        context: What every job of the run shares.
        model: The model.
        fold: Position of the fold.
        conditions: The held-out conditions that the model predicts.
    """

    context: RunContext
    model: ResolvedModel
    fold: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedJob:
    """What a fitted model predicted, to be scored; it contains neither the model nor its task.

    Attributes:
        job: The model, the fold and what is held out.
        references: Mean train perturbation by cell type, (G,).
        predictions: What the model predicted.
        device: Where it computed.
        fit_s: Seconds that the fit took.
        predict_s: Seconds that the prediction took.
        peak_memory: Most bytes of memory until then.
        notes: What the model says of its fit.
        chosen: Options that it chose itself.
        child: What its child process took, where it runs in an environment of its own.
    """

    job: FoldJob
    references: Mapping[str, DoubleArray]
    predictions: Predictions
    device: str
    fit_s: float
    predict_s: float
    peak_memory: int
    notes: tuple[str, ...]
    chosen: Mapping[str, float | int | str]
    child: ChildResources | None


def predict_job(job: FoldJob, task: Task, *, built: Model | None = None) -> PredictedJob:
    """Fit and predict.

    Args:
        job: The model, the fold and what is held out.
        task: What the model may learn from.
        built: The model where it is fitted already.

    Raises:
        PluginError: If the model's code fails, or its predictions break their contract.
    """
    context, model = job.context, job.model
    # Before the model receives the task: it must not change what it is compared with.
    references = context.train_means(job.fold, task)
    reset_peak_memory(task.runtime.device)
    started = time.perf_counter()
    if built is None:
        built = fitted(model, task)
    fit_done = time.perf_counter()
    predictions = predicted(model, built, job.conditions)
    if context.scoring.uses_spread or context.scoring.cell_tester is not None:
        # The model computes again, and may do so in the array that it returned.
        predictions = replace(predictions, expression=predictions.expression.copy())
    if context.scoring.uses_spread and not model.is_oracle:
        predictions = replace(predictions, spread=checked_spread(model, built, predictions))
    if context.scoring.cell_tester is not None and isinstance(
        built, PredictsCells | PredictsCellsOfBatches
    ):
        batches = context.scoring.sampled_batches(condition_positions(context.data, job.conditions))
        predictions = with_cells(predictions, built, model, batches)
    predict_done = time.perf_counter()
    return PredictedJob(
        job=job,
        references=references,
        predictions=predictions,
        device=task.runtime.device,
        fit_s=fit_done - started,
        predict_s=predict_done - fit_done,
        peak_memory=peak_memory(task.runtime.device),
        notes=notes_of(built),
        chosen=chosen_by(built),
        child=child_of(built),
    )


def score_job(done: PredictedJob, *, keep: bool = True, each: Each = map) -> RunRecord:
    """Score predictions, and make the job's record.

    Args:
        done: The predictions.
        keep: Write the record, and the predictions where the run keeps them.
        each: Computes something of each of several draws, in order, such as an executor's ``map``.

    Raises:
        PluginError: If a metric's code fails, or the predictions break their contract.
    """
    job, predictions = done.job, done.predictions
    context, model = job.context, job.model
    key = job_key(context, model, job.fold)
    started = time.perf_counter()
    metrics = _scored(context, done.references, predictions, job.fold, each)
    score_done = time.perf_counter()
    kept = None
    if keep and context.keep_predictions:
        kept = context.store.write_predictions(key, predictions, context.data.gene_ids)
        measured = (context.pseudobulk, context.de)
        keep_top_changes(context.store, kept, predictions, context.data, measured)
    record = RunRecord(
        key=key,
        model=model.name,
        base_model=model.base,
        role=model.role,
        suite=context.suite,
        family=context.family or (model.name,),
        submission=context.submission,
        dataset=DatasetRecord.of(context.data),
        split=SplitRecord.of(context.split, context.split_sha256),
        fold=job.fold,
        seed=context.split.seed,
        config=model.config,
        de_list=context.de.name,
        de_origin=context.de.origin,
        subgroups=context.split.folds[job.fold].subgroups,
        effects=effect_sizes(context.data, context.pseudobulk, job.conditions),
        n_de_genes=de_gene_counts(context.data, context.scoring.de_tests, job.conditions),
        cells=_cells_used(predictions),
        controls=_controls(context),
        metrics=metrics,
        timings=TimingRecord(
            fit_s=done.fit_s, predict_s=done.predict_s, score_s=score_done - started
        ),
        # The count may have been restarted since, by the fit of another model.
        peak_memory_bytes=max(done.peak_memory, peak_memory(done.device)),
        device=device_name(done.device),
        versions=installed_versions(),
        threads=thread_counts(),
        code=CodeRecord.of(project_code()),
        plugins=tuple(
            PluginRecord.of(plugin)
            for plugin in (*model.plugins, *context.shared_plugins, *context.scoring.plugins)
        ),
        notes=(*done.notes, OTHER_CODE) if model.trained_by else done.notes,
        chosen=done.chosen,
        child=done.child,
        predictions=kept,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if keep:
        context.store.write(record)
    give_back_memory()
    return record


def record_of(
    job: FoldJob, task: Task, *, built: Model | None = None, keep: bool = True
) -> RunRecord:
    """Fit, predict and score: ``predict_job``, then ``score_job``.

    Args:
        job: The model, the fold and what is held out.
        task: What the model may learn from.
        built: The model where it is fitted already.
        keep: Write the record, and the predictions where the run keeps them.

    Raises:
        PluginError: If the model's or a metric's code fails, or the model's predictions break
            their contract.
    """
    return score_job(predict_job(job, task, built=built), keep=keep)


def rescored(job: FoldJob, task: Task, record: RunRecord, predictions: Predictions) -> RunRecord:
    """Score kept predictions again, and keep a record with both old and new metrics."""
    context = job.context
    scored = _scored(context, context.train_means(job.fold, task), predictions, job.fold)
    fresh = {metric.name: metric for metric in scored}
    kept = {metric.name: metric for metric in record.metrics}
    effects = effect_sizes(context.data, context.pseudobulk, predictions.conditions)
    owners = {(owner.kind, owner.name): owner for owner in record.plugins}
    owners |= {
        (owner.kind, owner.name): PluginRecord.of(owner) for owner in context.scoring.plugins
    }
    updated = record.model_copy(
        update={
            "metrics": tuple({**kept, **fresh}.values()),
            "effects": effects,
            "n_de_genes": de_gene_counts(
                context.data, context.scoring.de_tests, predictions.conditions
            )
            or record.n_de_genes,
            "plugins": tuple(owners.values()),
        }
    )
    context.store.write(updated)
    return updated


def _scored(
    context: RunContext,
    references: Mapping[str, DoubleArray],
    predictions: Predictions,
    place: int,
    each: Each = map,
) -> tuple[MetricRecord, ...]:
    if context.data.effects is not None:
        of_effects = [(plugin.spec, metric) for plugin, metric in context.scoring.of_effects]
        drawn_of = drawn_together([fold.test for fold in context.split.folds], place)
        found = score_effects(of_effects, predictions, context.data, drawn_of=drawn_of)
        return tuple(MetricRecord.of_effects(spec, item) for spec, item in found)
    pairs = [(plugin.spec, metric) for plugin, metric in context.scoring.metrics]
    against = GroundTruth(
        data=context.data,
        pseudobulk=context.pseudobulk,
        de=context.de,
        de_tests=context.scoring.de_tests,
        cells=context.scoring.cells,
        held_out=context.scoring.held_out,
        control_halves=context.scoring.control_halves,
        has_singles=context.scoring.has_singles,
        cell_tester=context.scoring.cell_tester,
        laid_out=context.laid_out if context.memory is None else None,
    )

    def scored(draw: Predictions) -> list[Score]:
        return score(pairs, metric_inputs(draw, against, train_means=references))

    draws = list(each(scored, (predictions, *predictions.others)))
    by_metric: dict[str, list[Score]] = {spec.name: [] for spec, _ in pairs}
    scores = averaged(draws)
    if predictions.lengthening != 1.0:
        scores = lengthened(scores, [spec for spec, _ in pairs], predictions.lengthening)
    for item in scores:
        by_metric[item.metric].append(item)
    return tuple(
        MetricRecord.of(spec, by_metric[spec.name], de_list=context.de.name) for spec, _ in pairs
    )


def _controls(context: RunContext) -> ControlsRecord | None:
    found = context.scoring.controls
    if found is None:
        return None
    return ControlsRecord(
        seed=context.scoring.control_seed,
        n_cells=found.n_cells,
        noise_shares=found.noise_shares,
    )


def _cells_used(predictions: Predictions) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    if predictions.n_cells is not None:
        numbers = predictions.n_cells.tolist()
        for condition, number in zip(predictions.conditions, numbers, strict=True):
            if number:
                found.setdefault(condition.cell_type, {})[condition.label] = number
    return found
