"""The entry point: commands, and errors as one line on stderr."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from dygenept.errors import ConfigError, DygeneptError
from dygenept.machine.plain_text import printable
from dygenept_cli.commands import data, env, export, knowledge, metrics, plot, plugins, site, suites
from dygenept_cli.commands.bench import bench
from dygenept_cli.commands.compare import compare
from dygenept_cli.commands.doctor import doctor
from dygenept_cli.commands.embed import embed
from dygenept_cli.commands.evaluate import evaluate
from dygenept_cli.commands.explain import explain
from dygenept_cli.commands.leaderboard import leaderboard
from dygenept_cli.commands.precompute import precompute
from dygenept_cli.commands.predict import predict
from dygenept_cli.commands.rank import rank
from dygenept_cli.commands.rank_perturbations import rank_perturbations
from dygenept_cli.commands.reproduce import reproduce
from dygenept_cli.commands.rerun import rerun
from dygenept_cli.commands.score import score
from dygenept_cli.commands.show import show
from dygenept_cli.commands.train import train
from dygenept_cli.flags.records import with_flags
from dygenept_cli.help_screens import EXAMPLES, HELP_NAMES, GroupScreen, with_screens
from dygenept_cli.interruption import resumption

# Before numpy is loaded: idle threads of its matrix products, and of scipy's, sleep at once. They
# would turn in circles for some 20 ms and take the processor from threads with something to do.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

app = typer.Typer(
    name="dygenept",
    no_args_is_help=True,
    context_settings=HELP_NAMES,
    cls=GroupScreen,
    rich_markup_mode=None,
    help=(
        "Benchmark models that predict what a gene perturbation does to a cell's expression. "
        "Start with `dygenept bench --suite quick` (no download), or "
        "`dygenept bench --dataset k562`. Add --debug to any command for a traceback instead of "
        "the one-line error."
    ),
    epilog="\n".join(EXAMPLES[""]),
)
COMMANDS = (
    *(
        bench,
        leaderboard,
        show,
        precompute,
        compare,
        rank,
        train,
        evaluate,
        predict,
        rank_perturbations,
        explain,
        score,
    ),
    *(rerun, reproduce, embed, doctor),
)
GROUPS = {
    "data": data.app,
    "knowledge": knowledge.app,
    "plugins": plugins.app,
    "metrics": metrics.app,
    "plot": plot.app,
    "site": site.app,
    "suites": suites.app,
    "export": export.app,
    "env": env.app,
}
for command in COMMANDS:
    app.command(command.__name__.replace("_", "-"))(with_flags(command))
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
with_screens(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from dygenept import __version__

        typer.echo(f"dygenept {__version__}")
        raise typer.Exit


PARALLEL = ("train", "evaluate", "bench")


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Set up what all commands share."""
    import logging

    from dygenept.machine.processes import launched
    from dygenept.machine.terminal import log_handler

    world = launched()
    level = logging.WARNING if world.is_writer else logging.ERROR
    logging.basicConfig(level=level, handlers=[log_handler()])
    if world.size > 1 and context.invoked_subcommand not in PARALLEL:
        raise ConfigError(
            f"`dygenept {context.invoked_subcommand}` runs in one process; torchrun can start "
            f"{', '.join(PARALLEL)}"
        )


def run() -> None:
    """Run the command line; an error that a user can fix is one line and exit code 2."""
    from dygenept.machine.stopping import stoppable

    with stoppable(resumption(sys.argv)):
        _run()


def _run() -> None:
    import logging

    from dygenept.machine.http_clients import masked
    from dygenept.machine.processes import launched

    # The flag is taken out here so that it may stand behind any command.
    is_debug = "--debug" in sys.argv
    logging.getLogger("dygenept").setLevel(logging.DEBUG if is_debug else logging.NOTSET)
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        if launched().is_writer:
            app()
        else:
            # One of several processes prints results, the others compute with it.
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                app()
    except DygeneptError as error:
        if is_debug:
            raise
        text = printable(masked(" ".join(str(error).split())))
        sys.stderr.write(f"dygenept: error: {text}\n")
        sys.exit(2)
    except OSError as error:
        # What the system refuses, such as a full disk or a folder that cannot be written.
        if is_debug or error.errno is None:
            raise
        where = "" if error.filename is None else f"{printable(str(error.filename))}: "
        sys.stderr.write(
            f"dygenept: error: {where}{error.strerror}; fix that, or name another place\n"
        )
        sys.exit(2)


if __name__ == "__main__":
    run()
