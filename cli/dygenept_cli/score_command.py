"""``dygenept score``: anybody's predictions under our rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import options


def score(
    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="Predictions: .h5ad, .parquet, .csv, .tsv or .npz (see docs/score.md).",
        ),
    ],
    dataset: options.BenchmarkDatasetOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="How leaderboards call them [default: the file's stem]."),
    ] = None,
    suite: options.SuiteOption = None,
    split: options.SplitOption = None,
    folds: options.FoldsOption = None,
    seed: options.SeedOption = None,
    metric: options.ScoredMetricOption = None,
    require_gene_in: options.RequireGeneInOption = None,
    de_list: options.DeListOption = None,
    delta: Annotated[
        bool,
        typer.Option(
            "--delta", help="Values are changes from the mean control, not mean log1p expression."
        ),
    ] = False,
    fill: Annotated[
        bool,
        typer.Option(
            "--fill",
            help="Stand the mean of the train perturbations in for a missing perturbation and "
            "the control mean for a missing gene; the record tells it.",
        ),
    ] = False,
    results: options.ResultsOption = Path("results"),
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Score a file of predictions, with no model of ours involved, and record the result."""
    from dataclasses import asdict

    from dygenept.errors import ConfigError
    from dygenept.leaderboard.rows import leaderboard_rows
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.document import bench_document
    from dygenept.runs.score import Submission, score_submission
    from dygenept_cli import context
    from dygenept_cli.protocol import Asked, declared_suite, request_under
    from dygenept_cli.published import published_beside, published_table
    from dygenept_cli.tables import leaderboard_tables

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device="cpu")
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
    if len(declared.datasets) > 1:
        raise ConfigError(
            f"suite {declared.name!r} has {len(declared.datasets)} data sets; say which the "
            f"predictions are for: --dataset {declared.datasets[0]}"
        )
    request = request_under(
        declared, asked, dataset=declared.datasets[0], results=results, normalize=normalize
    )
    submission = Submission(
        path=predictions, name=name or predictions.stem, is_delta=delta, fill=fill
    )
    with shown_progress(quiet=quiet) as report:
        found = score_submission(submission, request, environment, report=report)
    for text in (*found.mismatch.ignored(), *found.mismatch.lacks()):
        context.note(f"note: {text}")
    rows = leaderboard_rows(found.outcome.records)
    quoted = published_beside(request.suite, found.outcome.dataset, declared=declared)
    if as_json:
        document = bench_document(found.outcome, rows, results_dir=results)
        references = [row.document() for row in quoted]
        context.print_json({**document, "references": references, "match": asdict(found.mismatch)})
        return
    console = context.stdout()
    for table in leaderboard_tables(
        rows,
        found.outcome.dataset,
        found.outcome.split,
        metrics=tuple(metric or ()),
        width=console.width,
    ):
        console.print(table)
    if quoted:
        console.print(published_table(quoted))
    context.note(f"recorded in {results}; compare with `dygenept leaderboard --results {results}`")
