"""Workers on a Ray cluster: each one process, or several that share every job.

Processes that share jobs are as those of a torchrun launch: each has its rank and the address of
the first, and torch's process group stays open from one job to the next.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from dygenept.errors import ConfigError, DistributedError, DygeneptError
from dygenept.machine import processes
from dygenept.runs.executors import Prepared
from dygenept.runs.jobs import run_job
from dygenept.runs.worker_pool import JobReply, WorkerLostError
from dygenept.types import PerturbationData, no_report

MeetingPoint = tuple[str, int]


class RayRank:
    """A process of a worker: keeps a run's context on its node and takes part in each job."""

    def __init__(self) -> None:
        """Nothing is prepared before ``join``."""
        self._prepared: Prepared | None = None
        self._open = ExitStack()

    def meeting_point(self) -> MeetingPoint:
        """Return an address at which the other processes find this one."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            port: int = free.getsockname()[1]
        here: str = ray.util.get_node_ip_address()
        return here, port

    def join(
        self,
        prepare: Callable[[PerturbationData | None], Prepared],
        data: PerturbationData | None,
        rank: tuple[int, int],
        point: MeetingPoint | None,
        device: str,
    ) -> DygeneptError | None:
        """Meet the other processes, where there are any, and prepare the run.

        Args:
            prepare: Makes the run's context and models; None as data lets it read them here.
            data: The data set.
            rank: Position among the processes of the worker, and their number.
            point: Where the first one is; None where it is the only one.
            device: Torch device of this process.
        """
        try:
            if point is not None:
                # Ray shows a process no GPU but its own.
                names = dict(zip(processes.LAUNCHED, (*rank, *point), strict=True))
                os.environ.update({name: str(value) for name, value in names.items()})
                os.environ["LOCAL_RANK"] = "0"
                self._open.enter_context(processes.session(device))
            self._prepared = prepare(data)
        except DygeneptError as error:
            return _portable(error)
        return None

    def run(self, position: int, fold: int, is_put_off: bool) -> JobReply:
        """Run one job; an error that a user can mend is returned, not raised."""
        assert self._prepared is not None
        context, models = self._prepared
        try:
            return run_job(context, models[position], fold, no_report, wait=is_put_off)
        except DygeneptError as error:
            return _portable(error)


def _portable(error: DygeneptError) -> DygeneptError:
    """Return an error whose class survives the way back; a plugin's own may not."""
    kind = DistributedError if isinstance(error, DistributedError) else DygeneptError
    return kind(str(error))


@dataclass(slots=True, eq=False)
class Worker:
    """The processes that share jobs.

    Attributes:
        ranks: Their handles, the writer's first.
        room: What keeps their places on the cluster; None for one process.
        is_usable: False once one of them has failed: the others have lost step.
    """

    ranks: list[Any]
    room: Any | None = None
    is_usable: bool = True


@dataclass(slots=True, eq=False)
class Ticket:
    """Stands for the answers of all processes of a worker to one question.

    Attributes:
        worker: The worker.
        references: One reference per process, in the order of the ranks.
        is_start: Asks whether the worker is ready.
        waiting: References without an answer yet.
        replies: Answers, or what was raised, by reference.
        failed: The reference whose answer ended the waiting.
    """

    worker: Worker
    references: list[Any]
    is_start: bool = False
    waiting: list[Any] = field(default_factory=list)
    replies: dict[Any, Any] = field(default_factory=dict)
    failed: Any | None = None

    def __post_init__(self) -> None:
        """Wait for every process."""
        self.waiting = list(self.references)

    def take(self, reference: Any, reply: Any) -> bool:
        """Keep an answer; True if no further one is needed."""
        self.waiting.remove(reference)
        self.replies[reference] = reply
        if isinstance(reply, Exception) and self.failed is None:
            self.failed = reference
        return self.failed is not None or not self.waiting


class RayPool:
    """Workers on a cluster: a CPU per process, and a GPU where the run computes on one."""

    def __init__(
        self,
        prepare: Callable[[PerturbationData | None], Prepared],
        data: PerturbationData,
        *,
        device: str,
        n_ranks: int = 1,
    ) -> None:
        """Connect to the cluster, and hand the data set over.

        Args:
            prepare: Makes the run's context and models on a worker, from the data set or by
                reading it; it must be picklable.
            data: The data set.
            device: Torch device of the run.
            n_ranks: Processes of a worker.

        Raises:
            ConfigError: If Ray is not installed, or no cluster runs.
        """
        from scipy import sparse

        self._ray, self._is_ours = connected_ray()
        self._device = "cuda:0" if device.startswith("cuda") else "cpu"
        self._needs = {"CPU": 1, "GPU": int(self._device != "cpu")}
        self._rank = self._ray.remote(num_cpus=1, num_gpus=self._needs["GPU"])(RayRank)
        self._n_ranks = n_ranks
        self._prepare = self._ray.put(prepare)
        # Workers of a node see the same arrays in its object store; they are read-only there.
        is_in_memory = sparse.issparse(data.expression)
        self._data = self._ray.put(data) if is_in_memory else None

    def start(self) -> tuple[Worker, Ticket]:
        """Ask for a worker; it starts once there is room for all its processes."""
        worker = self._one() if self._n_ranks == 1 else self._several()
        first = worker.ranks[0]
        point = first.meeting_point.remote() if self._n_ranks > 1 else None
        given = (self._prepare, self._data)
        asked = [
            rank.join.remote(*given, (number, self._n_ranks), point, self._device)
            for number, rank in enumerate(worker.ranks)
        ]
        return worker, Ticket(worker, asked, is_start=True)

    def _one(self) -> Worker:
        return Worker([self._rank.remote()])

    def _several(self) -> Worker:
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        # All places or none: half a worker would keep its places from the others for ever.
        needs = {kind: amount for kind, amount in self._needs.items() if amount}
        room = placement_group([needs] * self._n_ranks, strategy="PACK")
        ranks = [
            self._rank.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    room, placement_group_bundle_index=number
                )
            ).remote()
            for number in range(self._n_ranks)
        ]
        return Worker(ranks, room)

    def submit(self, worker: Worker, position: int, fold: int, *, is_put_off: bool) -> Ticket:
        """Give all processes of a worker a job."""
        return Ticket(
            worker, [rank.run.remote(position, fold, is_put_off) for rank in worker.ranks]
        )

    def first(self, tickets: Sequence[Ticket], timeout_s: float) -> Ticket | None:
        """Wait until all processes of a worker have answered, or one of them has failed."""
        ticket_of = {reference: ticket for ticket in tickets for reference in ticket.waiting}
        until = time.monotonic() + timeout_s
        while True:
            left = max(0.0, until - time.monotonic())
            done, _ = self._ray.wait(list(ticket_of), num_returns=1, timeout=left)
            if not done:
                return None
            ticket = ticket_of.pop(done[0])
            if ticket.take(done[0], self._reply(done[0])):
                return ticket

    def _reply(self, reference: Any) -> Any:
        """Return an answer, or what was raised instead."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return error

    def answer(self, ticket: Ticket) -> JobReply:
        """Return the writer's answer; an error that no user can mend is raised as it was there.

        Raises:
            WorkerLostError: If a process is gone, or a worker could not start.
        """
        reply: Any = ticket.replies[ticket.failed or ticket.references[0]]
        if ticket.failed is None:
            return reply  # type: ignore[no-any-return]
        ticket.worker.is_usable = self._n_ranks == 1
        text = " ".join(str(reply).split())
        if ticket.is_start or isinstance(reply, DistributedError):
            raise WorkerLostError(text[-300:] if ticket.is_start else text[:300]) from reply
        if isinstance(reply, DygeneptError):
            return reply
        if isinstance(reply, self._ray.exceptions.RayTaskError):
            raise reply
        raise WorkerLostError(text[:300]) from reply

    def is_usable(self, worker: Worker) -> bool:
        """False where processes that share jobs have lost step."""
        return worker.is_usable

    def stop(self, worker: Worker) -> None:
        """End a worker, or take back what asked for it."""
        for rank in worker.ranks:
            self._ray.kill(rank)
        if worker.room is not None:
            self._ray.util.remove_placement_group(worker.room)

    def close(self) -> None:
        """Let go of the cluster, unless somebody else connected to it."""
        if self._is_ours:
            self._ray.shutdown()


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
