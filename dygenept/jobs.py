"""One job: one model on one fold, from task to result record."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dygenept.data.guard import guard_task
from dygenept.data.task import build_task
from dygenept.errors import DistributedError, PluginError
from dygenept.evaluation.effects import effect_sizes
from dygenept.evaluation.scoring import averaged, metric_inputs, score
from dygenept.interfaces import Metric
from dygenept.job_lock import job_lock
from dygenept.machine import device_name, installed_versions, peak_memory, reset_peak_memory
from dygenept.models import ResolvedModel
from dygenept.plugin_manager import Provenance
from dygenept.record_parts import dataset_record as dataset_record
from dygenept.record_parts import split_record as split_record
from dygenept.results import (
    MetricRecord,
    PluginRecord,
    ResultsStore,
    RunRecord,
    TimingRecord,
    ValueRecord,
    key_of,
)
from dygenept.specs import MetricSpec
from dygenept.training import distributed
from dygenept.types import (
    Condition,
    DeGenes,
    DeTests,
    KnowledgeReader,
    MetricCells,
    PerturbationData,
    Predictions,
    Progress,
    Pseudobulk,
    Runtime,
    Score,
    Split,
    Task,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Station:
    """What every job of a run shares.

    Attributes:
        data: The data set.
        pseudobulk: Its means.
        de: Its DE lists.
        split: The folds.
        split_sha256: Hash of the split's manifest.
        suite: Name of the suite, or ``custom``.
        metrics: Metrics to score, with their provenance.
        shared_plugins: Provenance of the data source and the split protocol.
        store: Where results go.
        device: Torch device.
        cache_dir: Where computed knowledge is cached.
        data_dir: Where data sets and knowledge graphs live.
        keep_predictions: False leaves predictions out of the results folder.
        resume: False computes again what is there.
        de_tests: DE tests of every gene, where a metric reads them.
        cells: Samples of cells, where a metric reads them.
        knowledge: Opens the registry's facet sets for models that ask for them.
    """

    data: PerturbationData
    pseudobulk: Pseudobulk
    de: DeGenes
    split: Split
    split_sha256: str
    suite: str
    metrics: tuple[tuple[MetricSpec, Metric, Provenance], ...]
    shared_plugins: tuple[Provenance, ...]
    store: ResultsStore
    device: str
    cache_dir: Path
    data_dir: Path | None = None
    keep_predictions: bool = True
    resume: bool = True
    de_tests: DeTests | None = None
    cells: MetricCells | None = None
    knowledge: KnowledgeReader | None = None


def derived_seed(seed: int, *names: object) -> int:
    """Derive a 32-bit seed from a run's seed and names such as suite, fold and model."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def job_key(station: Station, model: ResolvedModel, fold: int) -> str:
    """Return the name of a job's record."""
    return key_of(
        {
            "model": model.base,
            "suite": station.suite,
            "dataset": station.data.sha256,
            "split": station.split_sha256,
            "fold": fold,
            "seed": station.split.seed,
            "de_list": station.de.name,
            "config": model.config,
            "plugins": [
                (plugin.kind, plugin.name, plugin.distribution, plugin.version)
                for plugin in model.plugins
            ],
        }
    )


def run_job(
    station: Station,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    *,
    wait: bool = True,
) -> RunRecord | None:
    """Fit, predict, score and record one model on one fold, or return what is recorded already.

    A record that lacks a metric is scored again from its kept predictions.

    Args:
        station: What every job shares.
        model: The model.
        fold: Position of the fold.
        report: Callback for progress.
        wait: Wait while another run on this results folder computes the same job.

    Returns:
        The record; None if another run computes it now and ``wait`` is False.

    Raises:
        DygeneptError: Whatever the model, a metric or the results folder refuses.
    """
    key = job_key(station, model, fold)
    if distributed.current().size > 1:
        return _shared(station, model, fold, report)
    existing = _recorded(station, key)
    if existing is not None and _has_all_metrics(station, existing):
        logger.info("%s fold %d is recorded already: %s", model.name, fold + 1, key)
        return existing
    with job_lock(station.store.directory, key, wait=wait) as is_ours:
        if not is_ours:
            return None
        # Another run may have finished it between the first look and the lock.
        existing = _recorded(station, key)
        if existing is not None and _has_all_metrics(station, existing):
            return existing
        return _computed(station, model, fold, report, existing)


def _shared(
    station: Station, model: ResolvedModel, fold: int, report: Callable[[Progress], None]
) -> RunRecord:
    """Run a job that several processes share; the writer decides for all what is still to do."""
    key = job_key(station, model, fold)
    is_writer = distributed.current().is_writer
    lock = job_lock(station.store.directory, key, wait=True) if is_writer else nullcontext(True)
    with lock:
        existing = _recorded(station, key)
        is_done = is_writer and existing is not None and _has_all_metrics(station, existing)
        if distributed.any_of(is_done):
            existing = _recorded(station, key)
            if existing is None:
                raise DistributedError(
                    f"process {distributed.current().rank} does not see the record {key}; all "
                    "processes must see the same results folder"
                )
            return existing
        return _computed(station, model, fold, report, existing)


def _recorded(station: Station, key: str) -> RunRecord | None:
    return station.store.read(key) if station.resume else None


def _has_all_metrics(station: Station, record: RunRecord) -> bool:
    return {spec.name for spec, _, _ in station.metrics} <= {item.name for item in record.metrics}


def _computed(
    station: Station,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    existing: RunRecord | None,
) -> RunRecord:
    checkpoints = station.store.directory / "checkpoints" / job_key(station, model, fold)
    task, conditions = fold_task(station, model, fold, report, checkpoint_dir=checkpoints)
    if existing is not None:
        kept = station.store.read_predictions(existing, conditions)
        if kept is not None and not model.is_oracle:
            return _rescored(station, existing, task, kept)
    record = record_of(station, model, fold, task, conditions)
    if station.store.is_writer:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return record


def fold_task(
    station: Station,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    *,
    checkpoint_dir: Path | None,
) -> tuple[Task, tuple[Condition, ...]]:
    """Return what a model may learn from in one fold, and the held-out conditions.

    Raises:
        LeakageError: If anything held out could be reached from the task.
    """
    seed = derived_seed(station.split.seed, station.suite, fold, model.base)
    runtime = Runtime(
        device=station.device if model.uses_device else "cpu",
        seed=seed,
        report=report,
        checkpoint_dir=checkpoint_dir,
        cache_dir=station.cache_dir,
        data_dir=station.data_dir,
        resume=station.resume,
        knowledge=station.knowledge,
    )
    task, conditions = build_task(
        station.data,
        station.pseudobulk,
        station.de,
        station.split.folds[fold],
        needs_cells=model.needs_cells,
        held_out=model.is_oracle,
        runtime=runtime,
        rng=np.random.default_rng(seed),
    )
    guard_task(
        task,
        data=station.data,
        pseudobulk=station.pseudobulk,
        de=station.de,
        held_out=conditions,
        is_oracle=model.is_oracle,
    )
    return task, conditions


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
        PluginError: If the model's predictions break its contract.
    """
    key = job_key(station, model, fold)
    reset_peak_memory(task.runtime.device)
    started = time.perf_counter()
    built = model.build()
    if not is_fitted:
        built.fit(task)
    fitted = time.perf_counter()
    predictions = built.predict(conditions)
    check_predictions(predictions, conditions, model)
    predicted = time.perf_counter()
    metrics = _scored(station, task, predictions)
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
        dataset=dataset_record(station.data),
        split=split_record(station.split, station.split_sha256),
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
            PluginRecord(
                kind=plugin.kind,
                name=plugin.name,
                distribution=plugin.distribution,
                version=plugin.version,
            )
            for plugin in (
                *model.plugins,
                *station.shared_plugins,
                *(owner for _, _, owner in station.metrics),
            )
        ),
        notes=tuple(getattr(built, "notes", ())),
        chosen=dict(getattr(built, "chosen", {})),
        child=getattr(built, "child", None),
        predictions=kept,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if keep:
        station.store.write(record)
    return record


def _rescored(
    station: Station, record: RunRecord, task: Task, predictions: Predictions
) -> RunRecord:
    fresh = {metric.name: metric for metric in _scored(station, task, predictions)}
    kept = {metric.name: metric for metric in record.metrics}
    effects = effect_sizes(station.data, station.pseudobulk, predictions.conditions)
    updated = record.model_copy(
        update={"metrics": tuple({**kept, **fresh}.values()), "effects": effects}
    )
    station.store.write(updated)
    return updated


def _scored(station: Station, task: Task, predictions: Predictions) -> tuple[MetricRecord, ...]:
    pairs = [(spec, metric) for spec, metric, _ in station.metrics]
    draws = [
        score(
            pairs,
            metric_inputs(
                draw,
                data=station.data,
                pseudobulk=station.pseudobulk,
                de=station.de,
                task=task,
                de_tests=station.de_tests,
                cells=station.cells,
            ),
        )
        for draw in (predictions, *predictions.others)
    ]
    by_metric: dict[str, list[Score]] = {spec.name: [] for spec, _ in pairs}
    for item in averaged(draws):
        by_metric[item.metric].append(item)
    return tuple(
        MetricRecord(
            name=spec.name,
            higher_is_better=spec.higher_is_better,
            neutral=spec.neutral,
            de_list=station.de.name if spec.uses_de_genes else None,
            values=tuple(
                ValueRecord(
                    perturbation=item.condition.label,
                    cell_type=item.condition.cell_type,
                    value=item.value,
                    reason=item.reason,
                )
                for item in by_metric[spec.name]
            ),
        )
        for spec, _ in pairs
    )


def check_predictions(
    predictions: Predictions, conditions: Sequence[Condition], model: ResolvedModel
) -> None:
    """Refuse predictions of other conditions than those asked for, or a truth of one's own.

    Raises:
        PluginError: As said; the model is named.
    """
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
