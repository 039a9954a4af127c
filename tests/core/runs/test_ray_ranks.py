"""Jobs that several processes of a Ray cluster share: who answers for them, and what ends them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dygenept.errors import ConfigError, DistributedError, DygeneptError
from dygenept.plugin.environment import Environment
from dygenept.runs import ray_pool
from dygenept.runs.jobs import FinishedJob
from dygenept.runs.ray_pool import RayPool, Ticket, Worker
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.runs.worker_pool import WorkerLostError

RECORD = FinishedJob(cast(Any, "the writer's record"))
COPY = FinishedJob(cast(Any, "what the other process made"))


class RayError(Exception):
    """What Ray raises where a process is gone."""


class RayTaskError(RayError):
    """What Ray raises where the process itself raised."""


class Cluster:
    """Stands for the module ``ray``: answers come in a written order."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers, self.killed = answers, list[str]()
        self.util = SimpleNamespace(remove_placement_group=self.killed.append)

    def remote(self, **resources: float) -> Any:
        return lambda kind: kind

    def put(self, value: object) -> object:
        return value

    def wait(self, references: Sequence[str], *, num_returns: int, timeout: float) -> Any:
        there = [name for name in self.answers if name in references]
        return there[:num_returns], []

    def get(self, reference: str) -> object:
        answer = self.answers[reference]
        if isinstance(answer, RayError):
            raise answer
        return answer

    def kill(self, process: str) -> None:
        self.killed.append(process)


def two_processes(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, object], *, is_start: bool = False
) -> tuple[RayPool, Ticket]:
    cluster = Cluster(answers)
    monkeypatch.setattr(ray_pool, "connected_ray", lambda: (cluster, True))
    data = cast(Any, SimpleNamespace(expression=None))
    pool = RayPool(cast(Any, None), data, device="cpu", n_ranks=2)
    return pool, Ticket(Worker(["one", "other"], "room"), ["first", "second"], is_start=is_start)


def test_the_writer_answers_once_all_processes_have(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, ticket = two_processes(monkeypatch, {"second": COPY})
    assert pool.first([ticket], 0.0) is None
    pool._ray.answers["first"] = RECORD
    assert pool.first([ticket], 0.0) is ticket
    assert pool.answer(ticket) is RECORD
    assert pool.is_usable(ticket.worker)


def test_a_process_that_fails_ends_the_waiting_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The writer waits for the other in a sum over processes, and will never answer.
    pool, ticket = two_processes(monkeypatch, {"second": DygeneptError("training diverged")})
    assert pool.first([ticket], 0.0) is ticket
    assert str(pool.answer(ticket)) == "training diverged"
    assert not pool.is_usable(ticket.worker)
    pool.stop(ticket.worker)
    assert pool._ray.killed == ["one", "other", "room"]


@pytest.mark.parametrize(
    "said", [DistributedError("connection closed by peer"), RayError("the node is gone")]
)
def test_a_process_that_is_gone_loses_the_worker_and_not_the_job(
    monkeypatch: pytest.MonkeyPatch, said: Exception
) -> None:
    pool, ticket = two_processes(monkeypatch, {"first": said})
    assert pool.first([ticket], 0.0) is ticket
    with pytest.raises(WorkerLostError, match=str(said)):
        pool.answer(ticket)
    assert not pool.is_usable(ticket.worker)


def test_a_mistake_in_the_code_is_raised_as_it_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, ticket = two_processes(monkeypatch, {"first": RayTaskError("ZeroDivisionError")})
    assert pool.first([ticket], 0.0) is ticket
    with pytest.raises(RayTaskError, match="ZeroDivisionError"):
        pool.answer(ticket)


def test_a_worker_that_cannot_be_prepared_has_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, object] = {"first": None, "second": DygeneptError("no such file")}
    pool, ticket = two_processes(monkeypatch, answers, is_start=True)
    assert pool.first([ticket], 0.0) is ticket
    with pytest.raises(WorkerLostError, match="no such file"):
        pool.answer(ticket)


def test_several_processes_a_job_need_a_cluster(tmp_path: Path) -> None:
    request = BenchRequest(dataset="sim:norman@0.05", models=("ridge",), results=tmp_path, ranks=2)
    with pytest.raises(ConfigError, match=r"--ranks 2 needs --executor ray; .* torchrun"):
        run_bench(request, Environment.load(data_dir=tmp_path, device="cpu"))
