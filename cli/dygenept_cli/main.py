"""The entry point: commands, and errors as one line on stderr."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dygenept_cli import (
    bench_command,
    data_commands,
    env_commands,
    evaluate_command,
    knowledge_commands,
    leaderboard_command,
    plugins_commands,
    precompute_command,
    predict_command,
    train_command,
)

app = typer.Typer(
    name="dygenept",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help=(
        "Benchmark models that predict what a gene perturbation does to a cell's expression. "
        "Start with `dygenept bench --suite quick` (no download), or "
        "`dygenept bench --dataset k562`."
    ),
    epilog="Add --debug to any command for a traceback in place of the one-line error.",
)
app.command("bench")(bench_command.bench)
app.command("leaderboard")(leaderboard_command.leaderboard)
app.command("precompute")(precompute_command.precompute)
app.command("train")(train_command.train)
app.command("evaluate")(evaluate_command.evaluate)
app.command("predict")(predict_command.predict)
app.add_typer(data_commands.app, name="data")
app.add_typer(knowledge_commands.app, name="knowledge")
app.add_typer(plugins_commands.app, name="plugins")
app.add_typer(env_commands.app, name="env")


def _show_version(wanted: bool) -> None:
    if wanted:
        from dygenept import __version__

        typer.echo(f"dygenept {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Set up what all commands share."""
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")


def run() -> None:
    """Run the command line; an error that a user can mend is one line and exit code 2."""
    from dygenept.errors import DygeneptError

    # The flag is taken out here so that it may stand behind any command.
    is_debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except DygeneptError as error:
        if is_debug:
            raise
        sys.stderr.write(f"dygenept: error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("dygenept: interrupted; run the same command again to resume\n")
        sys.exit(130)
