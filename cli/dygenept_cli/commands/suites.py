"""``dygenept suites``: the declared benchmarks and the figures that they quote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    from dygenept.runs.suites import Suite

app = command_group("Show the declared benchmarks.")


@app.command("list")
def list_(as_json: options.JsonOption = False) -> None:
    """List the declared benchmarks."""
    from dygenept_cli.bundled import bundled_suites
    from dygenept_cli.views.listing import listing, show_table

    suites = bundled_suites()
    if as_json:
        console.print_json({"suites": [_row(suite) for suite in suites]})
        return
    title = "suites: dygenept bench --suite NAME"
    table = listing(title, ("name", "what", "runs"), whole=("name",))
    for suite in suites:
        folds = f"{suite.n_folds} fold{'s' if suite.n_folds > 1 else ''}"
        runs = f"{suite.split}, {folds}, seed {suite.seed}; version {suite.version}"
        table.add_row(suite.name, suite.summary, f"{', '.join(suite.datasets)}: {runs}")
    show_table(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A suite, or a YAML file.")],
    as_json: options.JsonOption = False,
) -> None:
    """Show all of one benchmark, with the figures that it quotes from papers."""
    from dygenept.runs.suites import published_rows
    from dygenept_cli.bundled import bundled_suite, bundled_suites
    from dygenept_cli.views.listing import show_facts
    from dygenept_cli.views.published import published_table

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
        console.print_json({**_row(suite), "references": references})
        return
    show_facts(_row(suite).items())
    screen = console.stdout()
    for dataset, rows in quoted.items():
        screen.print(f"\n{dataset}", highlight=False)
        screen.print(published_table(rows))


def _row(suite: Suite) -> dict[str, object]:
    return suite.model_dump(mode="json", exclude={"published", "published_in"})
