"""``dygenept bench``: models × folds, then a leaderboard."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from dygenept.errors import DygeneptError
from dygenept.machine.plain_text import printable
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.benchmark import BenchmarkFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.models import AssemblyFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dygenept.plugin.environment import Environment
    from dygenept.runs.runner import BenchOutcome, BenchRequest
    from dygenept.runs.suites import Suite
    from dygenept.types import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFlags:
    """Which models run, how, and what is kept of them."""

    panel: ClassVar[str] = "Which models run, and how"

    model: list[str] | None = flag(
        "Model; may be given several times [default: the closed-form baselines and dygenept, or "
        "dygenept_small where dygenept's weights are not on disk].",
        metavar="M",
    )
    results: options.ResultsOption = Path("results")
    jobs: int = flag("Processes, or workers on a Ray cluster.", default=1, min=1)
    ranks: int = flag(
        "Processes that share each job's training, with --executor ray.", default=1, min=1
    )
    executor: str = flag(
        "Executor: inline, process (implied by --jobs 2 or more), or ray (an existing cluster).",
        default="inline",
    )
    resume: options.ResumeOption = True
    keep_predictions: bool = flag(
        "Keep predictions on disk.", "--keep-predictions/--drop-predictions", default=True
    )
    dry_run: bool = flag(
        "Print the plan (jobs, memory, time, disk) and run nothing.", default=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOutputFlags(options.OutputFlags):
    """What is shown of a bench."""

    panel: ClassVar[str] = "What is shown"

    all_metrics: options.AllMetricsOption = False


def bench(
    benchmark: BenchmarkFlags,
    jobs: JobFlags,
    assembly: AssemblyFlags,
    where: MachineFlags,
    output: BenchOutputFlags,
) -> None:
    """Cross-validate models on a data set and print a leaderboard."""
    from dygenept.data.catalog import gives_effects
    from dygenept.runs.default_models import default_models

    environment = where.environment()
    if benchmark.dataset is None and benchmark.suite is None:
        benchmark = replace(benchmark, dataset=assembly.document()[1])
    declared = benchmark.declared(environment)
    names = tuple(jobs.model or declared.models)
    effects = not names and gives_effects(declared.datasets[0], environment)
    choice = None if names else default_models(environment, effects=effects)
    grid = None if jobs.model else declared.grid
    if grid is not None and assembly.kg is None:
        grid.check(assembly.sets)
    swapped = () if grid is None else grid.variants()
    requests = [
        replace(
            benchmark.request(declared, dataset=name, results=jobs.results),
            models=names if choice is None else choice.models,
            variants=(*(() if choice is None else choice.controls), *swapped),
            overrides=assembly.overrides(),
            jobs=jobs.jobs,
            ranks=jobs.ranks,
            executor=jobs.executor,
            resume=jobs.resume,
            keep_predictions=jobs.keep_predictions,
        )
        for name in declared.datasets
    ]
    opening = None if choice is None else choice.reason
    if jobs.dry_run:
        _show_plans(requests, environment, opening, as_json=output.as_json)
        return
    show = _Show(environment, declared, output, benchmark.metrics, opening)
    document, failures = (
        _bench(requests[0], show) if len(requests) == 1 else _bench_each(requests, show)
    )
    if output.as_json:
        console.print_json(document)
    if failures:
        raise DygeneptError(failed_text(failures))


def _show_plans(
    requests: Sequence[BenchRequest],
    environment: Environment,
    opening: str | None,
    *,
    as_json: bool,
) -> None:
    """Print what each request would do."""
    from dygenept.runs.document import plan_document
    from dygenept.runs.plan import plan_bench
    from dygenept_cli.views.plan import show_plan

    plans = [plan_bench(request, environment) for request in requests]
    if as_json:
        console.print_json({"dry_run": True, "plans": [plan_document(plan) for plan in plans]})
        return
    if opening is not None:
        console.note(f"note: {opening}")
    for plan in plans:
        show_plan(plan)
        for model in plan.models:
            if model.lacks is not None:
                console.note(f"{model.name} cannot run here: {model.lacks}")
        for doubt in plan.doubts:
            console.note(f"note: {doubt}")
    console.note(
        "nothing was run; times are estimates from points measured elsewhere (docs/scale.md)"
    )


# Of more jobs or reasons than this, as where a disk is full, the rest is counted.
MOST_NAMED = 4


def failed_text(failures: Mapping[str, str]) -> str:
    """Say what failed, each reason once."""
    jobs: dict[str, list[str]] = {}
    for job, reason in failures.items():
        jobs.setdefault(reason, []).append(job)
    shown = [
        f"{_named(names, ' and ', ' and {} more')}: {reason}" for reason, names in jobs.items()
    ]
    more = "; and {} more, for reasons like these"
    return f"{len(failures)} job(s) failed: {_named(shown, '; ', more)}"


def _named(texts: Sequence[str], between: str, more: str) -> str:
    left = len(texts) - MOST_NAMED
    return between.join(texts[:MOST_NAMED]) + (more.format(left) if left > 0 else "")


@dataclass(frozen=True, slots=True)
class _Show:
    """Where a run works and how it is shown.

    Attributes:
        environment: What the run works in.
        declared: The suite.
        output: What is shown.
        metrics: Metrics to show; empty shows as many as fit.
        opening: Why these models run, where the user named none.
    """

    environment: Environment
    declared: Suite
    output: BenchOutputFlags
    metrics: tuple[str, ...]
    opening: str | None


def _run(request: BenchRequest, show: _Show) -> BenchOutcome:
    """Run a benchmark; its opening is shown once nothing is refused and the first job begins."""
    from dygenept.runs.runner import run_bench

    not_shown = [] if show.opening is None else [show.opening]
    with show.output.progress() as report:

        def report_job(progress: Progress) -> None:
            if not_shown and progress.stage == "job":
                console.note(f"note: {not_shown.pop()}")
            report(progress)

        return run_bench(request, show.environment, report=report_job)


def _bench(request: BenchRequest, show: _Show) -> tuple[dict[str, object], Mapping[str, str]]:
    """Run one data set; print its leaderboard, or return it as a document."""
    from dygenept.leaderboard.board_key import among_recorded
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept.runs.document import bench_document
    from dygenept_cli.views.boards import render_board
    from dygenept_cli.views.published import published_beside

    outcome = _run(request, show)
    for text in (*outcome.dataset.notes, *_model_notes(outcome)):
        console.note(f"note: {text}")
    if (reused := outcome.reused(request.results)) is not None:
        console.note(f"{reused}; --no-resume computes them again")
    quoted = published_beside(request.suite, outcome.dataset, declared=show.declared)
    lead = next(iter(show.metrics), show.declared.lead)
    held = among_recorded(outcome.records, request.results)
    board = None
    if held.records:
        board = replace(leaderboard_of(held.records, quoted=quoted, lead=lead), new=held.new)
    if board is not None and not show.output.as_json:
        is_whole = show.output.all_metrics
        sys.stdout.write(render_board(board, metrics=show.metrics, all_metrics=is_whole))
        for job, reason in outcome.failures.items():
            sys.stdout.write(f"{printable(f'not in this leaderboard: {job}: {reason}')}\n")
        console.note(
            f"results in {request.results}; show them again with "
            f"`dygenept leaderboard --results {request.results}`"
        )
    rows = () if board is None else board.rows
    document = bench_document(
        outcome, rows, results_dir=request.results, fixed_lead=lead, new=held.new
    )
    return {**document, "references": [row.document() for row in quoted]}, outcome.failures


def _bench_each(
    requests: Sequence[BenchRequest], show: _Show
) -> tuple[dict[str, object], dict[str, str]]:
    """Run several data sets; one that cannot be opened does not stop the others."""
    documents: list[dict[str, object]] = []
    refused: dict[str, str] = {}
    failures: dict[str, str] = {}
    for request in requests:
        try:
            document, failed = _bench(request, show)
        except DygeneptError as error:
            console.note(f"{request.dataset}: {error}")
            refused[request.dataset] = str(error)
            continue
        show = replace(show, opening=None)
        documents.append(document)
        failures |= {f"{request.dataset}, {job}": reason for job, reason in failed.items()}
    reported = dict.fromkeys(refused, "reported above")
    return {"benches": documents, "failures": refused | failures}, reported | failures


def _model_notes(outcome: BenchOutcome) -> tuple[str, ...]:
    notes = (f"{record.model}: {text}" for record in outcome.records for text in record.notes)
    return tuple(dict.fromkeys(notes))
