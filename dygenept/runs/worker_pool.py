"""Runs jobs on workers elsewhere that may die; knows nothing of what starts them."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from dygenept.errors import DygeneptError
from dygenept.model.resolve import ResolvedModel
from dygenept.runs.executors import Job, JobResult
from dygenept.runs.jobs import FinishedJob
from dygenept.types import Progress

logger = logging.getLogger(__name__)

JobReply = FinishedJob | DygeneptError | None
# Workers that may die under one job, or before they are ready, before it counts as the job's fault.
MOST_LOSSES = 3
# Nothing has happened for so long: say so.
QUIET_S = 60.0


class WorkerLostError(DygeneptError):
    """A worker, or its node, is gone; of several processes that share a job, one is enough."""


class WorkerPool(Protocol):
    """What runs jobs elsewhere; a ticket stands for an answer that is to come."""

    def start(self) -> tuple[Any, Any]:
        """Ask for a worker; return it and the ticket of its being ready."""

    def submit(self, worker: Any, position: int, fold: int, *, is_put_off: bool) -> Any:
        """Give a worker that is ready a job, and return the ticket of its answer."""

    def first(self, tickets: Sequence[Any], timeout_s: float) -> Any | None:
        """Wait for any answer and return its ticket; None where none comes in time."""

    def answer(self, ticket: Any) -> JobReply:
        """Return the answer to a ticket.

        Raises:
            WorkerLostError: If its worker is gone.
        """

    def is_usable(self, worker: Any) -> bool:
        """Tell whether a worker that has answered can run another job."""

    def stop(self, worker: Any) -> None:
        """End a worker, whatever is left of it."""


def run_on_workers(
    pool: WorkerPool,
    names: Sequence[str],
    jobs: Sequence[Job],
    report: Callable[[Progress], None],
    *,
    n_workers: int,
) -> Iterator[JobResult]:
    """Run jobs on workers that may die, in any order.

    The job of a worker that dies runs again on another one. A worker is given a job when it is
    ready, so that one that waits for room on the cluster keeps nothing waiting.

    Args:
        pool: Where workers come from.
        names: Names of all models, in the order of their positions.
        jobs: What to run.
        report: Callback for progress.
        n_workers: Jobs at once.

    Yields:
        Each job with its record, or with what was wrong.
    """
    position = {name: number for number, name in enumerate(names)}
    waiting = deque((model, fold, False) for model, fold in jobs)
    idle: list[Any] = []
    starting: dict[Any, Any] = {}
    running: dict[Any, tuple[Any, Job]] = {}
    losses: Counter[tuple[str, int]] = Counter()
    n_failed_starts = 0
    done = 0

    def start() -> None:
        worker, ticket = pool.start()
        starting[ticket] = worker

    for _ in range(min(n_workers, len(jobs))):
        start()
    try:
        while waiting or running:
            while idle and waiting:
                model, fold, is_put_off = waiting.popleft()
                worker = idle.pop()
                ticket = pool.submit(worker, position[model.name], fold, is_put_off=is_put_off)
                running[ticket] = (worker, (model, fold))
            ticket = pool.first([*running, *starting], QUIET_S)
            if ticket is None:
                if not running:
                    logger.warning("no worker has started: does the cluster have room for one?")
                continue
            if ticket in starting:
                worker = starting.pop(ticket)
                try:
                    pool.answer(ticket)
                except WorkerLostError as error:
                    pool.stop(worker)
                    n_failed_starts += 1
                    if n_failed_starts < MOST_LOSSES:
                        start()
                    elif not (starting or running or idle):
                        yield from _all_failed(waiting, str(error))
                        return
                else:
                    idle.append(worker)
                    n_failed_starts = 0
                continue
            worker, (model, fold) = running.pop(ticket)
            title = f"{model.name}, fold {fold + 1}"
            try:
                result = pool.answer(ticket)
            except WorkerLostError as error:
                pool.stop(worker)
                start()
                losses[model.name, fold] += 1
                if losses[model.name, fold] < MOST_LOSSES:
                    logger.warning("the worker of %s died; the job runs again: %s", title, error)
                    waiting.append((model, fold, False))
                    continue
                result = DygeneptError(f"{MOST_LOSSES} workers died under {title}: {error}")
            else:
                if pool.is_usable(worker):
                    idle.append(worker)
                else:
                    pool.stop(worker)
                    if waiting:
                        start()
            if result is None:
                waiting.append((model, fold, True))
                continue
            done += 1
            report(Progress("job", done, len(jobs), title))
            yield model, fold, result
    finally:
        for worker in (*idle, *starting.values(), *(worker for worker, _ in running.values())):
            pool.stop(worker)


def _all_failed(
    waiting: Sequence[tuple[ResolvedModel, int, bool]], reason: str
) -> Iterator[JobResult]:
    for model, fold, _ in waiting:
        yield model, fold, DygeneptError(f"no worker starts: {reason}")
