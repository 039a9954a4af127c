"""Fits, predicts and scores a job, and makes its record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from dygenept.errors import PluginError
from dygenept.evaluation.held_out import effect_sizes
from dygenept.evaluation.reference import train_means
from dygenept.evaluation.scoring import GroundTruth, averaged, metric_inputs, score
from dygenept.machine.versions_and_memory import (
    device_name,
    installed_versions,
    peak_memory,
    reset_peak_memory,
)
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces.offers import child_of, chosen_by, notes_of
from dygenept.results.records import (
    DatasetRecord,
    MetricRecord,
    PluginRecord,
    RunRecord,
    SplitRecord,
    TimingRecord,
)
from dygenept.runs.run_context import Station, job_key
from dygenept.types import (
    Condition,
    DoubleArray,
    Predictions,
    Score,
    Task,
)


def record_of(
    station: Station,
    model: ResolvedModel,
    fold: int,
    task: Task,
    conditions: tuple[Condition, ...],
    *,
    is_fitted: bool = False,
    keep: bool = True,
) -> RunRecord:
    """Fit (unless ``is_fitted``), predict and score; keep the record unless told otherwise.

    Raises:
        PluginError: If the model's or a metric's code fails, or the model's predictions break its
            contract.
    """
    key = job_key(station, model, fold)
    # Before the model gets hold of the task: it must not change what it is held against.
    references = train_means(task)
    reset_peak_memory(task.runtime.device)
    started = time.perf_counter()
    with plugin_code(f"{model.name}: fit"):
        built = model.build()
        if not is_fitted:
            built.fit(task)
    fitted = time.perf_counter()
    with plugin_code(f"{model.name}: predict"):
        predictions = built.predict(conditions)
    check_predictions(predictions, conditions, model)
    predicted = time.perf_counter()
    metrics = _scored(station, references, predictions)
    scored = time.perf_counter()
    kept = None
    if keep and station.keep_predictions:
        kept = station.store.write_predictions(key, predictions, station.data.gene_ids)
    record = RunRecord(
        key=key,
        model=model.name,
        base_model=model.base,
        role=model.role,
        suite=station.suite,
        dataset=DatasetRecord.of(station.data),
        split=SplitRecord.of(station.split, station.split_sha256),
        fold=fold,
        seed=station.split.seed,
        config=model.config,
        de_list=station.de.name,
        de_origin=station.de.origin,
        subgroups=station.split.folds[fold].subgroups,
        effects=effect_sizes(station.data, station.pseudobulk, conditions),
        metrics=metrics,
        timings=TimingRecord(
            fit_s=fitted - started, predict_s=predicted - fitted, score_s=scored - predicted
        ),
        peak_memory_bytes=peak_memory(task.runtime.device),
        device=device_name(task.runtime.device),
        versions=installed_versions(),
        plugins=tuple(
            PluginRecord.of(plugin)
            for plugin in (
                *model.plugins,
                *station.shared_plugins,
                *(owner for _, _, owner in station.metrics),
            )
        ),
        notes=notes_of(built),
        chosen=chosen_by(built),
        child=child_of(built),
        predictions=kept,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if keep:
        station.store.write(record)
    return record


def rescored(
    station: Station, record: RunRecord, task: Task, predictions: Predictions
) -> RunRecord:
    """Score kept predictions again, and keep a record with both old and new metrics."""
    scored = _scored(station, train_means(task), predictions)
    fresh = {metric.name: metric for metric in scored}
    kept = {metric.name: metric for metric in record.metrics}
    effects = effect_sizes(station.data, station.pseudobulk, predictions.conditions)
    updated = record.model_copy(
        update={"metrics": tuple({**kept, **fresh}.values()), "effects": effects}
    )
    station.store.write(updated)
    return updated


def _scored(
    station: Station, references: Mapping[str, DoubleArray], predictions: Predictions
) -> tuple[MetricRecord, ...]:
    pairs = [(spec, metric) for spec, metric, _ in station.metrics]
    against = GroundTruth(
        data=station.data,
        pseudobulk=station.pseudobulk,
        de=station.de,
        de_tests=station.de_tests,
        cells=station.cells,
    )
    draws = [
        score(pairs, metric_inputs(draw, against, train_means=references))
        for draw in (predictions, *predictions.others)
    ]
    by_metric: dict[str, list[Score]] = {spec.name: [] for spec, _ in pairs}
    for item in averaged(draws):
        by_metric[item.metric].append(item)
    return tuple(
        MetricRecord.of(spec, by_metric[spec.name], de_list=station.de.name) for spec, _ in pairs
    )


def check_predictions(
    predictions: Predictions, conditions: Sequence[Condition], model: ResolvedModel
) -> None:
    """Refuse what are no predictions, or of other conditions, or with a truth of one's own.

    Raises:
        PluginError: As said; the model is named.
    """
    if not isinstance(predictions, Predictions):
        raise PluginError(
            f"{model.name}: predict must return Predictions(conditions, expression), got "
            f"{type(predictions).__name__}"
        )
    if predictions.expression.dtype.kind not in "fiu":
        raise PluginError(
            f"{model.name}: predictions must be numbers, float64, got "
            f"{predictions.expression.dtype}"
        )
    for draw in predictions.others:
        check_predictions(draw, conditions, model)
    if predictions.conditions != tuple(conditions):
        raise PluginError(
            f"{model.name} predicted {len(predictions.conditions)} conditions and was asked for "
            f"{len(conditions)}, in order; it must return exactly those"
        )
    if (predictions.truth is not None or predictions.others) and not model.is_oracle:
        raise PluginError(
            f"{model.name} is no ceiling or floor and may not choose its own truth, nor hand over "
            "several draws"
        )
