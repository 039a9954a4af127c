"""``dygenept reproduce``: published figures of simple baselines, on the published data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.errors import DataUnavailableError, DygeneptError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import DataFlags

if TYPE_CHECKING:
    from dygenept.runs.reproduce import Reproduction


def reproduce(
    *,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A published study: langpert.")],
    results: options.ResultsOption = Path("results"),
    where: DataFlags,
    output: options.OutputFlags,
) -> None:
    """Say whether our mean baseline reproduces a paper's figures, within their error.

    Exit code 0: all match; 1: some do not; 2: a data set is not on disk.
    """
    from dygenept.runs.reproduce import reproduce as run
    from dygenept.runs.runner import BenchRequest
    from dygenept_cli.bundled import bundled_suites
    from dygenept_cli.views.agreement import show_reproduction

    with output.progress() as report:
        found = run(
            study,
            suites=bundled_suites(),
            request=BenchRequest(dataset="", results=results),
            environment=replace(where.environment(), device="cpu"),
            report=report,
        )
    for outcome in found.outcomes:
        if (reused := outcome.reused(results)) is not None:
            console.note(f"{outcome.dataset.name}: {reused}")
    if output.as_json:
        console.print_json(_document(found))
    elif found.comparisons:
        show_reproduction(found)
    if found.failures:
        raise DygeneptError(f"{len(found.failures)} job(s) failed: {'; '.join(found.failures)}")
    if found.missing:
        names = "; ".join(f"{item.dataset} belongs at {item.path}" for item in found.missing)
        wanted = " ".join(item.dataset for item in found.missing)
        raise DataUnavailableError(
            f"{len(found.missing)} data set(s) of {study} are not on disk, so their figures were "
            f"not compared: {names}; fetch them with `dygenept data fetch {wanted}`"
        )
    if found.matches is False:
        raise typer.Exit(1)


def _document(found: Reproduction) -> dict[str, object]:
    return {
        "study": found.study,
        "matches": found.matches,
        "comparisons": [item.document() for item in found.comparisons],
        "missing": [
            {
                "dataset": item.dataset,
                "suite": item.suite,
                "path": None if item.path is None else str(item.path),
                "detail": item.detail,
            }
            for item in found.missing
        ],
        "failures": list(found.failures),
    }
