"""``dygenept plugins``: what is installed, what it takes, whether it keeps the rules, a new one."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.plugin.manager import PluginManager
    from dygenept.plugin.specs import PluginSpec

logger = logging.getLogger("dygenept.cli")

app = typer.Typer(no_args_is_help=True, help="List, show, check and start plugins.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="name, or kind/name.")]


@app.command("list")
def list_plugins(
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="K", help="Show only this kind.")
    ] = None,
    as_json: options.JsonOption = False,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
) -> None:
    """List every plugin: built in, installed, and from files."""
    from dygenept_cli import context
    from dygenept_cli.plugin_details import plugin_rows

    manager = context.load_environment(registry, plugin).manager
    rows = plugin_rows(manager, kind=kind)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "plugins": [row.summary() for row in rows],
                "failures": dict(manager.failures),
            }
        )
        return
    from rich.markup import escape
    from rich.table import Column, Table

    from dygenept.plugin.loading import FILE_DISTRIBUTION, UNKNOWN

    table = Table("kind", Column("name", overflow="fold"), "summary", "from")
    for row in rows:
        origin = f"{row.origin.distribution} {row.origin.version}"
        if row.origin.distribution == FILE_DISTRIBUTION:
            origin = f"file {Path(row.origin.owner).name}"
        elif row.origin.distribution == UNKNOWN:
            origin = f"module {row.origin.owner}"
        cells = (row.spec.kind, row.spec.name, row.spec.summary, origin)
        table.add_row(*(escape(cell) for cell in cells))
    context.stdout().print(table)


@app.command("show")
def show_plugin(
    name: NameArgument,
    as_json: options.JsonOption = False,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
) -> None:
    """Show one plugin: its source, where it is from, and every option with its default."""
    from dygenept_cli import context
    from dygenept_cli.plugin_details import find_plugin, option_rows

    row = find_plugin(context.load_environment(registry, plugin).manager, name)
    rows = option_rows(row.spec.config)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                **row.summary(),
                "options": [option.document() for option in rows],
            }
        )
        return
    from rich.markup import escape
    from rich.table import Column, Table

    console = context.stdout()
    facts = Table.grid(padding=(0, 2))
    for key, value in row.summary().items():
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        facts.add_row(key, escape(shown or "-"))
    console.print(facts)
    if not rows:
        console.print("It has no options.")
        return
    names = (Column(name, overflow="fold") for name in ("option", "type", "default", "allowed"))
    table = Table(*names, "what it is")
    for option in rows:
        default = "must be given" if option.is_required else repr(option.default)
        description = option.description.replace("``", "")
        cells = (option.name, option.type, default, option.allowed, description)
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)


@app.command("check")
def check_plugins(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="name, or kind/name; none checks all.")
    ] = None,
    as_json: options.JsonOption = False,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
) -> None:
    """Run the conformance check of each plugin's kind; exit with code 2 if one breaks a rule.

    With --plugin and no NAME, only the plugins of the given files are checked.
    """
    from dygenept_cli import context

    manager = context.load_environment(registry, plugin).manager
    # Verdicts are shown as they come, since a neural plugin may take seconds.
    verdicts = [
        Verdict(owner, "failed", reason)
        for owner, reason in manager.failures.items()
        if name is None and (not plugin or owner in {str(path) for path in plugin})
    ]
    for verdict in verdicts:
        _tell(verdict, as_json)
    for spec in _chosen(manager, name, only_files=bool(plugin)):
        verdict = _verdict(spec)
        _tell(verdict, as_json)
        verdicts.append(verdict)
    if as_json:
        checks = [
            {"plugin": verdict.plugin, "verdict": verdict.word, "reason": verdict.reason}
            for verdict in verdicts
        ]
        context.print_json({"schema_version": 1, "checks": checks})
    if any(verdict.word == "failed" for verdict in verdicts):
        raise typer.Exit(2)


@app.command("new")
def new_plugin(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Such as attention or metrics.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower snake case.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="[default: NAME.py]")
    ] = None,
) -> None:
    """Write a single-file plugin that passes its check, to start from."""
    from importlib import resources

    from dygenept.errors import ConfigError, PluginError, nearest
    from dygenept.plugin.specs import KINDS
    from dygenept_cli import context

    if kind not in KINDS:
        raise PluginError(f"unknown kind {kind!r}; {nearest(kind, KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise PluginError(f"plugin name {name!r} is not lower snake case, such as my_{kind}")
    manager = context.load_environment().manager
    if name in manager.names(kind):
        raise PluginError(f"a plugin {kind}/{name} is there already; choose another name")
    path = output or Path(f"{name}.py")
    if path.exists():
        raise ConfigError(f"{path} exists; give another file with --output")
    class_name = "".join(part.capitalize() for part in name.split("_"))
    template = resources.files("dygenept_cli").joinpath("templates", f"{kind}.py.txt")
    text = (
        template.read_text(encoding="utf-8").replace("@NAME@", name).replace("@CLASS@", class_name)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
    context.note(f"{path} written; next: dygenept plugins check --plugin {path}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: ``ok``, ``failed`` or ``skipped``, and why."""

    plugin: str
    word: str
    reason: str = ""


def _chosen(manager: PluginManager, name: str | None, *, only_files: bool) -> list[PluginSpec]:
    from dygenept.plugin.loading import FILE_DISTRIBUTION
    from dygenept_cli.plugin_details import find_plugin, plugin_rows

    if name is not None:
        return [find_plugin(manager, name).spec]
    return [
        row.spec
        for row in plugin_rows(manager)
        if not only_files or row.origin.distribution == FILE_DISTRIBUTION
    ]


def _verdict(spec: PluginSpec) -> Verdict:
    from dygenept.errors import DygeneptError
    from dygenept.testing import NotCheckedError, check_plugin

    full_name = f"{spec.kind}/{spec.name}"
    try:
        # What a plugin prints is not a verdict.
        with redirect_stdout(sys.stderr):
            check_plugin(spec)
    except NotCheckedError as error:
        return Verdict(full_name, "skipped", str(error).removeprefix(f"{full_name}: "))
    except DygeneptError as error:
        logger.debug("%s", full_name, exc_info=error)
        return Verdict(full_name, "failed", str(error).removeprefix(f"{full_name}: "))
    return Verdict(full_name, "ok")


def _tell(verdict: Verdict, as_json: bool) -> None:
    if not as_json:
        reason = " ".join(verdict.reason.split())
        typer.echo(f"{verdict.word:<8}{verdict.plugin}{': ' if reason else ''}{reason}")
