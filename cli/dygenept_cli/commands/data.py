"""``dygenept data``: what is on disk, fetching, verifying and simulating."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.errors import DataError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import ReadingFlags
from dygenept_cli.flags.environment import DataDirOption, DataFlags
from dygenept_cli.flags.preparation import StepFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.types import PerturbationData

app = command_group("Show, fetch, verify and simulate data sets.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME|FILE", help="Data set or .h5ad file.")]


@app.command("list")
@with_flags
def list_(
    where: DataFlags,
    search: str | None = flag(
        "Only data sets with these words in their name, study, cell types or modality.",
        metavar="WORD",
    ),
    as_json: options.JsonOption = False,
) -> None:
    """List the registered data sets and further files, and say which are on disk."""
    from dygenept.data.catalog import dataset_entries
    from dygenept.data.collections import has_words, matching
    from dygenept_cli.views import assets, datasets

    environment = where.environment()
    directory = environment.data_dir
    entries = dataset_entries(environment)
    chosen = entries if search is None else matching(search, entries)
    rows = [datasets.status_row(name, entry, environment) for name, entry in chosen.items()]
    further = [
        assets.status_row(name, entry, directory)
        for name, entry in assets.entries_of(environment).items()
        if search is None or has_words(search, name, entry.summary)
    ]
    if as_json:
        console.print_json({"data_dir": str(directory), "datasets": rows, "assets": further})
        return
    if rows:
        datasets.show_rows(rows, environment)
    if further:
        assets.show_rows(further, directory)
    if not rows and not further:
        console.note(f"nothing has {search!r}; dygenept data list shows everything")


@app.command()
@with_flags
def info(
    *,
    name: NameArgument,
    reading: ReadingFlags,
    where: DataFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Describe a data set: where it is and, if it is on disk, what it contains."""
    import json

    from dygenept.data.catalog import resolve_dataset
    from dygenept.machine.http_clients import masked
    from dygenept_cli.views import assets, datasets
    from dygenept_cli.views.listing import show_facts

    environment = where.environment()
    if (asset := assets.entries_of(environment).get(name)) is not None:
        assets.show_info(name, asset, environment.data_dir, as_json=as_json)
        return
    document: dict[str, object] = {}
    resolved = resolve_dataset(name, environment)
    is_readable = True
    if resolved.name is not None and resolved.entry is not None:
        status = datasets.status_row(resolved.name, resolved.entry, environment)
        document |= {**status, "entry": json.loads(masked(resolved.entry.model_dump_json()))}
        is_readable = bool(status["on_disk"])
        if not as_json:
            known = datasets.facts(status, resolved.entry, environment)
            show_facts((key, value) for key, value in known)
            document = {}
    if is_readable:
        data = _opened(name, environment, reading)
        document |= _content(data)
        if not as_json:
            document["mapping"] = data.mapping.flags()
    if as_json:
        console.print_json(document)
    else:
        show_facts((key, value) for key, value in document.items() if key != "entry")


@app.command()
@with_flags
def fetch(
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME…", help="Names that `dygenept data list` shows."),
    ] = None,
    *,
    where: DataFlags,
    all_of: str | None = flag(
        "All data sets of a collection that are not on disk, such as scperturb; says how much "
        "that is, and asks.",
        metavar="COLLECTION",
    ),
    yes: bool = flag("Download a collection without being asked.", "--yes", "-y", default=False),
    force: bool = flag(
        "Fetch again, whatever is there, and forget the recorded checksums.", default=False
    ),
    quiet: options.QuietOption = False,
) -> None:
    """Download (or simulate) data sets and further files, open them and keep them on disk."""
    from dygenept.data.asset_graphs import graph_of_asset
    from dygenept.data.assets import fetch_asset
    from dygenept.data.catalog import fetch_dataset
    from dygenept.machine.progress import shown_progress
    from dygenept_cli.views.assets import entries_of
    from dygenept_cli.views.datasets import confirm_fetch

    environment = where.environment()
    further = entries_of(environment)
    names = list(name or ())
    if all_of is not None:
        names += confirm_fetch(all_of, environment, is_agreed=yes)
    elif not names:
        raise DataError("name what to fetch, or a collection: --all-of (see dygenept data list)")
    failures: list[str] = []
    for wanted in dict.fromkeys(names):
        try:
            with shown_progress(quiet=quiet) as report:
                runtime = environment.runtime(report)
                if wanted in further:
                    folder = further[wanted].folder_in(environment.data_dir)
                    path = fetch_asset(
                        wanted,
                        entries=further,
                        data_dir=environment.data_dir,
                        runtime=runtime,
                        graph=graph_of_asset(wanted, folder, environment),
                        anew=force,
                    )
                else:
                    path = fetch_dataset(
                        wanted, environment, runtime, also_known=tuple(further), anew=force
                    )
        except DataError as error:
            failures.append(str(error))
            continue
        console.note(f"{wanted} is at {path}")
    if failures:
        # One that cannot be fetched does not stop the others.
        raise DataError("; ".join(failures))


@app.command()
@with_flags
def verify(
    *,
    name: NameArgument,
    reading: ReadingFlags,
    where: DataFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Hash a fetched file again, read it, apply every check and print its fingerprint."""
    from dygenept.data.catalog import resolve_dataset, source_of
    from dygenept.machine.checksums import record_path, verify_file
    from dygenept_cli.views import assets

    environment = where.environment()
    if name in assets.entries_of(environment):
        assets.verify(name, environment, as_json=as_json)
        return
    resolved = resolve_dataset(name, environment)
    if resolved.name is not None and resolved.entry is not None:
        source = source_of(resolved.name, resolved.entry, manager=environment.manager)
        path = source.status(environment.data_dir).path
        # A fetched file has a record of its checksum beside it; other files have none.
        if path is not None and record_path(path).is_file():
            verify_file(path, rehash=True)
    data = _opened(name, environment, reading)
    if as_json:
        console.print_json(_content(data))
    else:
        for note in data.notes:
            console.note(f"note: {note}")
        console.stdout().print(f"{name}: valid, sha256 {data.sha256}", highlight=False)


@app.command()
@with_flags
def prepare(
    name: NameArgument,
    *,
    reading: ReadingFlags,
    steps: StepFlags,
    where: DataFlags,
    shown: options.OutputFlags,
) -> None:
    """Filter, scale and choose genes of a screen into a file that needs no flags, with a page."""
    from dygenept.runs.prepare import prepare as make

    request = steps.request(name, reading, console.check_output)
    with shown.progress() as report:
        made = make(request, where.environment(), report)
    if shown.as_json:
        console.print_json(dict(made.manifest))
        return
    for line in steps.said(made):
        console.note(line)
    console.note(f"ready: {made.path}; what was done: {request.manifest}")
    if request.writes_page:
        console.note(f"page of the screen: {request.page}")


@app.command()
@with_flags
def simulate(
    profile: Annotated[
        str,
        typer.Argument(metavar="PROFILE", help="One of norman, adamson, dixit, k562 or rpe1."),
    ],
    output: Path | None = flag(
        "File to write, .h5ad [default: in the data folder].", metavar="FILE"
    ),
    scale: float = flag("Shrink the data set (0 to 1).", default=1.0, min=0.0, max=1.0),
    seed: int | None = flag(
        "Seed of every draw [default: the draw that ships at full size, else 0].", min=0
    ),
    data_dir: DataDirOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Simulate a stand-in with planted facet effects; the truth is written beside it."""
    from dygenept.data.simulated.export import write_simulation
    from dygenept.data.simulated.profiles import profile_named
    from dygenept.data.simulated.simulation import simulate as make
    from dygenept.data.simulated.truth import truth_path
    from dygenept.machine.folders import default_data_dir
    from dygenept.machine.progress import shown_progress
    from dygenept.types import Runtime

    name = profile.removeprefix("sim:")
    directory = data_dir or default_data_dir()
    drawn = profile_named(name).default_seed(scale) if seed is None else seed
    path = output or directory / "simulated" / f"{name}-scale{scale:g}-seed{drawn}.h5ad"
    if path.suffix != ".h5ad":
        raise DataError(f"--output must name an .h5ad file, got {path}")
    for file in (path, truth_path(path)):
        console.check_output(file)
    with shown_progress(quiet=quiet) as report:
        simulation = make(name, scale=scale, seed=drawn, runtime=Runtime(report=report))
        write_simulation(simulation, path)
    console.note(
        f"SIMULATED data, draw {drawn}, at {path}; the planted truth at {truth_path(path)}"
    )


def _opened(name: str, environment: Environment, reading: ReadingFlags) -> PerturbationData:
    from dygenept.data.catalog import open_dataset

    return open_dataset(
        name,
        environment,
        environment.runtime(),
        normalize=reading.normalize,
        mapping=reading.mapping(),
    )


def _content(data: PerturbationData) -> dict[str, object]:
    n_control = int((data.condition_codes < 0).sum())
    return {
        "dataset": data.name,
        "source_file": data.source,
        "sha256": data.sha256,
        "simulated": data.is_simulated,
        "draw": data.draw,
        "n_cells": data.n_cells,
        "n_genes": data.n_genes,
        "n_control_cells": n_control,
        "n_perturbations": len(data.perturbations),
        "n_combinations": sum(len(p.genes) > 1 for p in data.perturbations),
        "cell_types": list(data.cell_types),
        "de_lists": sorted(data.de_lists),
        "mapping": data.mapping.given(),
        "notes": list(data.notes),
    }
