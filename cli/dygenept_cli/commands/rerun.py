"""``dygenept rerun``: does a recorded job give the same metrics today?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import CellsFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag

TOLERANCE = 1e-6


def rerun(
    *,
    record: Annotated[
        Path, typer.Argument(metavar="RECORD.json", help="A record in runs/ of a results folder.")
    ],
    dataset: str | None = flag(
        "The recorded cells [default: the recorded file or registered data set].",
        metavar="NAME|FILE",
    ),
    cells: CellsFlags,
    tolerance: float = flag(
        "Largest difference that counts as agreement.", default=TOLERANCE, min=0.0
    ),
    where: MachineFlags,
    output: options.OutputFlags,
) -> None:
    """Run a recorded job again and say whether the metrics agree.

    Nothing is written. Exit code 0: all metrics agree; 1: some do not.
    """
    from dygenept.runs.rerun import rerun_record
    from dygenept.runs.run_context import RunRequest
    from dygenept_cli.views.agreement import show_rerun

    request = RunRequest(
        dataset=dataset or "",
        results=record.parent.parent,
        scale=cells.scale,
        normalize=cells.normalize,
        mapping=cells.mapping(),
        memory=cells.memory_bytes(),
    )
    environment = where.environment()
    with output.progress() as report:
        found = rerun_record(record, request, environment, tolerance=tolerance, report=report)
    if output.as_json:
        console.print_json(
            {
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
        show_rerun(found)
    if not found.agrees:
        raise typer.Exit(1)
