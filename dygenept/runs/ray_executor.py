"""Runs jobs on an existing Ray cluster.

Every node needs this package and the results folder at the same path, such as on a shared file
system. The data set is read once, here, and sent once to each node, whose workers share it; cells
that are kept in a file are read by each worker instead. A worker is one process, or several that
share each job as under torchrun. Ray (Apache 2.0) is an optional package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from dygenept.errors import ConfigError
from dygenept.runs.executors import EXECUTORS, Job, JobResult, Prepared
from dygenept.runs.ray_pool import RayPool, require_ray
from dygenept.runs.run_context import RunContext
from dygenept.runs.worker_pool import run_on_workers
from dygenept.types import PerturbationData, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who runs jobs on a cluster.

    Attributes:
        n_workers: Jobs at once.
        n_ranks: Processes that share each job.
    """

    n_workers: int
    n_ranks: int = 1


def check_ranks(n_ranks: int, executor: str) -> None:
    """Refuse jobs of several processes where nothing starts these, and Ray where it is not there.

    Args:
        n_ranks: Processes that share each job.
        executor: One of ``EXECUTORS``.

    Raises:
        ConfigError: As said.
    """
    assert executor in EXECUTORS
    if n_ranks < 1:
        raise ConfigError(f"--ranks must be at least 1, got {n_ranks}")
    if n_ranks > 1 and executor != "ray":
        raise ConfigError(
            f"--ranks {n_ranks} needs --executor ray; without a cluster, share every job by "
            f"torchrun --nproc_per_node={n_ranks} -m dygenept_cli.main bench ..."
        )
    if executor == "ray":
        require_ray()


def run_on_ray(
    prepare: Callable[[PerturbationData | None], Prepared],
    context: RunContext,
    names: Sequence[str],
    jobs: Sequence[Job],
    report: Callable[[Progress], None],
    crew: Crew,
) -> Iterator[JobResult]:
    """Run jobs on the nodes of a cluster, in any order.

    Args:
        prepare: Makes the same context and models on a worker, from the data set or, where it is
            given None, by reading it; it must be picklable.
        context: What every job shares.
        names: Names of all models, in the order in which ``prepare`` returns them.
        jobs: What to run.
        report: Callback for progress.
        crew: How many workers, and of how many processes.

    Raises:
        ConfigError: If Ray is not installed, or no cluster runs.
    """
    # Ray prints what it has to say of nodes and workers; stdout is only for the result.
    with redirect_stdout(sys.stderr):
        pool = RayPool(prepare, context.data, device=context.device, n_ranks=crew.n_ranks)
        try:
            yield from run_on_workers(pool, names, jobs, report, n_workers=crew.n_workers)
        finally:
            pool.close()
