"""``dygenept data``: what is on disk, fetching, verifying and simulating."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.data.catalog import DatasetEntry
    from dygenept.plugin.environment import Environment

app = typer.Typer(
    help="Show, fetch, verify and simulate data sets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME|FILE", help="Data set or .h5ad file.")]


@app.command("list")
def list_(
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """List the registered data sets and further files, and say which are on disk."""
    from rich.table import Table

    from dygenept.data.catalog import dataset_entries
    from dygenept_cli import asset_views, context

    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    directory = environment.data_dir
    rows = [
        _status(name, entry, environment) for name, entry in dataset_entries(environment).items()
    ]
    assets = [
        asset_views.status_row(name, entry, directory)
        for name, entry in asset_views.entries_of(environment).items()
    ]
    if as_json:
        document = {"schema_version": 1, "data_dir": str(directory)}
        context.print_json(document | {"datasets": rows, "assets": assets})
        return
    table = Table(title=f"data sets in {directory}", title_justify="left")
    for column in ("name", "aliases", "on disk", "what", "detail"):
        # Names and addresses will be typed again, so none is cut.
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for row in rows:
        table.add_row(
            str(row["name"]),
            ", ".join(row["aliases"]) if isinstance(row["aliases"], list) else "",
            "yes" if row["on_disk"] else "no",
            str(row["summary"]),
            str(row["detail"]),
        )
    context.stdout().print(table)
    asset_views.show_rows(assets, directory)


@app.command()
def info(
    name: NameArgument,
    data_dir: options.DataDirOption = None,
    normalize: options.NormalizeOption = False,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Describe a data set: where it is, and, where it is on disk, what is in it."""
    from dygenept.data.catalog import resolve_dataset
    from dygenept_cli import asset_views, context

    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    if (asset := asset_views.entries_of(environment).get(name)) is not None:
        asset_views.show_info(name, asset, environment.data_dir, as_json=as_json)
        return
    document: dict[str, object] = {"schema_version": 1}
    resolved = resolve_dataset(name, environment)
    is_readable = True
    if resolved.name is not None and resolved.entry is not None:
        status = _status(resolved.name, resolved.entry, environment)
        document |= {**status, "entry": resolved.entry.model_dump(mode="json")}
        is_readable = bool(status["on_disk"])
    if is_readable:
        document |= _content(name, environment, normalize=normalize)
    if as_json:
        context.print_json(document)
        return
    console = context.stdout()
    for key, value in document.items():
        if key not in ("schema_version", "entry") and value not in (None, [], ""):
            shown = "; ".join(map(str, value)) if isinstance(value, list) else value
            console.print(f"{key.replace('_', ' '):>16}  {shown}", highlight=False, markup=False)


@app.command()
def fetch(
    name: Annotated[
        list[str],
        typer.Argument(metavar="NAME…", help="Data sets or further files (see `data list`)."),
    ],
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Download (or simulate) data sets and further files, verify them and keep them on disk."""
    from dygenept.data.assets import fetch_asset
    from dygenept.data.catalog import fetch_dataset
    from dygenept.errors import DataError
    from dygenept.machine.progress import shown_progress
    from dygenept.types import Runtime
    from dygenept_cli import asset_views, context

    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    assets = asset_views.entries_of(environment)
    failures: list[str] = []
    for wanted in dict.fromkeys(name):
        try:
            with shown_progress(quiet=quiet) as report:
                runtime = Runtime(report=report)
                if wanted in assets:
                    path = fetch_asset(
                        wanted, entries=assets, data_dir=environment.data_dir, runtime=runtime
                    )
                else:
                    path = fetch_dataset(wanted, environment, runtime, also_known=tuple(assets))
        except DataError as error:
            failures.append(str(error))
            continue
        context.note(f"{wanted} is at {path}")
    if failures:
        # One that cannot be fetched does not stop the others.
        raise DataError("; ".join(failures))


@app.command()
def verify(
    name: NameArgument,
    data_dir: options.DataDirOption = None,
    normalize: options.NormalizeOption = False,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Hash a fetched file again, read it, apply every check, and print its fingerprint."""
    from dygenept.data.catalog import resolve_dataset, source_of
    from dygenept.machine.checksums import record_path, verify_file
    from dygenept_cli import asset_views, context

    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    if name in asset_views.entries_of(environment):
        asset_views.verify(name, environment, as_json=as_json)
        return
    resolved = resolve_dataset(name, environment)
    if resolved.name is not None and resolved.entry is not None:
        source = source_of(resolved.name, resolved.entry, manager=environment.manager)
        path = source.status(environment.data_dir).path
        # A fetched file has a record of its checksum beside it; other files have none.
        if path is not None and record_path(path).is_file():
            verify_file(path, rehash=True)
    content = _content(name, environment, normalize=normalize)
    if as_json:
        context.print_json({"schema_version": 1, **content})
    else:
        context.stdout().print(f"{name}: valid, sha256 {content['sha256']}", highlight=False)


@app.command()
def simulate(
    profile: Annotated[
        str, typer.Argument(metavar="PROFILE", help="norman, adamson, dixit, k562 or rpe1.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="An .h5ad file [default: in the data folder]."
        ),
    ] = None,
    scale: Annotated[
        float, typer.Option("--scale", min=0.0, max=1.0, help="Shrink it (0 to 1).")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed.")] = 0,
    data_dir: options.DataDirOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Simulate a stand-in with planted facet effects; the truth is written beside it."""
    from dygenept.data.simulated.export import write_simulation
    from dygenept.data.simulated.simulation import simulate as make
    from dygenept.data.simulated.truth import truth_path
    from dygenept.errors import DataError
    from dygenept.machine.folders import default_data_dir
    from dygenept.machine.progress import shown_progress
    from dygenept.types import Runtime
    from dygenept_cli import context

    name = profile.removeprefix("sim:")
    directory = data_dir or default_data_dir()
    path = output or directory / "simulated" / f"{name}-scale{scale:g}-seed{seed}.h5ad"
    if path.suffix != ".h5ad":
        raise DataError(f"--output must name an .h5ad file, got {path}")
    with shown_progress(quiet=quiet) as report:
        simulation = make(name, scale=scale, seed=seed, runtime=Runtime(report=report))
        write_simulation(simulation, path)
    context.note(f"SIMULATED data at {path}; the planted truth at {truth_path(path)}")


def _status(name: str, entry: DatasetEntry, environment: Environment) -> dict[str, object]:
    from dygenept.data.catalog import source_of

    status = source_of(name, entry, manager=environment.manager).status(environment.data_dir)
    return {
        "name": name,
        "aliases": list(entry.aliases),
        "summary": entry.summary,
        "source": entry.source,
        "on_disk": status.path is not None and status.path.is_file(),
        "path": None if status.path is None else str(status.path),
        "detail": status.detail,
    }


def _content(name: str, environment: Environment, *, normalize: bool) -> dict[str, object]:
    from dygenept.data.catalog import open_dataset

    data = open_dataset(name, environment, environment.runtime(), normalize=normalize)
    n_control = int((data.condition_codes < 0).sum())
    return {
        "dataset": data.name,
        "source_file": data.source,
        "sha256": data.sha256,
        "simulated": data.is_simulated,
        "n_cells": data.n_cells,
        "n_genes": data.n_genes,
        "n_control_cells": n_control,
        "n_perturbations": len(data.perturbations),
        "n_combinations": sum(len(p.genes) > 1 for p in data.perturbations),
        "cell_types": list(data.cell_types),
        "de_lists": sorted(data.de_lists),
        "notes": list(data.notes),
    }
