"""``dygenept site``: results as a static site that a lab can publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

app = command_group("Publish results as a static site.")


@app.command()
@with_flags
def build(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Results folder.", show_default=True)
    ] = Path("results"),
    output: Path = flag("Folder of the site.", default=Path("site"), metavar="DIR"),
    title: str = flag("Title of the site.", default="Gene perturbation leaderboards"),
    address: str = flag("Where it will be, for the feed's links.", default="", metavar="URL"),
    quiet: options.QuietOption = False,
) -> None:
    """Write every board, model and data set as pages, with downloads and a feed of new records.

    The folder can be published as it is, as by GitHub Pages (see docs/pages.md).
    """
    from dygenept.machine.places import check_can_write
    from dygenept.reports.site import SiteFrame, build_site, site_boards
    from dygenept.results.store import ResultsStore
    from dygenept_cli.views.boards import chosen_boards, citations_of, laid_out

    check_can_write(output)
    if output.resolve() == results.resolve():
        raise ConfigError(f"{output} is the results folder; give the site a folder of its own")
    with chosen_boards(results, dataset=None, metrics=()) as boards:
        pairs = list(zip(laid_out(boards), boards, strict=True))
        made = build_site(
            site_boards(pairs),
            output,
            results=ResultsStore(results),
            frame=SiteFrame(title=title, address=address, cite=citations_of),
        )
    if not quiet:
        console.note(f"{len(pairs)} board(s), {len(made)} files; open {output / 'index.html'}")
