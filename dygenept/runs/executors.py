"""Runs jobs one after another in this process, or in several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import TypeVar

from dygenept.errors import ConfigError, DistributedError, DygeneptError, nearest
from dygenept.machine import processes
from dygenept.machine.process_memory import freed_memory_kept
from dygenept.machine.stopping import deaf_children, end_with
from dygenept.machine.threads import n_threads, sharing_pool
from dygenept.model.resolve import ResolvedModel
from dygenept.runs.jobs import FinishedJob, UnscoredJob, begin_job, run_job
from dygenept.runs.run_context import RunContext
from dygenept.types import Progress, no_report

logger = logging.getLogger(__name__)

EXECUTORS = ("inline", "process", "ray")

# Jobs that are scored and written beside each other while the next is fitted.
BEHIND = 2

T = TypeVar("T")
Job = tuple[ResolvedModel, int]
JobResult = tuple[ResolvedModel, int, FinishedJob | DygeneptError]
Prepared = tuple[RunContext, tuple[ResolvedModel, ...]]


def executor_of(name: str, n_processes: int) -> str:
    """Return the executor that a request means; several jobs at once imply ``process``.

    Raises:
        ConfigError: If it is unknown, or there is not one process.
    """
    if name not in EXECUTORS:
        raise ConfigError(f"unknown executor {name!r}; {nearest(name, EXECUTORS)}")
    if n_processes < 1:
        raise ConfigError(f"--jobs must be at least 1, got {n_processes}")
    if processes.launched().size > 1 and (n_processes > 1 or name != "inline"):
        raise ConfigError(
            "under torchrun the processes share each job; leave out --jobs and --executor"
        )
    return "process" if name == "inline" and n_processes > 1 else name


def run_inline(
    context: RunContext, jobs: Sequence[Job], report: Callable[[Progress], None]
) -> Iterator[JobResult]:
    """Run jobs in this process, in order; while some are scored and written, the next is fitted.

    Models are fitted in this thread, one at a time. Under a limit on memory, and with a single
    thread, a job is finished before the next begins. A job that another run on the same results
    folder computes right now is put off to the end.
    """
    overlaps = context.memory is None and n_threads() > 1
    waiting = deque((model, fold, False) for model, fold in jobs)
    behind: deque[tuple[ResolvedModel, int, Future[FinishedJob]]] = deque()
    done = 0
    # A job that waits for its scores takes no processor: these threads are no more than there are.
    finishing, scoring = ThreadPoolExecutor(BEHIND), sharing_pool(BEHIND)
    try:
        while waiting or behind:
            begun: FinishedJob | UnscoredJob | DygeneptError | None = None
            if waiting:
                model, fold, is_put_off = waiting.popleft()
                title = _title(model, fold, context)
                if is_put_off:
                    title = f"{title} (waiting for another run that computes it)"
                report(Progress("job", done, len(jobs), title))
                begun = _begun(context, (model, fold), report, wait=is_put_off)
                if begun is None:
                    waiting.append((model, fold, True))
            if behind and (len(behind) == BEHIND or not isinstance(begun, UnscoredJob)):
                first, its_fold, future = behind.popleft()
                done += 1
                yield first, its_fold, _result(future.result, first, its_fold)
            if isinstance(begun, UnscoredJob):
                if overlaps:
                    behind.append((model, fold, finishing.submit(begun.finish, scoring.map)))
                    continue
                begun = _result(begun.finish, model, fold)
            if begun is not None:
                done += 1
                yield model, fold, begun
    finally:
        # Whoever stops the run does not wait for what is scored at that moment.
        finishing.shutdown(wait=False)
        scoring.shutdown(wait=False)
    report(Progress("job", len(jobs), len(jobs), "done"))


def _begun(
    context: RunContext, job: Job, report: Callable[[Progress], None], *, wait: bool
) -> FinishedJob | UnscoredJob | DygeneptError | None:
    model, fold = job
    return _result(lambda: begin_job(context, model, fold, report, wait=wait), model, fold)


def _result(compute: Callable[[], T], model: ResolvedModel, fold: int) -> T | DygeneptError:
    """Return what is computed, or the error of a job that fails alone."""
    try:
        return compute()
    except DistributedError:
        # The other processes are gone, or elsewhere: no further job can be shared.
        raise
    except DygeneptError as error:
        logger.debug("%s, fold %d failed", model.name, fold + 1, exc_info=error)
        return error


def run_in_processes(
    prepare: Callable[[], Prepared],
    context: RunContext,
    models: Sequence[ResolvedModel],
    jobs: Sequence[Job],
    report: Callable[[Progress], None],
    *,
    n_processes: int,
) -> Iterator[JobResult]:
    """Run jobs in several processes, in any order.

    A process that dies makes its job fail, and a new one takes its place. When this one stops, or
    is killed, the others end with it.

    Args:
        prepare: Makes the same context and models in a worker, which reads the data set itself:
            a path crosses the boundary, not gigabytes. It must be picklable.
        context: What every job shares.
        models: Every model, in the order in which ``prepare`` returns them.
        jobs: What to run.
        report: Callback for progress.
        n_processes: Worker processes.
    """
    position = {model.name: number for number, model in enumerate(models)}
    n_workers = min(n_processes, len(jobs))
    n_of_each = max(1, (os.cpu_count() or 1) // n_processes)
    spawn = multiprocessing.get_context("spawn")
    # Nothing is ever sent: its end tells the workers that this process is gone, or done.
    theirs, ours = spawn.Pipe(duplex=False)

    def started() -> ProcessPoolExecutor:
        # One process per pool, so that a process that dies takes only its own job with it.
        with deaf_children():
            return ProcessPoolExecutor(
                1, spawn, initializer=_start_worker, initargs=(prepare, n_of_each, theirs)
            )

    waiting = deque((model, fold, False) for model, fold in jobs)
    idle = [started() for _ in range(n_workers)]
    running: dict[Future[FinishedJob | DygeneptError | None], tuple[ProcessPoolExecutor, Job]] = {}
    done = 0
    try:
        while waiting or running:
            while idle and waiting:
                model, fold, is_put_off = waiting.popleft()
                worker = idle.pop()
                with deaf_children():
                    future = worker.submit(_work, position[model.name], fold, is_put_off)
                running[future] = (worker, (model, fold))
            finished = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
            worker, (model, fold) = running.pop(finished)
            try:
                result = finished.result()
            except BrokenExecutor:
                result = DygeneptError(
                    f"the process that ran {model.name}, fold {fold + 1}, ended without an answer "
                    "(out of memory, perhaps); try it with --jobs 1"
                )
                worker.shutdown()
                worker = started()
            idle.append(worker)
            if result is None:
                waiting.append((model, fold, True))
                continue
            done += 1
            report(Progress("job", done, len(jobs), _title(model, fold, context)))
            yield model, fold, result
    finally:
        ours.close()
        theirs.close()
        for worker in (*idle, *(worker for worker, _ in running.values())):
            worker.shutdown(cancel_futures=True)


_WORKER: list[Prepared] = []
# Left only when the worker ends.
_KEPT_MEMORY = ExitStack()


def _start_worker(prepare: Callable[[], Prepared], n_threads: int, parent: Connection) -> None:
    end_with(parent)
    os.environ["OMP_NUM_THREADS"] = str(n_threads)
    # The parent's stdout is only for its result, and this process shares it.
    sys.stdout = sys.stderr
    # What is to be said of plugins and data the parent has said already.
    log = logging.getLogger("dygenept")
    before = log.level
    log.setLevel(logging.ERROR)
    _WORKER.append(prepare())
    log.setLevel(before)
    if _WORKER[0][0].memory is None:
        _KEPT_MEMORY.enter_context(freed_memory_kept())


def _work(position: int, fold: int, is_put_off: bool) -> FinishedJob | DygeneptError | None:
    context, models = _WORKER[0]
    try:
        return run_job(context, models[position], fold, no_report, wait=is_put_off)
    except DygeneptError as error:
        # A plugin's own class of error may not survive the way back; its text does.
        return DygeneptError(str(error))


def _title(model: ResolvedModel, fold: int, context: RunContext) -> str:
    return f"{model.name}, fold {fold + 1} of {len(context.split.folds)}"
