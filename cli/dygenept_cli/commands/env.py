"""``dygenept env``: the environments of isolated baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.errors import ConfigError, DygeneptError, nearest
from dygenept.machine.folders import default_cache_dir
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import PluginFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.isolated.building import BuiltEnvironment
    from dygenept.plugin.isolated.environment import EnvironmentSpec

app = command_group("List, build and remove the environments of isolated baselines.")
MEGABYTE = 1_000_000
BROKEN = "broken: its Python or its manifest is missing; build it again, or remove it"


@dataclass(frozen=True, slots=True)
class _Row:
    """One environment: of a plugin, or one that no plugin uses any more."""

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
@with_flags
def list_(plugins: PluginFlags, as_json: options.JsonOption = False) -> None:
    """List environments, built or not, and which plugin each belongs to."""
    from dygenept.plugin.isolated.environment import environments_folder
    from dygenept_cli.views.listing import listing, show_table

    rows = [row.document() for row in _rows(plugins.environment())]
    if as_json:
        console.print_json({"environments": rows})
        return
    columns = ("plugin", "environment", "built", "python", "size")
    folder = environments_folder(default_cache_dir())
    table = listing(f"environments in {folder}", columns, right=("size",))
    for row in rows:
        size = row["size_bytes"]
        table.add_row(
            str(row["plugin"] or "(no plugin)"),
            str(row["environment"] or row["problem"]),
            "yes" if row["is_built"] else "broken" if row["problem"] == BROKEN else "no",
            str(row["python"] or "–"),
            f"{size / MEGABYTE:,.0f} MB" if isinstance(size, int) else "–",
        )
    show_table(table)


@app.command()
@with_flags
def build(
    names: Annotated[list[str], typer.Argument(metavar="PLUGIN…", help="Isolated baselines.")],
    plugins: PluginFlags,
    output: options.OutputFlags,
) -> None:
    """Build environments that do not exist yet; this needs pip's package index."""
    from dygenept.plugin.isolated.building import build_environment

    environment = plugins.environment()
    specs = [(name, _spec(name, environment)) for name in dict.fromkeys(names)]
    documents = []
    for name, spec in specs:
        with output.progress() as report:
            built = build_environment(spec, default_cache_dir(), report, name=name)
        documents.append(_Row(name, built.digest, built, None).document())
        console.note(f"environment of {name}: {built.path}")
    if output.as_json:
        console.print_json({"environments": documents})


@app.command()
@with_flags
def remove(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="PLUGIN|ENVIRONMENT…", help="Plugins, or names of environments."),
    ] = None,
    every: bool = flag("Remove every environment.", "--all", default=False),
    plugins: PluginFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Delete environments; the next run builds them again."""
    from dygenept.plugin.isolated.building import clear_leftovers, remove_environment

    rows = [row for row in _rows(plugins.environment()) if row.built or row.problem == BROKEN]
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
        console.print_json({"removed": removed})
    else:
        console.note(f"removed {len(removed)} environment(s): {', '.join(removed) or 'none'}")


def _rows(environment: Environment) -> list[_Row]:
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
    known = _isolated(environment)
    if name not in known:
        raise ConfigError(f"{name!r} is not an isolated baseline; {nearest(name, known)}")
    return known[name]
