"""Progress on stderr: the core's reports as Rich bars."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dygenept.machine.plain_text import printable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from dygenept.types import Progress as Report

LABELS = {
    "job": "Jobs",
    "step": "Steps",
    "epoch": "  Epochs",
    "download": "Download",
    "simulate": "Simulate",
    "read": "Read",
    "means": "Means",
    "embed": "  Embed texts",
    "encode": "  Encode cells",
    "write": "  Write facets",
    "environment": "Environment",
    "child": "  Isolated model",
}
# Each gets a line of its own.
COUNTED = ("job", "step")
# Their lines would stand between those of the jobs, many times over.
WITHIN_JOBS = ("epoch", "child")
LINE_EVERY_S = 10.0


@contextmanager
def shown_progress(*, quiet: bool = False) -> Iterator[Callable[[Report], None]]:
    """Yield a callback that draws bars with the time left, on a terminal or in a notebook.

    Elsewhere jobs and steps are reported as plain lines, at most one in ten seconds while one of
    them lasts, so that logs stay readable. From the callback nothing else can be reached: models
    are given it, and a notebook's output leads to all that the notebook holds.
    """
    with _drawn(quiet=quiet) as draw:
        reporter = _Reporter(next(_NUMBERS))
        _DRAWING[reporter.number] = draw
        try:
            yield reporter
        finally:
            del _DRAWING[reporter.number]


_NUMBERS = itertools.count()
_DRAWING: dict[int, Callable[[Report], None]] = {}


@dataclass(frozen=True, slots=True)
class _Reporter:
    """Passes reports on to what draws them, as long as it is open; known by its number alone."""

    number: int

    def __call__(self, report: Report) -> None:
        draw = _DRAWING.get(self.number)
        if draw is not None:
            draw(report)


@contextmanager
def _drawn(*, quiet: bool) -> Iterator[Callable[[Report], None]]:
    from dygenept.machine.processes import launched

    if quiet or not launched().is_writer:
        yield lambda report: None
        return
    from dygenept.machine.terminal import safe_console

    console = safe_console(stderr=True)
    # Without ipywidgets, a notebook cannot draw one bar again and again.
    can_draw = console.is_jupyter and importlib.util.find_spec("ipywidgets") is not None
    if not (sys.stderr.isatty() or can_draw):
        yield _plain_lines()
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
                visible=report.stage in COUNTED or not finished,
            )

        yield draw


def _plain_lines() -> Callable[[Report], None]:
    """Return a callback that writes a line per job and step, and few while one of them lasts."""
    begun: dict[tuple[str, str], tuple[float, int]] = {}
    last = time.monotonic()

    def write(report: Report) -> None:
        nonlocal last
        is_last = report.total > 0 and report.step >= report.total
        now = time.monotonic()
        is_due = now - last >= LINE_EVERY_S
        if report.stage in COUNTED:
            if is_last:
                return
            text = f"[{report.step + 1}/{report.total}] {report.message}"
        else:
            step = (report.stage, "" if report.stage in WITHIN_JOBS else report.message)
            is_begun = step in begun
            if not is_begun or report.step <= begun[step][1]:
                begun[step] = (now, report.step)
            is_new = report.stage not in WITHIN_JOBS and not is_begun and not is_last
            if not (is_new or is_due):
                return
            text = LABELS.get(report.stage, report.stage.capitalize()).strip()
            text += f": {report.message}" if report.message else ""
            if report.step:
                of = f" of {report.total:,}" if report.total else ""
                text += f" ({report.step:,}{of})"
            text += _time_left(report, *begun[step], now)
        last = time.monotonic()
        sys.stderr.write(f"{printable(text)}\n")

    return write


def _time_left(report: Report, since: float, first: int, now: float) -> str:
    """Say how long the rest takes at the pace so far; nothing where no step was timed."""
    done, left = report.step - first, report.total - report.step
    if done <= 0 or left <= 0:
        return ""
    seconds = (now - since) / done * left
    return (
        f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"
    )
