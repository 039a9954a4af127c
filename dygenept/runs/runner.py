"""Runs a benchmark: every model on every fold, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dygenept.errors import ConfigError
from dygenept.machine import processes
from dygenept.machine.devices import pick_device
from dygenept.machine.places import check_can_write
from dygenept.machine.process_memory import freed_memory_kept, objects_settled
from dygenept.model.given import GivenModel, resolve_given
from dygenept.model.overrides import NO_OVERRIDES, Overrides
from dygenept.model.resolve import ResolvedModel, Variant, resolve_models
from dygenept.plugin.environment import Environment
from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.records import RunRecord
from dygenept.runs.executors import executor_of, run_in_processes, run_inline
from dygenept.runs.jobs import FinishedJob
from dygenept.runs.ray_executor import Crew, check_ranks, run_on_ray
from dygenept.runs.readiness import require_buildable, unready_models, with_file_hashes
from dygenept.runs.run_context import (
    RunContext,
    RunRequest,
    check_learns,
    check_request,
    cut_split,
    open_run,
    run_device,
)
from dygenept.types import PerturbationData, Progress, no_report


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest(RunRequest):
    """All that a run is asked for; plain values, so that it can cross a process boundary.

    Attributes:
        models: Model names.
        given: Models that are handed over instead of named.
        overrides: Changes to every assembly.
        variants: Further assemblies with parts swapped, beside ``models``.
        jobs: Jobs at once: processes, or Ray workers.
        ranks: Processes that share each job, on a Ray cluster.
        executor: ``inline``, ``process`` or ``ray``.
    """

    models: tuple[str, ...] = ()
    given: tuple[GivenModel, ...] = ()
    overrides: Overrides = NO_OVERRIDES
    variants: tuple[Variant, ...] = ()
    jobs: int = 1
    ranks: int = 1
    executor: str = "inline"


@dataclass(frozen=True, slots=True)
class BenchOutcome:
    """What a run left.

    Attributes:
        dataset: The data set.
        split: The split.
        records: One record per finished job.
        failures: The error of each job that failed, by ``model, fold n``.
        n_recorded: Jobs that were taken from the results folder, not computed.
        n_rescored: Jobs whose kept predictions were scored again.
    """

    dataset: DatasetRecord
    split: SplitRecord
    records: tuple[RunRecord, ...]
    failures: Mapping[str, str]
    n_recorded: int = 0
    n_rescored: int = 0

    def reused(self, results: Path) -> str | None:
        """Say how many jobs the results folder saved; None where it saved none.

        Args:
            results: What the sentence calls the folder.
        """
        n_reused = self.n_recorded + self.n_rescored
        if not n_reused:
            return None
        again = f" ({self.n_rescored} of them scored again)" if self.n_rescored else ""
        return (
            f"{n_reused} of {len(self.records)} finished job(s) were recorded already in "
            f"{results}{again}"
        )


def run_bench(
    request: BenchRequest,
    environment: Environment,
    *,
    report: Callable[[Progress], None] = no_report,
) -> BenchOutcome:
    """Run every model on every fold.

    A job that fails with an error that a user can mend is recorded and the others go on; so do
    they where a model's own environment cannot be built.

    Raises:
        DygeneptError: If the data set, the split, a model's configuration or a metric is refused
            before the first job.
    """
    device = pick_device(environment.device) if processes.launched().size > 1 else "cpu"
    kept = nullcontext() if request.memory is not None else freed_memory_kept()
    with processes.session(device), kept:
        return _run_jobs(request, environment, report)


def _run_jobs(
    request: BenchRequest, environment: Environment, report: Callable[[Progress], None]
) -> BenchOutcome:
    executor = executor_of(request.executor, request.jobs)
    check_ranks(request.ranks, executor)
    models, device = _checked(request, environment)
    unready = unready_models(models, environment, report)
    if len(unready) == len(models):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in unready.items())
        raise ConfigError(f"no model can run here: {reasons}")
    context = _opened(request, environment, models, device, report)
    n_folds = len(context.split.folds)
    failures = {f"{name}, all {n_folds} folds": reason for name, reason in unready.items()}
    jobs = [
        (model, fold) for model in models if model.name not in unready for fold in range(n_folds)
    ]
    # A worker loads the plugins and reads the data set itself: names cross, not gigabytes.
    prepare = partial(_prepare_worker, replace(request, jobs=1), environment.recipe)
    if executor == "ray":
        names = tuple(model.name for model in models)
        # There the data set is sent along, once to each node.
        bare = replace(request, jobs=1, opened=None, is_sent=request.opened is None)
        there = partial(_prepare_elsewhere, bare, environment.recipe)
        crew = Crew(n_workers=request.jobs, n_ranks=request.ranks)
        results = run_on_ray(there, context, names, jobs, report, crew)
    elif executor == "process":
        results = run_in_processes(prepare, context, models, jobs, report, n_processes=request.jobs)
    else:
        results = run_inline(context, jobs, report)
    with objects_settled():
        found = {(model.name, fold): result for model, fold, result in results}
    finished: list[FinishedJob] = []
    # In the order of the jobs, whichever worker was the first to end.
    for model, fold in jobs:
        result = found[model.name, fold]
        if isinstance(result, FinishedJob):
            finished.append(result)
        else:
            failures[f"{model.name}, fold {fold + 1}"] = str(result)
    return BenchOutcome(
        dataset=DatasetRecord.of(context.data),
        split=SplitRecord.of(context.split, context.split_sha256),
        records=tuple(job.record for job in finished),
        failures=failures,
        n_recorded=sum(job.source == "recorded" for job in finished),
        n_rescored=sum(job.source == "rescored" for job in finished),
    )


def _prepare_worker(
    request: BenchRequest, recipe: Callable[[], Environment]
) -> tuple[RunContext, tuple[ResolvedModel, ...]]:
    environment = recipe()
    models, device = _checked(request, environment)
    return _opened(request, environment, models, device, no_report), models


def _prepare_elsewhere(
    request: BenchRequest, recipe: Callable[[], Environment], data: PerturbationData | None
) -> tuple[RunContext, tuple[ResolvedModel, ...]]:
    """Prepare a worker on another machine, with the data set where it was sent along."""
    return _prepare_worker(replace(request, opened=data), recipe)


def _checked(
    request: BenchRequest, environment: Environment
) -> tuple[tuple[ResolvedModel, ...], str]:
    """Return models and device; all that a typing slip can break is refused before data are read.

    Raises:
        DygeneptError: As said.
    """
    models = (
        *resolve_models(request.models, environment, request.overrides, request.variants),
        *(resolve_given(given, environment) for given in request.given),
    )
    names = [model.name for model in models]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"two models are called {min(twice)!r}; give one another name")
    if not (request.resume and any((request.results / "runs").glob("*.json"))):
        # Else it may be a folder that can only be read and has all that is asked for.
        check_can_write(request.results)
    check_request(request, environment)
    device = run_device(models, environment)
    for model in models:
        require_buildable(model, environment)
    return tuple(with_file_hashes(model, environment) for model in models), device


def _opened(
    request: BenchRequest,
    environment: Environment,
    models: Sequence[ResolvedModel],
    device: str,
    report: Callable[[Progress], None],
) -> RunContext:
    context = open_run(
        request,
        environment,
        report,
        device=device,
        split_of=partial(cut_split, request, environment),
    )
    check_learns(models, context.data)
    context = replace(context, family=tuple(model.name for model in models))
    context.keep_shared()
    return context
