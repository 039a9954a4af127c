"""``dygenept show``: one model on one held-out perturbation."""

from __future__ import annotations

from typing import Annotated

import typer

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.options import ResultsFlags
from dygenept_cli.flags.records import flag


def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As the leaderboard names it.")],
    perturbation: Annotated[
        str, typer.Argument(metavar="PERTURBATION", help="Such as KLF1 or KLF1+MAPK1.")
    ],
    wanted: ResultsFlags,
    cell_type: str | None = flag("Cell type [default: all of them]."),
    as_json: options.JsonOption = False,
) -> None:
    """Show a model's scores on one held-out perturbation, and what it predicts for its DE genes."""
    from dygenept.reports.per_perturbation import show_perturbation
    from dygenept.results.store import ResultsStore
    from dygenept_cli.views.boards import chosen_boards
    from dygenept_cli.views.perturbation import show_scores

    found, refused = [], None
    store = ResultsStore(wanted.results)
    with chosen_boards(wanted.results, dataset=wanted.dataset, metrics=wanted.metrics) as boards:
        for records in boards:
            try:
                shown = show_perturbation(
                    tuple(records), model, perturbation, store=store, cell_type=cell_type
                )
            except ConfigError as error:
                # Another board may have it.
                refused = refused or error
                continue
            found.append((records[0], shown))
    if not found and refused is not None:
        raise refused
    if as_json:
        console.print_json(
            {
                "perturbations": [
                    {"dataset": first.dataset.name, "suite": first.suite, **item.document()}
                    for first, shown in found
                    for item in shown
                ]
            }
        )
        return
    for first, shown in found:
        for item in shown:
            show_scores(first, item, metrics=wanted.metrics)
