"""``dygenept show``: one model on one held-out perturbation, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.errors import ConfigError
from dygenept.machine.plain_text import fixed, printable
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.options import ResultsFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.reports.per_perturbation import ShownPerturbation
    from dygenept.results.records import RunRecord


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


def show_scores(first: RunRecord, shown: ShownPerturbation, *, metrics: Sequence[str] = ()) -> None:
    """Print scores beside those of others, and the changes of the top-20 DE genes.

    Args:
        first: A record of the board.
        shown: What is known.
        metrics: Metrics to show; empty shows all.
    """
    from rich.table import Table
    from rich.text import Text

    from dygenept.leaderboard.boards import SIMULATED
    from dygenept.leaderboard.columns import number
    from dygenept.types import in_cell_type

    label = f"{SIMULATED} · " if first.dataset.simulated else ""
    effect = "" if shown.effect is None else f", effect size {number(shown.effect)}"
    title = (
        f"{label}{shown.model} on {shown.perturbation}{in_cell_type(shown.cell_type)} "
        f"({first.dataset.name}, fold {shown.fold}{effect})"
    )
    screen = console.stdout()
    table = Table(title=Text(printable(title)), title_justify="left")
    table.add_column("metric", overflow="fold")
    more = () if console.is_narrow(screen) else ("ceiling", "model's mean")
    for name in ("value", "rank", "reference", *more):
        table.add_column(name, justify="right", no_wrap=bool(more) or name != "rank")
    for item in shown.scores:
        if metrics and item.metric not in metrics:
            continue
        rank = "–" if item.rank is None else f"{item.rank} of {item.n_models}"
        beside = (item.reference, *((item.ceiling, item.mean) if more else ()))
        values = map(number, beside)
        name = f"{printable(item.metric)} {'↑' if item.higher_is_better else '↓'}"
        table.add_row(Text(name), number(item.value), rank, *values)
    screen.print(table)
    for reason in dict.fromkeys(item.reason for item in shown.scores if item.reason):
        console.note(f"undefined: {reason}")
    if shown.missing:
        console.note(f"no predicted changes: {shown.missing}")
        return
    genes = Table(title="Top-20 DE genes: change of mean log1p expression", title_justify="left")
    genes.add_column("gene")
    heads = ("measured", "predicted", *(("error",) if more else ()))
    for name in heads:
        genes.add_column(name, justify="right")
    for gene in shown.genes:
        error = gene.predicted - gene.measured
        numbers = (fixed(of, 3, signed=True) for of in (gene.measured, gene.predicted, error))
        genes.add_row(Text(printable(gene.gene)), *list(numbers)[: len(heads)])
    screen.print(genes)
