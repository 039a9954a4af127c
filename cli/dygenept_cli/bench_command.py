"""``dygenept bench``: models × folds, then a leaderboard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dygenept.plugin.environment import Environment
    from dygenept.runs.runner import BenchOutcome, BenchRequest
    from dygenept.runs.suites import Suite
    from dygenept.types import Progress


def bench(
    dataset: options.BenchmarkDatasetOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="M",
            help="A model; may be given several times. Without it: the closed-form baselines and "
            "dygenept, or dygenept_small where dygenept's weights are not at hand.",
        ),
    ] = None,
    suite: options.SuiteOption = None,
    split: options.SplitOption = None,
    folds: options.FoldsOption = None,
    seed: options.SeedOption = None,
    metric: options.ScoredMetricOption = None,
    require_gene_in: options.RequireGeneInOption = None,
    de_list: options.DeListOption = None,
    gene_encoder: options.GeneEncoderOption = None,
    facets: options.FacetsOption = None,
    cell_encoder: options.CellEncoderOption = None,
    attention: options.AttentionOption = None,
    decoder: options.DecoderOption = None,
    kg: options.KgOption = None,
    config: options.ConfigOption = None,
    set_: options.SetOption = None,
    results: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Processes, or workers on a Ray cluster.")
    ] = 1,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            help="inline, process (implied by --jobs 2 or more), or ray: an existing Ray cluster.",
        ),
    ] = "inline",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Skip what the results folder already has."),
    ] = True,
    keep_predictions: Annotated[
        bool,
        typer.Option("--keep-predictions/--drop-predictions", help="Keep predictions on disk."),
    ] = True,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    all_metrics: options.AllMetricsOption = False,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Cross-validate models on a data set and print a leaderboard."""
    from dygenept.errors import DygeneptError
    from dygenept.runs.default_models import default_models
    from dygenept_cli import context
    from dygenept_cli.protocol import Asked, declared_suite, request_under

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    asked = Asked(
        dataset=dataset,
        suite=suite,
        split=split,
        n_folds=folds,
        seed=seed,
        metrics=tuple(metric or ()),
        require_gene_in=require_gene_in,
        de_list=de_list,
        scale=scale,
    )
    declared = declared_suite(asked, environment)
    names = tuple(model or declared.models)
    choice = None if names else default_models(environment)
    grid = None if model else declared.grid
    if grid is not None and kg is None:
        grid.check(set_ or ())
    requests = [
        replace(
            request_under(declared, asked, dataset=name, results=results, normalize=normalize),
            models=names if choice is None else choice.models,
            variants=() if grid is None else grid.variants(),
            overrides=context.overrides(
                parts={
                    "gene_encoder": gene_encoder,
                    "cell_encoder": cell_encoder,
                    "attention": attention,
                    "decoder": decoder,
                },
                facets=facets,
                kg=kg,
                config=config,
                sets=set_,
            ),
            jobs=jobs,
            executor=executor,
            resume=resume,
            keep_predictions=keep_predictions,
        )
        for name in declared.datasets
    ]
    opening = None if choice is None else choice.reason
    show = _Show(environment, declared, quiet, as_json, tuple(metric or ()), all_metrics, opening)
    if len(requests) == 1:
        document, failures = _bench(requests[0], show)
    else:
        document, failures = _bench_each(requests, show)
    if as_json:
        context.print_json(document)
    if failures:
        raise DygeneptError(failed_text(failures))


def failed_text(failures: Mapping[str, str]) -> str:
    """Say what failed, each reason once."""
    jobs: dict[str, list[str]] = {}
    for job, reason in failures.items():
        jobs.setdefault(reason, []).append(job)
    reasons = (f"{' and '.join(names)}: {reason}" for reason, names in jobs.items())
    return f"{len(failures)} job(s) failed: {'; '.join(reasons)}"


@dataclass(frozen=True, slots=True)
class _Show:
    """Where a run works and how it is shown.

    Attributes:
        environment: What the run works in.
        declared: The suite.
        quiet: No progress on stderr.
        as_json: One document in place of tables.
        metrics: Metrics to show; empty shows as many as fit.
        all_metrics: Show all of them.
        opening: Why these models run, where none was named.
    """

    environment: Environment
    declared: Suite
    quiet: bool
    as_json: bool
    metrics: tuple[str, ...]
    all_metrics: bool
    opening: str | None


def _run(request: BenchRequest, show: _Show) -> BenchOutcome:
    """Run a benchmark; its opening is said once nothing is refused and the first job begins."""
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.runner import run_bench
    from dygenept_cli import context

    unsaid = [] if show.opening is None else [show.opening]
    with shown_progress(quiet=show.quiet) as report:

        def tell(progress: Progress) -> None:
            if unsaid and progress.stage == "job":
                context.note(f"note: {unsaid.pop()}")
            report(progress)

        return run_bench(request, show.environment, report=tell)


def _bench(request: BenchRequest, show: _Show) -> tuple[dict[str, object], Mapping[str, str]]:
    """Run one data set; print its leaderboard, or return it as a document."""
    from dygenept.leaderboard.rows import leaderboard_rows
    from dygenept.runs.document import bench_document
    from dygenept_cli import context
    from dygenept_cli.published import published_beside, published_table
    from dygenept_cli.tables import leaderboard_tables

    outcome = _run(request, show)
    for text in (*outcome.dataset.notes, *_model_notes(outcome)):
        context.note(f"note: {text}")
    rows = leaderboard_rows(outcome.records)
    quoted = published_beside(request.suite, outcome.dataset, declared=show.declared)
    if not show.as_json and rows:
        console = context.stdout()
        every = tuple(dict.fromkeys(row.metric for row in rows))
        for table in leaderboard_tables(
            rows,
            outcome.dataset,
            outcome.split,
            metrics=every if show.all_metrics else show.metrics,
            width=console.width,
        ):
            console.print(table)
        if quoted:
            console.print(published_table(quoted))
        for job, reason in outcome.failures.items():
            text = f"not in this leaderboard: {job}: {reason}"
            console.print(text, markup=False, soft_wrap=True)
        context.note(
            f"results in {request.results}; show them again with "
            f"`dygenept leaderboard --results {request.results}`"
        )
    document = bench_document(outcome, rows, results_dir=request.results)
    return {**document, "references": [row.document() for row in quoted]}, outcome.failures


def _bench_each(
    requests: Sequence[BenchRequest], show: _Show
) -> tuple[dict[str, object], dict[str, str]]:
    """Run several data sets; one that cannot be had does not stop the others."""
    from dygenept.errors import DygeneptError
    from dygenept_cli import context

    documents: list[dict[str, object]] = []
    refused: dict[str, str] = {}
    failures: dict[str, str] = {}
    for request in requests:
        try:
            document, failed = _bench(request, show)
        except DygeneptError as error:
            context.note(f"{request.dataset}: {error}")
            refused[request.dataset] = str(error)
            continue
        show = replace(show, opening=None)
        documents.append(document)
        failures |= {f"{request.dataset}, {job}": reason for job, reason in failed.items()}
    reported = dict.fromkeys(refused, "reported above")
    document = {"schema_version": 1, "benches": documents, "failures": refused | failures}
    return document, reported | failures


def _model_notes(outcome: BenchOutcome) -> tuple[str, ...]:
    notes = (f"{record.model}: {text}" for record in outcome.records for text in record.notes)
    return tuple(dict.fromkeys(notes))
