"""Jobs in this process: one is scored while the next is fitted, and each fails alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dygenept.errors import DygeneptError, PluginError
from dygenept.machine import threads
from dygenept.runs import executors
from dygenept.runs.executors import Job, JobResult, run_inline
from dygenept.runs.jobs import FinishedJob, UnscoredJob
from dygenept.types import Progress, no_report

WAIT_S = 20.0


def jobs(n: int) -> list[Job]:
    return [(cast(Any, SimpleNamespace(name=f"m{number}")), 0) for number in range(n)]


def context(memory: int | None = None) -> Any:
    return SimpleNamespace(memory=memory, split=SimpleNamespace(folds=(0,)))


def begun(finish: Callable[[], FinishedJob], *, n_others: int = 0) -> UnscoredJob:
    class Begun(UnscoredJob):
        __slots__ = ()

        def finish(self, each: object = map) -> FinishedJob:
            return finish()

    predictions = SimpleNamespace(others=(None,) * n_others)
    predicted = cast(Any, SimpleNamespace(predictions=predictions))
    return Begun(predicted, Path(), cast(Any, None))


def finished(name: str) -> FinishedJob:
    return FinishedJob(cast(Any, name))


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "n_threads", lambda: 2)


def test_a_job_is_scored_while_the_next_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    is_fitting_next = threading.Event()
    fitted_in = []

    def begin(_: object, model: Any, *arguments: object, wait: bool) -> UnscoredJob:
        fitted_in.append(threading.current_thread())
        if model.name == "m1":
            is_fitting_next.set()

        def finish() -> FinishedJob:
            assert is_fitting_next.wait(WAIT_S)
            return finished(model.name)

        return begun(finish)

    monkeypatch.setattr(executors, "begin_job", begin)
    results = list(run_inline(context(), jobs(3), no_report))
    assert [model.name for model, _, _ in results] == ["m0", "m1", "m2"]
    assert [cast(Any, result).record for _, _, result in results] == ["m0", "m1", "m2"]
    assert set(fitted_in) == {threading.main_thread()}


def test_two_jobs_are_scored_at_once_and_a_third_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)
    fitted: list[str] = []

    def begin(_: object, model: Any, *arguments: object, wait: bool) -> UnscoredJob:
        fitted.append(model.name)

        def finish() -> FinishedJob:
            if model.name in ("m0", "m1"):
                both.wait(WAIT_S)
            return finished(model.name)

        return begun(finish)

    monkeypatch.setattr(executors, "begin_job", begin)
    results = run_inline(context(), jobs(5), no_report)
    assert next(results)[0].name == "m0"
    # One more is fitted beside the two that are behind.
    assert fitted == ["m0", "m1", "m2"]
    assert [model.name for model, _, _ in results] == ["m1", "m2", "m3", "m4"]


def test_scores_are_computed_side_by_side_with_a_part_of_the_threads_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "n_processors", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    both, counts = threading.Barrier(2), []

    def count(_: object) -> int:
        both.wait(WAIT_S)
        return threads.n_threads()

    def begin(_: object, model: Any, *arguments: object, wait: bool) -> UnscoredJob:
        class Begun(UnscoredJob):
            __slots__ = ()

            def finish(self, each: Any = map) -> FinishedJob:
                counts.extend(each(count, range(4)))
                return finished(model.name)

        return Begun(cast(Any, None), Path(), cast(Any, None))

    monkeypatch.setattr(executors, "begin_job", begin)
    list(run_inline(context(), jobs(1), no_report))
    assert counts == [3] * 4
    assert threads.n_threads() == 6


@pytest.mark.parametrize(
    ("memory", "n_threads", "n_others"), [(1 << 30, 2, 0), (None, 1, 0), (None, 1, 4)]
)
def test_where_memory_or_threads_are_short_a_job_ends_before_the_next_begins(
    monkeypatch: pytest.MonkeyPatch, memory: int | None, n_threads: int, n_others: int
) -> None:
    monkeypatch.setattr(executors, "n_threads", lambda: n_threads)
    steps = []

    def begin(_: object, model: Any, *arguments: object, wait: bool) -> UnscoredJob:
        steps.append(f"fit {model.name}")

        def finish() -> FinishedJob:
            steps.append(f"score {model.name}")
            return finished(model.name)

        return begun(finish, n_others=n_others)

    monkeypatch.setattr(executors, "begin_job", begin)
    list(run_inline(context(memory), jobs(2), no_report))
    assert steps == ["fit m0", "score m0", "fit m1", "score m1"]


def test_what_fails_when_fitted_or_when_scored_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begin(_: object, model: Any, *arguments: object, wait: bool) -> UnscoredJob:
        if model.name == "m1":
            raise PluginError("not fitted")

        def finish() -> FinishedJob:
            if model.name == "m2":
                raise PluginError("not scored")
            return finished(model.name)

        return begun(finish)

    monkeypatch.setattr(executors, "begin_job", begin)
    results = {model.name: result for model, _, result in run_inline(context(), jobs(4), no_report)}
    assert isinstance(results["m0"], FinishedJob)
    assert isinstance(results["m3"], FinishedJob)
    assert str(results["m1"]) == "not fitted"
    assert str(results["m2"]) == "not scored"


def test_what_another_run_computes_is_waited_for_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def begin(_: object, model: Any, *arguments: object, wait: bool) -> UnscoredJob | None:
        asked.append((model.name, wait))
        return begun(lambda: finished(model.name)) if wait or model.name != "m0" else None

    monkeypatch.setattr(executors, "begin_job", begin)
    said: list[Progress] = []
    results: list[JobResult] = list(run_inline(context(), jobs(2), said.append))
    assert asked == [("m0", False), ("m1", False), ("m0", True)]
    assert [model.name for model, _, _ in results] == ["m1", "m0"]
    assert said[-1] == Progress("job", 2, 2, "done")
    assert not any(isinstance(result, DygeneptError) for _, _, result in results)
