"""``dygenept evaluate``: score a trained model on the fold that it did not see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import options


def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Option("--checkpoint", metavar="DIR", help="Folder that `dygenept train` wrote."),
    ],
    dataset: options.DatasetOption,
    results: Annotated[
        Path | None,
        typer.Option("--results", metavar="DIR", help="Also keep the record in this folder."),
    ] = None,
    device: options.DeviceOption = "auto",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Score a trained model on the held-out perturbations of its fold."""
    from dygenept.leaderboard.rows import leaderboard_rows
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.document import bench_document
    from dygenept.runs.run_context import RunRequest
    from dygenept.runs.runner import BenchOutcome
    from dygenept.runs.train import evaluate_model
    from dygenept_cli import context
    from dygenept_cli.tables import leaderboard_tables

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    request = RunRequest(
        dataset=dataset,
        results=results or checkpoint / "results",
        normalize=normalize,
        scale=scale,
        de_list=environment.registry.defaults.de_list,
        keep_predictions=results is not None,
    )
    with shown_progress(quiet=quiet) as report:
        record = evaluate_model(
            request,
            environment,
            checkpoint=checkpoint,
            keep=results is not None,
            report=report,
        )
    outcome = BenchOutcome(record.dataset, record.split, (record,), {})
    rows = leaderboard_rows(outcome.records)
    if as_json:
        context.print_json(bench_document(outcome, rows, results_dir=results))
    else:
        console = context.stdout()
        for table in leaderboard_tables(rows, outcome.dataset, outcome.split, width=console.width):
            console.print(table)
