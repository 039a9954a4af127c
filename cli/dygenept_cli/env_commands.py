"""``dygenept env``: the environments of isolated baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.machine.folders import default_cache_dir
from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.isolated.building import BuiltEnvironment
    from dygenept.plugin.isolated.environment import EnvironmentSpec

app = typer.Typer(
    help="List, build and remove the environments of isolated baselines.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
MEGABYTE = 1_000_000
BROKEN = "broken: its Python or its manifest is gone; build it again, or remove it"


@dataclass(frozen=True, slots=True)
class _Row:
    """One environment: of a plugin, or one that no plugin asks for any more."""

    plugin: str | None
    digest: str | None
    built: BuiltEnvironment | None
    problem: str | None

    def document(self) -> dict[str, object]:
        from dygenept.plugin.isolated.building import size_of

        built = self.built
        return {
            "plugin": self.plugin,
            "environment": self.digest,
            "is_built": built is not None,
            "python": None if built is None else built.manifest.python,
            "size_bytes": None if built is None else size_of(built.path),
            "path": None if built is None else str(built.path),
            "requirements": None if built is None else list(built.manifest.requirements),
            "no_deps": None if built is None else list(built.manifest.no_deps),
            "packages": None if built is None else list(built.manifest.packages),
            "problem": self.problem,
        }


@app.command("list")
def list_(
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """List environments, built or not, and which plugin each belongs to."""
    from rich.table import Table

    from dygenept_cli import context

    rows = [row.document() for row in _rows(context.load_environment(registry, plugin))]
    if as_json:
        context.print_json({"schema_version": 1, "environments": rows})
        return
    table = Table(title=f"environments in {_folder()}", title_justify="left")
    for column in ("plugin", "environment", "built", "python", "size"):
        table.add_column(column, justify="right" if column == "size" else "left")
    for row in rows:
        size = row["size_bytes"]
        table.add_row(
            str(row["plugin"] or "(no plugin)"),
            str(row["environment"] or row["problem"]),
            "yes" if row["is_built"] else "broken" if row["problem"] == BROKEN else "no",
            str(row["python"] or "–"),
            f"{size / MEGABYTE:,.0f} MB" if isinstance(size, int) else "–",
        )
    context.stdout().print(table)


@app.command()
def build(
    names: Annotated[list[str], typer.Argument(metavar="PLUGIN…", help="Isolated baselines.")],
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Build environments that are not there yet; pip needs its package index for it."""
    from dygenept.machine.progress import shown_progress
    from dygenept.plugin.isolated.building import build_environment
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin)
    specs = [(name, _spec(name, environment)) for name in dict.fromkeys(names)]
    documents = []
    for name, spec in specs:
        with shown_progress(quiet=quiet) as report:
            built = build_environment(spec, default_cache_dir(), report, name=name)
        documents.append(_Row(name, built.digest, built, None).document())
        context.note(f"environment of {name}: {built.path}")
    if as_json:
        context.print_json({"schema_version": 1, "environments": documents})


@app.command()
def remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="PLUGIN|ENVIRONMENT…", help="Plugins, or names of environments."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Remove every environment.")] = False,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Delete environments; the next run builds them again."""
    from dygenept.errors import ConfigError, nearest
    from dygenept.plugin.isolated.building import clear_leftovers, remove_environment
    from dygenept_cli import context

    rows = [
        row
        for row in _rows(context.load_environment(registry, plugin))
        if row.built or row.problem == BROKEN
    ]
    by_name = {name: row.digest for row in rows for name in (row.plugin, row.digest) if name}
    if not names and not every:
        raise ConfigError("name the environments to remove, or give --all")
    for name in names or ():
        if name not in by_name:
            raise ConfigError(f"no environment {name!r} is built; {nearest(name, by_name)}")
    doomed = [row.digest for row in rows] if every else [by_name[name] for name in names or ()]
    removed = [
        digest
        for digest in dict.fromkeys(doomed)
        if digest and remove_environment(digest, default_cache_dir())
    ]
    if every:
        clear_leftovers(default_cache_dir())
    if as_json:
        context.print_json({"schema_version": 1, "removed": removed})
    else:
        context.note(f"removed {len(removed)} environment(s): {', '.join(removed) or 'none'}")


def _rows(environment: Environment) -> list[_Row]:
    from dygenept.errors import DygeneptError
    from dygenept.plugin.isolated.building import broken_environments, list_environments
    from dygenept.plugin.isolated.environment import environment_digest, find_interpreter

    built = {item.digest: item for item in list_environments(default_cache_dir())}
    broken = broken_environments(default_cache_dir())
    rows = []
    for name, spec in _isolated(environment).items():
        try:
            digest = environment_digest(spec, find_interpreter(spec))
        except DygeneptError as error:
            rows.append(_Row(name, None, None, str(error)))
            continue
        problem = BROKEN if digest in broken else None
        rows.append(_Row(name, digest, built.get(digest), problem))
    wanted = {row.digest for row in rows}
    rows += [_Row(None, name, None, BROKEN) for name in broken if name not in wanted]
    rows += [_Row(None, key, item, None) for key, item in built.items() if key not in wanted]
    return rows


def _isolated(environment: Environment) -> dict[str, EnvironmentSpec]:
    from dygenept.plugin.specs import BaselineSpec

    return {
        spec.name: spec.environment(environment.manager.configure(spec, spec.check_options))
        for spec in environment.manager.specs(BaselineSpec)
        if spec.environment is not None
    }


def _spec(name: str, environment: Environment) -> EnvironmentSpec:
    from dygenept.errors import ConfigError, nearest

    known = _isolated(environment)
    if name not in known:
        raise ConfigError(f"{name!r} is not an isolated baseline; {nearest(name, known)}")
    return known[name]


def _folder() -> str:
    from dygenept.plugin.isolated.environment import environments_folder

    return str(environments_folder(default_cache_dir()))
