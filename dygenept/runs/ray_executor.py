"""Runs jobs on an existing Ray cluster.

Every node needs this package and the results folder at the same path, such as on a shared file
system. The data set is read once, here, and sent once to each node, whose workers share it; cells
that are kept in a file are read by each worker instead. Ray (Apache 2.0) is an optional package.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, Protocol

from dygenept.errors import ConfigError, DygeneptError
from dygenept.runs.executors import Job, JobResult, Prepared
from dygenept.runs.jobs import FinishedJob, run_job
from dygenept.types import PerturbationData, Progress, no_report

if TYPE_CHECKING:
    from dygenept.model.resolve import ResolvedModel
    from dygenept.runs.run_context import RunContext

logger = logging.getLogger(__name__)

JobReply = FinishedJob | DygeneptError | None
# Workers that may die under one job, or before they are ready, before it counts as the job's fault.
MOST_LOSSES = 3
# Nothing has happened for so long: say so.
QUIET_S = 60.0


class WorkerLostError(DygeneptError):
    """A worker, or its node, is gone."""


class WorkerPool(Protocol):
    """What runs jobs elsewhere; a ticket stands for an answer that is to come."""

    def start(self) -> tuple[Any, Any]:
        """Ask for a worker; return it and the ticket of its being ready."""
        ...

    def submit(self, worker: Any, position: int, fold: int, *, is_put_off: bool) -> Any:
        """Give a worker that is ready a job, and return the ticket of its answer."""
        ...

    def first(self, tickets: Sequence[Any], timeout_s: float) -> Any | None:
        """Wait for any answer and return its ticket; None where none comes in time."""
        ...

    def answer(self, ticket: Any) -> JobReply:
        """Return the answer to a ticket.

        Raises:
            WorkerLostError: If its worker is gone.
        """
        ...

    def stop(self, worker: Any) -> None:
        """End a worker."""
        ...


class RayWorker:
    """Keeps a run's context on one node and runs jobs there, one at a time."""

    def __init__(
        self, prepare: Callable[[PerturbationData | None], Prepared], data: PerturbationData | None
    ) -> None:
        """Prepare the run; None reads the data set here."""
        self._context, self._models = prepare(data)

    def ready(self) -> None:
        """Answer once the run is prepared."""

    def run(self, position: int, fold: int, is_put_off: bool) -> JobReply:
        """Run one job; an error that a user can mend is returned, not raised."""
        try:
            model = self._models[position]
            return run_job(self._context, model, fold, no_report, wait=is_put_off)
        except DygeneptError as error:
            # A plugin's own class of error may not survive the way back; its text does.
            return DygeneptError(str(error))


class RayPool:
    """Workers on a cluster, each with one CPU, and one GPU where the run computes on one."""

    def __init__(
        self,
        prepare: Callable[[PerturbationData | None], Prepared],
        data: PerturbationData,
        *,
        device: str,
    ) -> None:
        """Connect to the cluster, and hand the data set over.

        Args:
            prepare: Makes the run's context and models on a worker, from the data set or by
                reading it; it must be picklable.
            data: The data set.
            device: Torch device of the run.

        Raises:
            ConfigError: If Ray is not installed, or no cluster runs.
        """
        from scipy import sparse

        self._ray, self._is_ours = connected_ray()
        n_gpus = 1 if device.startswith("cuda") else 0
        self._worker = self._ray.remote(num_cpus=1, num_gpus=n_gpus)(RayWorker)
        self._prepare = self._ray.put(prepare)
        # Workers of a node see the same arrays in its object store; they are read-only there.
        is_in_memory = sparse.issparse(data.expression)
        self._data = self._ray.put(data) if is_in_memory else None

    def start(self) -> tuple[Any, Any]:
        """Ask for a worker; it starts once a node has room for it."""
        worker = self._worker.remote(self._prepare, self._data)
        return worker, worker.ready.remote()

    def submit(self, worker: Any, position: int, fold: int, *, is_put_off: bool) -> Any:
        """Give a worker a job."""
        return worker.run.remote(position, fold, is_put_off)

    def first(self, tickets: Sequence[Any], timeout_s: float) -> Any | None:
        """Wait for any answer."""
        done, _ = self._ray.wait(list(tickets), num_returns=1, timeout=timeout_s)
        return done[0] if done else None

    def answer(self, ticket: Any) -> JobReply:
        """Return an answer; an error that no user can mend is raised as it was there."""
        try:
            reply: JobReply = self._ray.get(ticket)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            raise WorkerLostError(" ".join(str(error).split())[:300]) from error
        return reply

    def stop(self, worker: Any) -> None:
        """End a worker, or take back what asked for it."""
        self._ray.kill(worker)

    def close(self) -> None:
        """Let go of the cluster, unless somebody else connected to it."""
        if self._is_ours:
            self._ray.shutdown()


def run_on_ray(
    prepare: Callable[[PerturbationData | None], Prepared],
    context: RunContext,
    names: Sequence[str],
    jobs: Sequence[Job],
    report: Callable[[Progress], None],
    *,
    n_workers: int,
) -> Iterator[JobResult]:
    """Run jobs on the nodes of a cluster, in any order.

    Args:
        prepare: Makes the same context and models on a worker, from the data set or, where it is
            given None, by reading it; it must be picklable.
        context: What every job shares.
        names: Names of all models, in the order in which ``prepare`` returns them.
        jobs: What to run.
        report: Callback for progress.
        n_workers: Jobs at once.

    Raises:
        ConfigError: If Ray is not installed, or no cluster runs.
    """
    # Ray prints what it has to say of nodes and workers; stdout is only for the result.
    with redirect_stdout(sys.stderr):
        pool = RayPool(prepare, context.data, device=context.device)
        try:
            yield from run_on_workers(pool, names, jobs, report, n_workers=n_workers)
        finally:
            pool.close()


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
                    logger.warning("no worker has started: does the cluster have a free CPU?")
                continue
            if ticket in starting:
                worker = starting.pop(ticket)
                try:
                    pool.answer(ticket)
                except WorkerLostError as error:
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
                start()
                losses[model.name, fold] += 1
                if losses[model.name, fold] < MOST_LOSSES:
                    logger.warning("the worker of %s died; the job runs again: %s", title, error)
                    waiting.append((model, fold, False))
                    continue
                result = DygeneptError(f"{MOST_LOSSES} workers died under {title}: {error}")
            else:
                idle.append(worker)
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


def require_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--executor ray needs Ray: pip install 'ray>=2.9'; without it, --jobs N runs N "
            "processes on this machine"
        ) from error
    return ray


def connected_ray() -> tuple[Any, bool]:
    """Connect to the cluster that ``RAY_ADDRESS`` or this machine names.

    Returns:
        The module ``ray``, and True if this made the connection.

    Raises:
        ConfigError: If Ray is not installed, or no cluster runs.
    """
    ray = require_ray()
    if ray.is_initialized():
        return ray, False
    try:
        ray.init(address="auto", log_to_driver=False)
    except ConnectionError as error:
        raise ConfigError(
            "no Ray cluster was found; start one with `ray start --head`, or name one in "
            "RAY_ADDRESS"
        ) from error
    return ray, True
