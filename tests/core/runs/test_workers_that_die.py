"""Jobs on workers elsewhere: what dies is repeated, what waits for room holds nothing up.

The workers here live in this process and die as each test says; a cluster of two nodes is tried by
scripts/cluster_trials.py.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dygenept.errors import ConfigError, DygeneptError
from dygenept.plugin.environment import Environment
from dygenept.runs import runner, worker_pool
from dygenept.runs.executors import Job, JobResult
from dygenept.runs.jobs import FinishedJob
from dygenept.runs.worker_pool import JobReply, WorkerLostError, run_on_workers
from dygenept.types import Progress, no_report

NAMES = ("a", "b")
DIES, BUSY = "dies", "busy"


def jobs(n_folds: int = 2) -> list[Job]:
    models = [cast(Any, SimpleNamespace(name=name)) for name in NAMES]
    return [(model, fold) for model in models for fold in range(n_folds)]


def record(position: int, fold: int) -> FinishedJob:
    return FinishedJob(cast(Any, (NAMES[position], fold)))


@dataclass
class LocalPool:
    """Answers in order of asking; ``script`` says what becomes of a job's first attempts.

    Attributes:
        script: For a job, by position and fold: ``dies``, ``busy`` or an error, one an attempt.
        starts: What becomes of each worker, in order: True for ready, False for dead, None for
            one that waits for room for ever; ready beyond.
        asked: What each attempt was, and the worker that had it.
        stopped: Workers that were ended.
        broken: Workers that can run no further job after their first answer.
    """

    script: dict[tuple[int, int], list[str | DygeneptError]] = field(default_factory=dict)
    starts: list[bool | None] = field(default_factory=list)
    asked: list[tuple[int, int, bool, int]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    answers: dict[int, JobReply | str] = field(default_factory=dict)
    n_workers: int = 0
    n_tickets: int = 0

    def _ticket(self, answer: JobReply | str) -> int:
        self.n_tickets += 1
        self.answers[self.n_tickets] = answer
        return self.n_tickets

    def start(self) -> tuple[int, int]:
        self.n_workers += 1
        state = self.starts.pop(0) if self.starts else True
        if state is None:
            return self.n_workers, -self.n_workers
        return self.n_workers, self._ticket(None if state else DIES)

    def submit(self, worker: int, position: int, fold: int, *, is_put_off: bool) -> int:
        self.asked.append((position, fold, is_put_off, worker))
        planned = self.script.get((position, fold))
        if not planned:
            return self._ticket(record(position, fold))
        what = planned.pop(0)
        return self._ticket(None if what == BUSY else what)

    def first(self, tickets: Sequence[int], timeout_s: float) -> int | None:
        return min((ticket for ticket in tickets if ticket > 0), default=None)

    def answer(self, ticket: int) -> JobReply:
        found = self.answers.pop(ticket)
        if found == DIES:
            raise WorkerLostError("the node is gone")
        assert not isinstance(found, str)
        return found

    def is_usable(self, worker: int) -> bool:
        return worker not in self.broken

    def stop(self, worker: int) -> None:
        self.stopped.append(worker)


def run(pool: LocalPool, n_workers: int = 2) -> list[JobResult]:
    return list(run_on_workers(pool, NAMES, jobs(), no_report, n_workers=n_workers))


def answers(results: list[JobResult]) -> dict[tuple[str, int], object]:
    return {
        (model.name, fold): result.record if isinstance(result, FinishedJob) else str(result)
        for model, fold, result in results
    }


ALL = {(name, fold): (name, fold) for name in NAMES for fold in range(2)}


def test_every_job_is_run_once_and_every_worker_ended() -> None:
    pool = LocalPool()
    assert answers(run(pool)) == ALL
    assert sorted(asked[:2] for asked in pool.asked) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sorted(pool.stopped) == [1, 2]


def test_progress_counts_jobs_that_are_done() -> None:
    said: list[Progress] = []
    pool = LocalPool({(1, 0): [DIES]})
    list(run_on_workers(pool, NAMES, jobs(), said.append, n_workers=1))
    assert [(item.step, item.total) for item in said] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert said[-1].message == "b, fold 1"


def test_the_job_of_a_worker_that_dies_runs_again_on_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = LocalPool({(0, 1): [DIES, DIES]})
    with caplog.at_level(logging.WARNING):
        assert answers(run(pool)) == ALL
    workers = [worker for position, fold, _, worker in pool.asked if (position, fold) == (0, 1)]
    assert len(set(workers)) == 3
    assert "the worker of a, fold 2 died; the job runs again: the node is gone" in caplog.text


def test_a_job_under_which_three_workers_die_fails_alone() -> None:
    pool = LocalPool({(0, 1): [DIES, DIES, DIES]})
    found = answers(run(pool))
    assert found == {**ALL, ("a", 1): "3 workers died under a, fold 2: the node is gone"}


def test_a_job_that_another_run_computes_is_asked_for_again_and_waited_for() -> None:
    pool = LocalPool({(0, 0): [BUSY]})
    assert answers(run(pool, n_workers=1)) == ALL
    assert [asked[2] for asked in pool.asked if asked[:2] == (0, 0)] == [False, True]
    assert pool.asked[-1][:2] == (0, 0)


def test_an_error_that_a_user_can_mend_is_the_jobs_result() -> None:
    found = answers(run(LocalPool({(1, 1): [DygeneptError("no such gene")]})))
    assert found == {**ALL, ("b", 1): "no such gene"}


def test_a_worker_that_has_lost_step_is_replaced() -> None:
    pool = LocalPool({(0, 0): [DygeneptError("diverged")]}, broken={1})
    assert answers(run(pool, n_workers=1)) == {**ALL, ("a", 0): "diverged"}
    assert [asked[3] for asked in pool.asked] == [1, 2, 2, 2]
    assert pool.stopped == [1, 2]


def test_a_worker_that_dies_is_ended_so_that_its_other_processes_are() -> None:
    pool = LocalPool({(0, 0): [DIES]}, starts=[False, True])
    assert answers(run(pool, n_workers=1)) == ALL
    assert pool.stopped == [1, 2, 3]


def test_a_worker_without_room_on_the_cluster_keeps_nothing_waiting() -> None:
    pool = LocalPool(starts=[True, None])
    assert answers(run(pool)) == ALL
    assert {asked[3] for asked in pool.asked} == {1}
    assert sorted(pool.stopped) == [1, 2]


def test_a_node_that_dies_for_good_leaves_its_jobs_to_the_others() -> None:
    # The worker that should take the place of the dead one finds no room.
    pool = LocalPool({(0, 0): [DIES]}, starts=[True, True, None])
    assert answers(run(pool)) == ALL


def test_workers_that_cannot_start_fail_the_jobs_with_the_reason() -> None:
    found = answers(run(LocalPool(starts=[False] * 9)))
    assert found == dict.fromkeys(ALL, "no worker starts: the node is gone")


def test_one_worker_that_starts_is_enough() -> None:
    assert answers(run(LocalPool(starts=[False, True, False, False]))) == ALL


def test_a_cluster_without_room_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = LocalPool(starts=[None])
    rounds: list[float] = []

    def first(tickets: Sequence[int], timeout_s: float) -> None:
        rounds.append(timeout_s)
        if len(rounds) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(pool, "first", first)
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        run(pool, n_workers=1)
    assert rounds == [worker_pool.QUIET_S] * 2
    assert "does the cluster have room for one?" in caplog.text
    assert pool.stopped == [1]


def test_without_ray_a_run_is_refused_before_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where it is not installed.
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(runner, "_opened", lambda *given: pytest.fail("data were opened"))
    request = runner.BenchRequest(
        dataset="sim:norman@0.05", models=("ridge",), results=tmp_path, executor="ray"
    )
    with pytest.raises(ConfigError, match="--executor ray needs Ray: pip install"):
        runner.run_bench(request, Environment.load(data_dir=tmp_path, device="cpu"))
    assert not list(tmp_path.iterdir())
