"""``dygenept suites``: the declared benchmarks and the figures that they quote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.runs.suites import Suite

app = typer.Typer(help="Show the declared benchmarks.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(as_json: options.JsonOption = False) -> None:
    """List the declared benchmarks."""
    from rich.table import Table

    from dygenept_cli import context
    from dygenept_cli.bundled_suites import bundled_suites

    suites = bundled_suites()
    if as_json:
        context.print_json({"schema_version": 1, "suites": [_row(suite) for suite in suites]})
        return
    table = Table(title="suites: dygenept bench --suite NAME", title_justify="left")
    for column in ("name", "version", "data sets", "split", "folds", "seed", "what"):
        # Names are to be typed again, so none is cut.
        table.add_column(column, overflow="fold", no_wrap=column in ("name", "version"))
    for suite in suites:
        table.add_row(
            suite.name,
            str(suite.version),
            ", ".join(suite.datasets),
            suite.split,
            str(suite.n_folds),
            str(suite.seed),
            suite.summary,
        )
    context.stdout().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A suite, or a YAML file.")],
    as_json: options.JsonOption = False,
) -> None:
    """Show one benchmark whole, with the figures that it quotes from papers."""
    from dygenept.runs.suites import published_rows
    from dygenept_cli import context
    from dygenept_cli.bundled_suites import bundled_suite, bundled_suites
    from dygenept_cli.published import published_table

    suite = bundled_suite(name)
    datasets = dict.fromkeys(item.dataset for item in suite.published)
    for other in suite.published_in:
        datasets |= dict.fromkeys(item.dataset for item in bundled_suite(other).published)
    known = (*bundled_suites(), suite)
    quoted = {
        dataset: published_rows(known, suite=suite.identity, dataset=dataset, is_simulated=False)
        for dataset in datasets
    }
    if as_json:
        references = [row.document() for rows in quoted.values() for row in rows]
        context.print_json({"schema_version": 1, **_row(suite), "references": references})
        return
    console = context.stdout()
    for key, value in _row(suite).items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        if shown not in (None, "", {}):
            console.print(f"{key.replace('_', ' '):>14}  {shown}", highlight=False, markup=False)
    for dataset, rows in quoted.items():
        console.print(f"\n{dataset}", highlight=False)
        console.print(published_table(rows))


def _row(suite: Suite) -> dict[str, object]:
    document: dict[str, object] = suite.model_dump(
        mode="json", exclude={"published", "published_in"}
    )
    return document
