"""``dygenept leaderboard``: tables from any folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import options
from dygenept_cli.boards import FORMATS


def leaderboard(
    results: options.ResultsOption = Path("results"),
    dataset: options.DatasetFilterOption = None,
    metric: options.MetricFilterOption = None,
    all_metrics: options.AllMetricsOption = False,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="subgroup|effect|cell_type",
            help="Show parts of the held-out perturbations: what training has seen of their "
            "genes, terciles of effect size, or cell type.",
        ),
    ] = None,
    across_seeds: Annotated[
        bool,
        typer.Option(
            "--across-seeds",
            help="Show mean and spread over results that differ only in their seed.",
        ),
    ] = False,
    format_: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.", show_default=True)
    ] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="F", help="Write to a file.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show the leaderboards of a results folder; simulated and real data stay apart.

    Each value is pooled over all held-out perturbations. Marks: * best, ≈ a paired bootstrap over
    the same perturbations cannot tell it from the best, ! does not beat perturbed_mean
    (Holm-corrected over models). "norm." is 0 for perturbed_mean and 1 for technical_duplicate.
    """
    from dygenept.errors import ConfigError, nearest
    from dygenept.results.store import write_atomically
    from dygenept_cli import context
    from dygenept_cli.boards import chosen_boards, render_boards, render_seeds

    name = "json" if as_json else format_
    chosen = next((known for known in FORMATS if known == name), None)
    if chosen is None:
        raise ConfigError(f"unknown format {name!r}; {nearest(name, FORMATS)}")
    if across_seeds and by is not None:
        raise ConfigError("--across-seeds and --by cannot be combined; leave one out")
    metrics = tuple(metric or ())
    boards = chosen_boards(results, dataset=dataset, metrics=metrics)
    if across_seeds:
        text = render_seeds(boards, metrics=metrics, chosen=chosen, all_metrics=all_metrics)
    else:
        text = render_boards(boards, metrics=metrics, chosen=chosen, by=by, all_metrics=all_metrics)
    if output is not None:
        write_atomically(output, text.encode())
        context.note(f"{len(boards)} leaderboard(s) written to {output}")
    else:
        import sys

        sys.stdout.write(text)
