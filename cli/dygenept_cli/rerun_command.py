"""``dygenept rerun``: does a recorded job give the same metrics today?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import options

TOLERANCE = 1e-6


def rerun(
    record: Annotated[
        Path, typer.Argument(metavar="RECORD.json", help="A record in runs/ of a results folder.")
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME|FILE", help="Where the cells are, if not a registered name."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Largest difference that still agrees.")
    ] = TOLERANCE,
    device: options.DeviceOption = "auto",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Run the job that a record describes again, and say whether the metrics agree.

    Nothing is written. Exit code 0: all metrics agree; 1: some do not.
    """
    from dataclasses import asdict

    from rich.table import Table

    from dygenept.machine.progress import shown_progress
    from dygenept.runs.rerun import rerun_record
    from dygenept.runs.run_context import RunRequest
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    request = RunRequest(
        dataset=dataset or "", results=record.parent.parent, scale=scale, normalize=normalize
    )
    with shown_progress(quiet=quiet) as report:
        found = rerun_record(record, request, environment, tolerance=tolerance, report=report)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "model": found.recorded.model,
                "fold": found.recorded.fold + 1,
                "dataset": found.recorded.dataset.name,
                "agrees": found.agrees,
                "tolerance": tolerance,
                "metrics": [asdict(item) for item in found.metrics],
                "changed": list(found.changed),
            }
        )
    else:
        title = (
            f"{found.recorded.model} on fold {found.recorded.fold + 1} of "
            f"{found.recorded.dataset.name}"
        )
        table = Table(title=title, title_justify="left")
        for column in ("metric", "recorded", "again", "largest difference", "verdict"):
            table.add_column(column, justify="left" if column == "metric" else "right")
        for item in found.metrics:
            table.add_row(
                item.metric,
                "–" if item.recorded is None else f"{item.recorded:.6f}",
                "–" if item.again is None else f"{item.again:.6f}",
                "–" if item.largest is None else f"{item.largest:.1e}",
                "agrees" if item.agrees else "differs",
            )
        context.stdout().print(table)
        for text in found.changed:
            context.note(f"note: {text}")
    if not found.agrees:
        raise typer.Exit(1)
