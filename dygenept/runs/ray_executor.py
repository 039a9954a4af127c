"""Runs jobs on an existing Ray cluster.

Every node needs this package, the data folder and the results folder at the same paths, such as
on a shared file system. Ray (Apache 2.0) is an optional package.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dygenept.errors import ConfigError, DygeneptError
from dygenept.runs.executors import Job, JobResult, Prepared
from dygenept.runs.jobs import FinishedJob, run_job
from dygenept.runs.run_context import RunContext
from dygenept.types import Progress, no_report

JobReply = FinishedJob | DygeneptError | None


class RayWorker:
    """Keeps a run's context on one node and runs jobs there, one at a time."""

    def __init__(self, prepare: Callable[[], Prepared]) -> None:
        """Read the data set once, on the worker's own node."""
        self._context, self._models = prepare()

    def run(self, position: int, fold: int, is_put_off: bool) -> JobReply:
        """Run one job; an error that a user can mend is returned, not raised."""
        try:
            model = self._models[position]
            return run_job(self._context, model, fold, no_report, wait=is_put_off)
        except DygeneptError as error:
            # A plugin's own class of error may not survive the way back; its text does.
            return DygeneptError(str(error))


def run_on_ray(
    prepare: Callable[[], Prepared],
    context: RunContext,
    names: Sequence[str],
    jobs: Sequence[Job],
    report: Callable[[Progress], None],
    *,
    n_workers: int,
) -> Iterator[JobResult]:
    """Run jobs on the nodes of a cluster, in any order.

    Each worker takes one CPU, and one GPU where the run computes on one. A worker that dies makes
    its job fail, and a new one takes its place.

    Args:
        prepare: Makes the same context and models on a worker; it must be picklable.
        context: What every job shares.
        names: Names of all models, in the order in which ``prepare`` returns them.
        jobs: What to run.
        report: Callback for progress.
        n_workers: Jobs at once.

    Raises:
        ConfigError: If Ray is not installed, or no cluster runs.
    """
    ray = connected_ray()
    n_gpus = 1 if context.device.startswith("cuda") else 0
    remote = ray.remote(num_cpus=1, num_gpus=n_gpus)(RayWorker)
    position = {name: number for number, name in enumerate(names)}
    waiting = deque((model, fold, False) for model, fold in jobs)
    idle = [remote.remote(prepare) for _ in range(min(n_workers, len(jobs)))]
    running: dict[Any, tuple[Any, Job]] = {}
    done = 0
    while waiting or running:
        while idle and waiting:
            model, fold, is_put_off = waiting.popleft()
            worker = idle.pop()
            reply = worker.run.remote(position[model.name], fold, is_put_off)
            running[reply] = (worker, (model, fold))
        (finished, *_), _ = ray.wait(list(running), num_returns=1)
        worker, (model, fold) = running.pop(finished)
        try:
            result: JobReply = ray.get(finished)
        except ray.exceptions.RayError as error:
            first = " ".join(str(error).split())[:300]
            result = ConfigError(f"the Ray worker of {model.name}, fold {fold + 1}, died: {first}")
            worker = remote.remote(prepare)
        idle.append(worker)
        if result is None:
            waiting.append((model, fold, True))
            continue
        done += 1
        report(Progress("job", done, len(jobs), f"{model.name}, fold {fold + 1}"))
        yield model, fold, result


def connected_ray() -> Any:
    """Connect to the cluster that ``RAY_ADDRESS`` or this machine names, and return ``ray``.

    Raises:
        ConfigError: If Ray is not installed, or no cluster runs.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--executor ray needs Ray: pip install 'ray>=2.9'; without it, --jobs N runs N "
            "processes on this machine"
        ) from error
    if not ray.is_initialized():
        try:
            ray.init(address="auto", log_to_driver=False)
        except ConnectionError as error:
            raise ConfigError(
                "no Ray cluster was found; start one with `ray start --head`, or name one in "
                "RAY_ADDRESS"
            ) from error
    return ray
