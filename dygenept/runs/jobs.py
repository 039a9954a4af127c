"""One job: one model on one fold, computed unless its record is there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dygenept.data.effects.filling import filled_task
from dygenept.data.guard import guard_task
from dygenept.data.memory_of_models import check_model_memory
from dygenept.data.task import Access, build_task
from dygenept.errors import DistributedError, ResultsError
from dygenept.machine import collectives, processes
from dygenept.machine.locks import job_lock, lock_path
from dygenept.machine.places import check_can_write
from dygenept.machine.tables import in_file
from dygenept.model.baselines import ConfiguredBaseline
from dygenept.model.knowledge import RegistryKnowledge
from dygenept.model.resolve import ResolvedModel
from dygenept.results.provenance import PluginRecord
from dygenept.results.records import RunRecord
from dygenept.runs.keys_and_seeds import fold_seed, job_key
from dygenept.runs.run_context import RunContext
from dygenept.runs.scored_job import Each, FoldJob, PredictedJob, predict_job, rescored, score_job
from dygenept.types import FitSize, Progress, Runtime, Task


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job's record, and where it is from.

    Attributes:
        record: The record.
        source: ``recorded`` if it was in the results folder, ``rescored`` if only its predictions
            were, else ``computed``.
    """

    record: RunRecord
    source: Literal["computed", "recorded", "rescored"] = "computed"


@dataclass(frozen=True, slots=True)
class UnscoredJob:
    """A job that is begun: its model has predicted, and nothing is scored or written yet.

    Attributes:
        predicted: The predictions.
        checkpoints: Folder of the model's checkpoints, which go once the record is written.
        held: The job's lock.
    """

    predicted: PredictedJob
    checkpoints: Path
    held: ExitStack

    def finish(self, each: Each = map) -> FinishedJob:
        """Score the predictions, write the record, and release the lock.

        Args:
            each: Goes through the draws of the predictions, such as an executor's ``map``.

        Raises:
            DygeneptError: Whatever a metric or the results folder refuses.
        """
        with self.held, _disk_faults():
            return _scored(self.predicted, self.checkpoints, each)


def run_job(
    context: RunContext,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    *,
    wait: bool = True,
) -> FinishedJob | None:
    """Fit, predict, score and record one model on one fold, or return what is recorded already.

    Takes and raises what ``begin_job`` does.

    Returns:
        The record; None if another run computes it now and ``wait`` is False.
    """
    begun = begin_job(context, model, fold, report, wait=wait)
    return begun.finish() if isinstance(begun, UnscoredJob) else begun


def begin_job(
    context: RunContext,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    *,
    wait: bool = True,
) -> FinishedJob | UnscoredJob | None:
    """Fit one model on one fold and predict, or return what is recorded already.

    A record that lacks a metric is scored again from its kept predictions.

    Args:
        context: What every job shares.
        model: The model.
        fold: Position of the fold.
        report: Callback for progress.
        wait: Wait while another run on this results folder computes the same job.

    Returns:
        A job to finish, or a finished one; None if another run computes it now and ``wait`` is
        False. Processes that share a job finish it.

    Raises:
        DygeneptError: Whatever the model, a metric or the results folder refuses.
    """
    key = job_key(context, model, fold)
    if processes.current().size > 1:
        return _shared(context, model, fold, report)
    existing = _recorded(context, key)
    if existing is not None and _has_all_metrics(context, existing):
        return FinishedJob(existing, "recorded")
    # A folder that only serves what is recorded gets so far.
    check_can_write(context.store.directory)
    was_begun = lock_path(context.store.directory, key).exists()
    with _disk_faults(), ExitStack() as held:
        is_ours = held.enter_context(job_lock(context.store.directory, key, wait=wait))
        if not is_ours:
            return None
        # Where no lock can be kept, nothing is known of others.
        if not was_begun and lock_path(context.store.directory, key).exists():
            context.store.begins_anew(key)
        # Another run may have finished it between the first look and the lock.
        existing = _recorded(context, key)
        if existing is not None and _has_all_metrics(context, existing):
            return FinishedJob(existing, "recorded")
        begun = _begun(context, model, fold, report, existing)
        if isinstance(begun, FinishedJob):
            return begun
        return UnscoredJob(begun, _checkpoints(context, model, fold), held.pop_all())


@contextmanager
def _disk_faults() -> Iterator[None]:
    """Let a full disk fail this job; the others go on."""
    try:
        yield
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise ResultsError(f"{where}{error.strerror or error}") from error


def _shared(
    context: RunContext, model: ResolvedModel, fold: int, report: Callable[[Progress], None]
) -> FinishedJob:
    """Run a job that several processes share; the writer decides for all what is still to do."""
    key = job_key(context, model, fold)
    is_writer = processes.current().is_writer
    lock = job_lock(context.store.directory, key, wait=True) if is_writer else nullcontext(True)
    with lock:
        existing = _recorded(context, key)
        is_done = is_writer and existing is not None and _has_all_metrics(context, existing)
        if collectives.any_of(is_done):
            existing = _recorded(context, key)
            if existing is None:
                raise DistributedError(
                    f"process {processes.current().rank} does not see the record {key}; all "
                    "processes must see the same results folder"
                )
            return FinishedJob(existing, "recorded")
        begun = _begun(context, model, fold, report, existing)
        if isinstance(begun, FinishedJob):
            return begun
        return _scored(begun, _checkpoints(context, model, fold))


def _recorded(context: RunContext, key: str) -> RunRecord | None:
    return context.store.read(key) if context.resume else None


def _has_all_metrics(context: RunContext, record: RunRecord) -> bool:
    """Tell whether a record has every metric of this run, computed by the code that is here now."""
    recorded = {item.name for item in record.metrics}
    owners = set(record.plugins)
    return all(
        plugin.name in recorded and PluginRecord.of(plugin) in owners
        for plugin in context.scoring.plugins
    )


def _begun(
    context: RunContext,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    existing: RunRecord | None,
) -> FinishedJob | PredictedJob:
    checkpoints = _checkpoints(context, model, fold)
    job, task = fold_job(context, model, fold, report, checkpoint_dir=checkpoints)
    if existing is not None:
        kept = context.store.read_predictions(existing, job.conditions, context.data.gene_ids)
        # A spread that no metric asked for then was not kept, and predicted cells never are.
        lacks = context.scoring.uses_spread and (kept is None or kept.spread is None)
        lacks = lacks or context.scoring.cell_tester is not None
        if kept is not None and not model.is_oracle and not lacks:
            return FinishedJob(rescored(job, task, existing, kept), "rescored")
    return predict_job(job, task)


def _scored(predicted: PredictedJob, checkpoints: Path, each: Each = map) -> FinishedJob:
    record = score_job(predicted, each=each)
    if predicted.job.context.store.is_writer:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return FinishedJob(record)


def _checkpoints(context: RunContext, model: ResolvedModel, fold: int) -> Path:
    return context.store.directory / "checkpoints" / job_key(context, model, fold)


def fold_job(
    context: RunContext,
    model: ResolvedModel,
    fold: int,
    report: Callable[[Progress], None],
    *,
    checkpoint_dir: Path | None = None,
) -> tuple[FoldJob, Task]:
    """Return one model's job on one fold, and what the model may learn from.

    Raises:
        LeakageError: If anything held out could be reached from the task.
        DataError: If the model does not fit under the run's limit on memory.
    """
    seed = fold_seed(context, model, fold)
    runtime = Runtime(
        device=context.device if model.uses_device else "cpu",
        seed=seed,
        report=report,
        checkpoint_dir=checkpoint_dir,
        cache_dir=context.environment.cache_dir,
        data_dir=context.environment.data_dir,
        resume=context.resume,
        # A copy: the collector would lead from an object that both share to the whole data set.
        knowledge=RegistryKnowledge(replace(context.environment)),
    )
    task, conditions = build_task(
        context.data,
        context.pseudobulk,
        context.de,
        context.split.folds[fold],
        access=Access(
            cells=model.needs_cells and context.data.effects is None,
            truth=model.is_oracle,
            halves=model.reads_halves,
            memory=context.memory,
        ),
        runtime=runtime,
    )
    if context.memory is not None and model.baseline is not None:
        _check_memory(context, model.baseline, task, len(conditions))
    guard_task(
        task,
        data=context.data,
        pseudobulk=context.pseudobulk,
        de=context.de,
        held_out=conditions,
        is_oracle=model.is_oracle,
    )
    if context.data.effects is not None:
        # After the guard, which knows the values as they were measured.
        task = filled_task(task, context.data)
    return FoldJob(context, model, fold, conditions), task


def _check_memory(
    context: RunContext, baseline: ConfiguredBaseline, task: Task, n_held_out: int
) -> None:
    """Refuse a model that says it takes more than the run's limit on memory leaves."""
    size = FitSize(
        n_known=len(task.known),
        n_held_out=n_held_out,
        n_genes=len(task.gene_ids),
        n_targets=len(task.target_genes),
        in_files=in_file(task.means),
    )
    if context.memory is not None and (n_bytes := baseline.fit_bytes(size)):
        check_model_memory(
            baseline.shown,
            n_bytes,
            context.data,
            context.memory,
            n_tables=context.n_tables,
            filed_bytes=None if size.in_files else baseline.fit_bytes(replace(size, in_files=True)),
        )
