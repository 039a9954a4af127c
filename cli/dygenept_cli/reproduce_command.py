"""``dygenept reproduce``: published figures of simple baselines, on the published data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.runs.reproduce import Reproduction


def reproduce(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A published study: langpert.")],
    results: options.ResultsOption = Path("results"),
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Say whether our mean baseline gives a paper's figures, within their error.

    Exit code 0: all match; 1: some do not; 2: a data set is not on disk.
    """
    from dygenept.errors import DataUnavailableError, DygeneptError
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.reproduce import reproduce as run
    from dygenept.runs.runner import BenchRequest
    from dygenept_cli import context
    from dygenept_cli.bundled_suites import bundled_suites

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device="cpu")
    with shown_progress(quiet=quiet) as report:
        found = run(
            study,
            suites=bundled_suites(),
            request=BenchRequest(dataset="", results=results),
            environment=environment,
            report=report,
        )
    if as_json:
        context.print_json(_document(found))
    elif found.comparisons:
        _print(found)
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
        "schema_version": 1,
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


def _print(found: Reproduction) -> None:
    from rich.table import Table

    from dygenept.leaderboard.published import figure
    from dygenept_cli import context

    table = Table(title=f"{found.study}: published figures and ours", title_justify="left")
    for column in ("data set", "metric", "published", "ours", "difference", "allowed", "verdict"):
        table.add_column(column, justify="left" if column in ("data set", "metric") else "right")
    for item in found.comparisons:
        table.add_row(
            item.quoted.dataset,
            item.quoted.metric,
            figure(item.quoted),
            "–" if item.ours is None else f"{item.ours:.4f}",
            "–" if item.difference is None else f"{item.difference:+.4f}",
            f"{item.allowed:.4f}",
            "matches" if item.matches else "does not match",
        )
    context.stdout().print(table)
    context.note("allowed: the published error and half of its last digit; ours: mean over folds")
