"""One job: one model on one fold, computed unless its record is there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from dygenept.data.guard import guard_task
from dygenept.data.task import Access, build_task
from dygenept.errors import DistributedError
from dygenept.machine import processes
from dygenept.machine.locks import job_lock
from dygenept.model.resolve import ResolvedModel
from dygenept.results.records import (
    RunRecord,
)
from dygenept.runs.run_context import Station, derived_seed, job_key
from dygenept.runs.scored_job import record_of, rescored
from dygenept.types import (
    Condition,
    Progress,
    Runtime,
    Task,
)

logger = logging.getLogger(__name__)


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
    if processes.current().size > 1:
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
    is_writer = processes.current().is_writer
    lock = job_lock(station.store.directory, key, wait=True) if is_writer else nullcontext(True)
    with lock:
        existing = _recorded(station, key)
        is_done = is_writer and existing is not None and _has_all_metrics(station, existing)
        if processes.any_of(is_done):
            existing = _recorded(station, key)
            if existing is None:
                raise DistributedError(
                    f"process {processes.current().rank} does not see the record {key}; all "
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
            return rescored(station, existing, task, kept)
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
        access=Access(cells=model.needs_cells, truth=model.is_oracle),
        runtime=runtime,
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
