"""Progress on stderr: the core's reports as Rich bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dygenept.machine.plain_text import printable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dygenept.types import Progress as Report

LABELS = {
    "job": "Jobs",
    "epoch": "  Epochs",
    "download": "Download",
    "simulate": "Simulate",
    "read": "Read",
    "means": "Means",
    "embed": "  Embed texts",
    "encode": "  Encode cells",
    "write": "  Write facets",
}


@contextmanager
def shown_progress(*, quiet: bool = False) -> Iterator[Callable[[Report], None]]:
    """Yield a callback that draws bars with the time left, on a terminal or in a notebook.

    Elsewhere jobs are reported as plain lines, so that logs stay readable.
    """
    from dygenept.machine.processes import launched

    if quiet or not launched().is_writer:
        yield lambda report: None
        return
    from dygenept.machine.terminal import safe_console

    console = safe_console(stderr=True)
    if not (sys.stderr.isatty() or console.is_jupyter):
        yield _plain
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        console=console,
        transient=True,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(report: Report) -> None:
            message = printable(report.message)
            label = LABELS.get(report.stage, report.stage.capitalize())
            total = report.total or None
            if report.stage not in tasks:
                tasks[report.stage] = bars.add_task(label, total=total, message=message)
            task = tasks[report.stage]
            if report.step == 0:
                bars.reset(task, total=total)
            finished = report.total > 0 and report.step >= report.total
            bars.update(
                task,
                completed=report.step,
                total=total,
                message=message,
                visible=report.stage == "job" or not finished,
            )

        yield draw


def _plain(report: Report) -> None:
    if report.stage == "job" and report.step < report.total:
        sys.stderr.write(f"[{report.step + 1}/{report.total}] {printable(report.message)}\n")
    elif report.stage in ("download", "simulate", "encode") and report.step == 0:
        sys.stderr.write(f"{LABELS[report.stage].strip()}: {printable(report.message)}\n")
