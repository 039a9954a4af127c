"""``dygenept plugins``: list and show plugins, check that they keep the rules, start a new one."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.errors import ConfigError, DygeneptError, PluginError, nearest
from dygenept.machine.plain_text import printable
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import PluginFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    from dygenept.plugin.manager import PluginManager
    from dygenept.plugin.specs import PluginSpec

logger = logging.getLogger("dygenept.cli")

app = command_group("List, show, check and start plugins.")

# A baseline that wraps a published package: a plugin, a script for its environment, and a test.
ISOLATED = "isolated_baselines"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name, or kind/name.")]


@app.command("list")
@with_flags
def list_plugins(
    *,
    kind: str | None = flag("Show only this kind.", metavar="K"),
    plugins: PluginFlags,
    as_json: options.JsonOption = False,
) -> None:
    """List every plugin: built in, installed, and from files."""
    from dygenept_cli.views.listing import listing, show_table
    from dygenept_cli.views.plugin_details import plugin_rows

    manager = plugins.environment().manager
    rows = plugin_rows(manager, kind=kind)
    if as_json:
        console.print_json(
            {
                "plugins": [row.summary() for row in rows],
                "failures": dict(manager.failures),
            }
        )
        return
    table = listing(None, ("kind", "name", "summary", "from"))
    for row in rows:
        table.add_row(row.spec.kind, row.spec.name, row.spec.summary, row.found_in)
    show_table(table)


@app.command("show")
@with_flags
def show_plugin(
    name: NameArgument,
    plugins: PluginFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Show one plugin: its source, where it is from, and every option with its default."""
    from dygenept_cli.views.listing import listing, show_facts, show_table
    from dygenept_cli.views.plugin_details import find_plugin, option_rows

    row = find_plugin(plugins.environment().manager, name)
    rows = option_rows(row.spec.config)
    if as_json:
        console.print_json(
            {**row.summary(), "options": [asdict(option) for option in rows]},
        )
        return
    show_facts((key, value or "-") for key, value in row.summary().items())
    if not rows:
        console.stdout().print("It has no options.")
        return
    table = listing(None, ("option", "type", "default", "allowed", "what it is"))
    for option in rows:
        default = "must be given" if option.required else repr(option.default)
        description = option.description.replace("``", "")
        table.add_row(option.name, option.type, default, option.allowed, description)
    show_table(table)


@app.command("check")
@with_flags
def check_plugins(
    *,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name, or kind/name [default: all]."),
    ] = None,
    plugins: PluginFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Run the conformance check of each plugin's kind; exit with code 2 if one breaks a rule.

    With --plugin and no NAME, only the plugins of the given files are checked.
    """
    manager = plugins.environment().manager
    # Verdicts are shown as they come, since a neural plugin may take seconds.
    verdicts = [
        Verdict(owner, "failed", reason)
        for owner, reason in manager.failures.items()
        if name is None and (not plugins.plugin or owner in {str(path) for path in plugins.plugin})
    ]
    for verdict in verdicts:
        _report(verdict, as_json)
    for spec in _chosen(manager, name, only_files=bool(plugins.plugin)):
        verdict = _verdict(spec)
        _report(verdict, as_json)
        verdicts.append(verdict)
    if as_json:
        checks = [
            {"plugin": verdict.plugin, "verdict": verdict.word, "reason": verdict.reason}
            for verdict in verdicts
        ]
        console.print_json({"checks": checks})
    if any(verdict.word == "failed" for verdict in verdicts):
        raise typer.Exit(2)
    if plugins.plugin and not as_json and (passed := [v for v in verdicts if v.word == "ok"]):
        console.note(f"next: {_next_command(passed[0].plugin, plugins.plugin[0])}")


@app.command("new")
@with_flags
def new_plugin(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="Kind, such as attention; isolated_baselines wraps a published package.",
        ),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name in lower snake case.")],
    output: Path | None = flag(
        "File, or with --package folder [default: NAME.py, or dygenept-NAME].", metavar="FILE|DIR"
    ),
    package: bool = flag("Write a distribution, with a test and CI, to share it.", default=False),
) -> None:
    """Write a single-file plugin that passes its check, to start from; or a distribution of it."""
    from dygenept.machine.places import is_streamed
    from dygenept.machine.whole_files import write_whole
    from dygenept.plugin.specs import KINDS
    from dygenept_cli.bundled import plugin_file

    known = (*KINDS, ISOLATED)
    if kind not in known:
        raise PluginError(f"unknown kind {kind!r}; {nearest(kind, known)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise PluginError(f"plugin name {name!r} is not lower snake case, such as my_{kind}")
    manager = PluginFlags().environment().manager
    hook = "baselines" if kind == ISOLATED else kind
    if name in manager.names(hook):
        raise PluginError(f"plugin {hook}/{name} already exists; choose another name")
    if package:
        if kind == ISOLATED:
            raise ConfigError(f"--package has no template of {ISOLATED}; leave it out")
        _write_package(kind, name, output or Path(f"dygenept-{name.replace('_', '-')}"))
        return
    path = output or Path(f"{name}.py")
    files = {path: plugin_file(kind, name)}
    if kind == ISOLATED and not is_streamed(path):
        beside = {f"_{name}_child.py": "child", f"test_{name}.py": "test"}
        for file_name, part in beside.items():
            files[path.with_name(file_name)] = plugin_file(
                f"{ISOLATED}_{part}", name, file_name=path.name
            )
    for file in files:
        if file.exists() and not is_streamed(file):
            raise ConfigError(f"{file} exists; give another file with --output")
    console.check_output(path)
    for file, text in files.items():
        write_whole(file, text.encode())
    console.note(
        f"{' and '.join(map(str, files))} written; next: dygenept plugins check --plugin {path}"
    )


def _write_package(kind: str, name: str, folder: Path) -> None:
    from dygenept.machine.whole_files import write_whole
    from dygenept_cli.bundled import plugin_package

    if folder.exists():
        raise ConfigError(f"{folder} exists; give another folder with --output")
    for place, text in plugin_package(kind, name).items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    console.note(f"{folder} written; next: pip install -e '{folder}[dev]' && pytest {folder}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: ``ok``, ``failed`` or ``skipped``, and why."""

    plugin: str
    word: str
    reason: str = ""


# How a plugin of a kind is used, after ``dygenept``; a bench of models with parts names one.
USES = {
    "datasets": "bench --dataset {name}",
    "splits": "bench --suite quick --split {name}",
    "gene_encoders": "bench --suite quick --model dygenept_small --gene-encoder {name}",
    "text_encoders": "precompute --genes FILE --writer go --encoder {name} --output DIR",
    "facet_writers": "precompute --genes FILE --writer {name} --encoder tfidf --output DIR",
    "kg_sources": "precompute --genes FILE --writer go --encoder tfidf --kg {name} --output DIR",
    "cell_encoders": "bench --suite quick --model dygenept_small --cell-encoder {name}",
    "attention": "bench --suite quick --model dygenept_small --attention {name}",
    "decoders": "bench --suite quick --model dygenept_small --decoder {name}",
    "baselines": "bench --suite quick --model {name} --model perturbed_mean",
    "effect_metrics": "bench --dataset TABLE --metric {name}",
    "metrics": "bench --suite quick --metric {name}",
}


def _next_command(plugin: str, file: Path) -> str:
    """Say which command uses a plugin that passed."""
    kind, _, name = plugin.partition("/")
    return f"dygenept {USES[kind].format(name=name)} --plugin {file}"


def _chosen(manager: PluginManager, name: str | None, *, only_files: bool) -> list[PluginSpec]:
    from dygenept.plugin.loading import FILE_DISTRIBUTION
    from dygenept_cli.views.plugin_details import find_plugin, plugin_rows

    if name is not None:
        return [find_plugin(manager, name).spec]
    return [
        row.spec
        for row in plugin_rows(manager)
        if not only_files or row.origin.distribution == FILE_DISTRIBUTION
    ]


def _verdict(spec: PluginSpec) -> Verdict:
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


def _report(verdict: Verdict, as_json: bool) -> None:
    if not as_json:
        reason = " ".join(verdict.reason.split())
        text = f"{verdict.word:<8}{verdict.plugin}{': ' if reason else ''}{reason}"
        typer.echo(printable(text))
