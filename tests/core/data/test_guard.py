"""The leakage guard: what it lets pass, what it stops, and an attempt to cheat."""

from __future__ import annotations

from array import array as numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from dygenept.data.de.lists import de_genes
from dygenept.data.guard import guard_task
from dygenept.data.pseudobulk import condition_positions, pseudobulk
from dygenept.data.task import Access, build_task
from dygenept.errors import LeakageError
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.plugin.specs import BaselineSpec
from dygenept.results.store import ResultsStore
from dygenept.runs import jobs
from dygenept.runs.run_context import RunContext
from dygenept.testing import ConformanceError, ToyShape, check_baseline, toy_data, toy_fold
from dygenept.testing.leak_checks import Secrets, cheat
from dygenept.types import (
    Condition,
    DeGenes,
    Fold,
    PerturbationData,
    Predictions,
    Pseudobulk,
    Runtime,
    Split,
    Task,
    no_report,
)


@dataclass(frozen=True)
class Bench:
    data: PerturbationData
    means: Pseudobulk
    de: DeGenes

    def task(self, fold: Fold, *, held_out: bool = False) -> tuple[Task, tuple[Condition, ...]]:
        return build_task(
            self.data,
            self.means,
            self.de,
            fold,
            access=Access(cells=True, truth=held_out),
            runtime=Runtime(),
        )

    def guard(self, task: Task, test: tuple[Condition, ...], *, is_oracle: bool = False) -> None:
        guard_task(
            task,
            data=self.data,
            pseudobulk=self.means,
            de=self.de,
            held_out=test,
            is_oracle=is_oracle,
        )


@pytest.fixture(scope="module")
def bench() -> Bench:
    data = toy_data(ToyShape(n_cell_types=2))
    means = pseudobulk(data)
    return Bench(data, means, de_genes(data, means))


@pytest.fixture
def parts(bench: Bench) -> tuple[Task, tuple[Condition, ...]]:
    return bench.task(toy_fold(bench.data))


def test_a_task_that_holds_only_what_it_may_passes(bench: Bench) -> None:
    fold = toy_fold(bench.data)
    bench.guard(*bench.task(fold))
    bench.guard(*bench.task(fold, held_out=True), is_oracle=True)
    labels = fold.train + fold.val
    crossed = Fold(train=labels, val=(), test=labels, test_cell_type="toy_b")
    task, test = bench.task(crossed)
    assert {condition.cell_type for condition in task.known} == {"toy_a"}
    bench.guard(task, test)


def with_held_out_condition(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    return replace(task, train=(test[0], *task.train[1:]))


def with_the_truth(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    return replace(task, held_out=bench.task(toy_fold(bench.data), held_out=True)[0].held_out)


def with_another_mean(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    means = task.means.copy()
    means[0] = bench.means.means[condition_positions(bench.data, test[:1])[0]]
    return replace(task, means=means)


def with_one_row_too_many(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    row = bench.means.means[condition_positions(bench.data, test[:1])]
    return replace(task, means=np.concatenate([task.means, row]))


def with_a_view_of_more(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    rows = condition_positions(bench.data, (*task.known, *test))
    return replace(task, means=bench.means.means[rows][: len(task.known)])


def with_shared_controls(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    return replace(task, control_means=bench.means.control_means)


def with_a_held_out_list(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    lists = task.de_indices.copy()
    lists[0] = bench.de.indices[condition_positions(bench.data, test[:1])[0]]
    return replace(task, de_indices=lists)


def with_one_cell_more(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    assert task.cells is not None
    row = condition_positions(bench.data, test[:1])[0]
    extra = bench.data.expression[np.flatnonzero(bench.data.condition_codes == row)[:1]]
    stacked = sparse.csr_matrix(sparse.vstack([task.cells.expression, extra]))
    return replace(task, cells=replace(task.cells, expression=stacked))


def with_a_cell_exchanged(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    assert task.cells is not None
    expression = task.cells.expression.copy()
    expression.data[: expression.indptr[1]] += 1
    return replace(task, cells=replace(task.cells, expression=expression))


def with_other_cell_ids(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    assert task.cells is not None
    row = condition_positions(bench.data, test[:1])[0]
    ids = task.cells.cell_ids.copy()
    ids[0] = bench.data.cell_ids[np.flatnonzero(bench.data.condition_codes == row)[0]]
    return replace(task, cells=replace(task.cells, cell_ids=ids))


def with_the_ids_of_cells_exchanged(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    assert task.cells is not None
    return replace(task, cells=replace(task.cells, cell_ids=task.cells.cell_ids[::-1].copy()))


def with_a_closure_over_the_lists(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    indices = bench.de.indices

    def report(progress: object) -> None:
        assert len(indices)

    return replace(task, runtime=replace(task.runtime, report=report))


def with_a_part_of_a_buffer(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    part = np.frombuffer(bytearray(80), dtype=np.float64)[:5]
    return replace(task, runtime=replace(task.runtime, report=lambda _: len(part)))


def with_a_file_of_another_library(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    series = pl.Series([1.0])
    return replace(task, runtime=replace(task.runtime, report=lambda _: len(series)))


def with_the_whole_matrix_behind(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    assert task.cells is not None
    expression = task.cells.expression.copy()
    expression.whole = bench.data.expression
    return replace(task, cells=replace(task.cells, expression=expression))


def with_a_closure_over_the_data(bench: Bench, task: Task, test: tuple[Condition, ...]) -> Task:
    means = bench.means.means

    def report(progress: object) -> None:
        assert len(means)

    return replace(task, runtime=replace(task.runtime, report=report))


@pytest.mark.parametrize(
    ("leak", "message"),
    [
        (with_held_out_condition, "held-out condition"),
        (with_the_truth, "contains the truth"),
        (with_another_mean, "task.means has other values"),
        (with_one_row_too_many, "task.means has the shape"),
        (with_a_view_of_more, "task.means is a view into a larger array"),
        (with_shared_controls, "task.control_means shares memory"),
        (with_a_held_out_list, "task.de_indices has other values"),
        (with_one_cell_more, "task.cells has"),
        (with_a_cell_exchanged, "expression of other cells"),
        (with_other_cell_ids, "cell_ids names other cells"),
        (with_the_ids_of_cells_exchanged, "cell_ids names other cells, such as ''"),
        (with_a_closure_over_the_lists, r"report closure shares memory with de\.indices"),
        (with_a_part_of_a_buffer, "report closure is a view into a larger array"),
        (with_a_file_of_another_library, "report closure is a Series, of which no memory"),
        (with_the_whole_matrix_behind, "shares memory with data.expression"),
        (with_a_closure_over_the_data, r"runtime\.report closure shares memory"),
    ],
)
def test_a_task_that_leaks_is_refused(
    bench: Bench,
    parts: tuple[Task, tuple[Condition, ...]],
    leak: Callable[[Bench, Task, tuple[Condition, ...]], Task],
    message: str,
) -> None:
    task, test = parts
    bench.guard(task, test)
    with pytest.raises(LeakageError, match=message):
        bench.guard(leak(bench, task, test), test)


def test_a_whole_buffer_is_no_view_of_more(
    bench: Bench, parts: tuple[Task, tuple[Condition, ...]]
) -> None:
    task, test = parts
    for buffer in (bytes(80), bytearray(80), numbers("d", [0.0] * 10)):
        whole = np.frombuffer(buffer, dtype=np.float64)
        runtime = replace(task.runtime, report=partial(np.add, whole))
        bench.guard(replace(task, runtime=runtime), test)


def test_halves_of_the_truth_are_copies_too(bench: Bench) -> None:
    task, test = bench.task(toy_fold(bench.data), held_out=True)
    assert task.held_out is not None
    assert task.held_out.half_means is not None
    for name in ("means", "half_means"):
        shape = getattr(task.held_out, name).shape
        shared = np.broadcast_to(bench.means.means[0], shape)
        leaky = replace(task, held_out=replace(task.held_out, **{name: shared}))
        with pytest.raises(LeakageError, match=rf"task\.held_out\.{name} shares memory"):
            bench.guard(leaky, test, is_oracle=True)


class Spy:
    """A model that looks for held-out expression as it is fitted."""

    def __init__(self, data: PerturbationData) -> None:
        self.data = data
        self.found: list[str | None] = []

    def fit(self, task: Task) -> None:
        held_out = [c for c in self.data.conditions if c not in task.known]
        self.found.append(cheat(task, None, Secrets(self.data, held_out), ask_collector=True))

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        shape = (len(conditions), self.data.n_genes)
        return Predictions(tuple(conditions), np.zeros(shape))


def job(bench: Bench, spy: Spy, tmp_path: Path) -> tuple[RunContext, ResolvedModel]:
    fold = toy_fold(bench.data)
    context = RunContext(
        environment=Environment(
            registry=Registry(), manager=PluginManager(), data_dir=tmp_path, cache_dir=tmp_path
        ),
        data=bench.data,
        pseudobulk=bench.means,
        de=bench.de,
        split=Split("kfold", 1, 0, bench.data.sha256, (fold,)),
        split_sha256="ab",
        suite="custom",
        store=ResultsStore(tmp_path),
    )
    model = ResolvedModel("spy", "spy", "baseline", True, {}, (), lambda: spy)
    return context, model


def test_a_model_that_looks_around_during_a_job_finds_nothing(bench: Bench, tmp_path) -> None:
    spy = Spy(bench.data)
    context, model = job(bench, spy, tmp_path)
    jobs.run_job(context, model, 0, no_report)
    assert spy.found == [None]


def test_a_job_with_a_leaky_task_stops_before_the_model_is_fitted(
    bench: Bench, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaky(*arguments: object, **options: object) -> tuple[Task, tuple[Condition, ...]]:
        task, test = build_task(*arguments, **options)  # type: ignore[arg-type]
        return with_shared_controls(bench, task, test), test

    monkeypatch.setattr(jobs, "build_task", leaky)
    spy = Spy(bench.data)
    context, model = job(bench, spy, tmp_path)
    with pytest.raises(LeakageError, match="nothing was fitted"):
        jobs.run_job(context, model, 0, no_report)
    assert spy.found == []


@pytest.mark.parametrize(
    ("leak", "path"),
    [
        (with_a_view_of_more, "task.means.base"),
        (with_the_whole_matrix_behind, "task.cells.expression.whole"),
        (with_a_closure_over_the_data, "task.runtime.report closure"),
    ],
)
def test_the_attempt_to_cheat_finds_what_leaks(
    bench: Bench,
    parts: tuple[Task, tuple[Condition, ...]],
    leak: Callable[[Bench, Task, tuple[Condition, ...]], Task],
    path: str,
) -> None:
    task, test = parts
    secrets = Secrets(bench.data, test)
    assert cheat(task, None, secrets) is None
    assert cheat(leak(bench, task, test), None, secrets) == path


def test_the_collector_leads_from_a_shared_name_to_the_data(
    bench: Bench, parts: tuple[Task, tuple[Condition, ...]]
) -> None:
    task, test = parts
    secrets = Secrets(bench.data, test)
    assert cheat(task, None, secrets, ask_collector=True) is None
    shared = replace(task, gene_ids=bench.data.gene_ids)
    found = cheat(shared, None, secrets, ask_collector=True)
    assert found is not None
    assert found.startswith("referrer")


def test_conformance_refuses_a_model_that_got_hold_of_the_truth() -> None:
    class Informed(Spy):
        def __init__(self) -> None:
            super().__init__(toy_data())

        def fit(self, task: Task) -> None:
            self.truth = pseudobulk(self.data).means.copy()

    spec = BaselineSpec(
        name="informed", summary="Knows too much.", source="a test", factory=lambda _: Informed()
    )
    with pytest.raises(ConformanceError, match=r"reaches held-out expression by way of model\."):
        check_baseline(spec)


def test_a_task_that_reaches_too_much_to_check_is_refused(
    bench: Bench, parts: tuple[Task, tuple[Condition, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, test = parts
    monkeypatch.setattr("dygenept.data.reachable.MAX_OBJECTS", 5)
    with pytest.raises(LeakageError, match="too many to check"):
        bench.guard(task, test)


def test_a_model_that_overwrites_its_task_changes_nothing_for_the_next(
    bench: Bench, tmp_path
) -> None:
    class Vandal(Spy):
        def fit(self, task: Task) -> None:
            assert task.cells is not None
            for array in (task.means, task.control_means, task.cells.expression.data):
                array[...] = 0.0
            task.n_cells[...] = 0
            task.de_indices[...] = 0

    before = (bench.means.means.copy(), bench.data.expression.data.copy(), bench.de.indices.copy())
    context, model = job(bench, Vandal(bench.data), tmp_path)
    jobs.run_job(context, model, 0, no_report)
    after = (bench.means.means, bench.data.expression.data, bench.de.indices)
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    bench.guard(*bench.task(toy_fold(bench.data)))
