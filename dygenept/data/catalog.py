"""Data sets by name: registered ones, their aliases, simulated ones at a scale, and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dygenept.data.memory import MemoryLimit
from dygenept.errors import ConfigError, DataError, nearest
from dygenept.plugin.environment import Environment
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import DatasetSource, FetchesAnew
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import DatasetSpec
from dygenept.plugin.yaml_files import validated
from dygenept.types import NO_MAPPING, DataMapping, PerturbationData, Runtime

SCALE_MARK = "@"
GEARS_STEM = "perturb_processed"


class DatasetEntry(BaseModel):
    """One registered data set.

    Every further key is an option of the source, whose own configuration refuses unknown ones; a
    source of files takes the columns and rules of ``DataMapping`` under their own names.

    Attributes:
        source: Plugin that opens it.
        aliases: Other names.
        summary: One line.
        collection: Name of the collection that it belongs to; empty for none.
        citation: The study whose cells these are.
        licence: Terms that whoever fetches it agrees to; empty for its collection's.
        modality: How cells were perturbed: CRISPRi, CRISPRa, CRISPR knock-out, …
        cell_types: Cell types, as people call them.
        read_in: Where what is said here was read.
        untried: What could not be tried.
        n_cells: Cells, where known; for people.
        n_genes: Output genes, where known; for people.
        n_perturbations: Perturbations, where known; for people.
        n_values: Stored values of the matrix, where known; for plans.
        n_controls: Control cells, where known; for plans.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    collection: str = ""
    citation: str = ""
    licence: str = ""
    modality: str = ""
    cell_types: tuple[str, ...] = ()
    read_in: str = ""
    untried: str = ""
    n_cells: int | None = None
    n_genes: int | None = None
    n_perturbations: int | None = None
    n_values: int | None = None
    n_controls: int | None = None

    @property
    def options(self) -> dict[str, object]:
        """Options of the source."""
        return dict(self.model_extra or {})


@dataclass(frozen=True, slots=True)
class ResolvedDataset:
    """What a name stands for.

    Attributes:
        name: Registered name; None for a file.
        path: The file; None for a registered data set.
        entry: Its entry, with the scale that was asked for; None for a file.
    """

    name: str | None
    path: Path | None
    entry: DatasetEntry | None


def dataset_entries(environment: Environment) -> Mapping[str, DatasetEntry]:
    """Return the registered data sets, validated once, and sources that are one by themselves.

    A source all of whose options have defaults is a data set under its own name, unless the
    registry has that name, or data sets of that source.

    Raises:
        ConfigError: If an entry has an unknown key.
    """
    registered = environment.entries("datasets", DatasetEntry)
    taken = {
        name for key, entry in registered.items() for name in (key, entry.source, *entry.aliases)
    }
    alone = {
        spec.name: DatasetEntry(source=spec.name, summary=spec.summary, citation=spec.source)
        for spec in environment.manager.specs(DatasetSpec)
        if not any(field.is_required() for field in spec.config.model_fields.values())
        and spec.name not in taken
    }
    return {**registered, **alone}


def resolve_dataset(
    name: str,
    environment: Environment,
    *,
    scale: float | None = None,
    also_known: Sequence[str] = (),
) -> ResolvedDataset:
    """Find what a name stands for: a registered name or alias wins over a file.

    Args:
        name: Such as ``k562``, ``sim:k562``, ``sim:k562@0.1`` or ``cells.h5ad``.
        environment: Registry and plugins.
        scale: In (0, 1]; wins over the scale in the name.
        also_known: Names of something else that the caller understands; only for the message.

    Raises:
        DataError: If nothing has this name; the nearest is named.
        ConfigError: If a scale is asked for and the data set has none, or it is not a number.
    """
    entries = dataset_entries(environment)
    base, mark, suffix = name.partition(SCALE_MARK)
    exact = _registered(name, entries)
    known = exact or _registered(base, entries)
    if known is None:
        if Path(name).exists() or name.endswith((".h5ad", ".zarr")):
            if scale is not None:
                raise ConfigError(f"{name} is a file and cannot be scaled; leave --scale out")
            return ResolvedDataset(None, Path(name), None)
        aliases = (alias for entry in entries.values() for alias in entry.aliases)
        names = {*entries, *aliases, *also_known}
        raise DataError(
            f"unknown data set {name!r}, neither registered nor a file; {nearest(base, names)}"
        )
    entry = entries[known]
    if mark and exact is None and scale is None:
        scale = _number(suffix, name)
    if scale is not None:
        if "scale" not in environment.manager.get(DatasetSpec, entry.source).config.model_fields:
            raise ConfigError(
                f"data set {known!r} cannot be scaled, since its cells are not simulated; "
                "leave the scale out or choose a sim: data set"
            )
        entry = entry.model_copy(update={"scale": scale})
    return ResolvedDataset(known, None, entry)


def gives_effects(name: str, environment: Environment) -> bool:
    """True if a name stands for a table of effects, which is looked at but not read.

    Raises:
        DataError: If nothing has this name.
    """
    from dygenept.data.effects.frames import is_table

    resolved = resolve_dataset(name, environment)
    if resolved.entry is None:
        return is_table(resolved.path or Path(name))
    return environment.manager.get(DatasetSpec, resolved.entry.source).gives == "effects"


def source_of(name: str, entry: DatasetEntry, *, manager: PluginManager) -> DatasetSource:
    """Build the source of a registered data set.

    Raises:
        PluginError: If no such source is installed.
        ConfigError: If the entry has an option that the source does not know.
    """
    spec = manager.get(DatasetSpec, entry.source)
    return spec.factory(validated(spec.config, entry.options, f"datasets.{name}"))


def fetch_dataset(
    name: str,
    environment: Environment,
    runtime: Runtime,
    *,
    also_known: Sequence[str] = (),
    anew: bool = False,
) -> Path:
    """Make a data set's file be on disk and return its path.

    Args:
        name: Registered name, alias, or path of a file.
        environment: Registry, plugins and folder of data sets.
        runtime: Progress.
        also_known: Names of something else that the caller understands; only for the message.
        anew: Fetch it whatever is there, and forget the recorded checksum.

    Raises:
        DataError: If nothing has this name, or the file cannot be fetched.
    """
    resolved = resolve_dataset(name, environment, also_known=also_known)
    if resolved.name is None or resolved.entry is None:
        path = resolved.path or Path(name)
        if not path.exists():
            raise DataError(f"no file {path}; check the path, or see 'dygenept data list'")
        return path
    source = source_of(resolved.name, resolved.entry, manager=environment.manager)
    if not anew:
        return source.fetch(environment.data_dir, runtime)
    if not isinstance(source, FetchesAnew):
        raise ConfigError(f"data set {resolved.name!r} cannot be fetched again; leave out --force")
    return source.fetch_anew(environment.data_dir, runtime)


def open_dataset(
    name: str,
    environment: Environment,
    runtime: Runtime,
    *,
    normalize: bool = False,
    scale: float | None = None,
    mapping: DataMapping = NO_MAPPING,
) -> PerturbationData:
    """Open a data set, fetching or simulating it where needed.

    Args:
        name: Registered name, alias, ``name@scale``, or path of an ``.h5ad`` file.
        environment: Registry, plugins and folder of data sets.
        runtime: Progress, seed, and a limit on memory.
        normalize: The file has raw counts.
        scale: Scale of a simulated data set.
        mapping: Where the file keeps what is needed; with ``normalize``, it changes the entry of a
            registered data set whose source reads such files.

    Raises:
        DataError: If nothing has this name, or the data cannot be fetched or break a rule.
        ConfigError: If an option does not fit the data set.
    """
    resolved = resolve_dataset(name, environment, scale=scale)
    if resolved.name is None or resolved.entry is None:
        from dygenept.data.effects.frames import is_table
        from dygenept.data.effects.reading import read_effects
        from dygenept.data.reading.anndata_file import read_anndata

        path = resolved.path or Path(name)
        if is_table(path):
            table = read_effects(path, mapping=mapping, normalize=normalize)
            return replace(table, file=str(path.resolve()))
        data = read_anndata(
            path,
            name=name_of(path),
            normalize=normalize,
            mapping=mapping,
            limit=MemoryLimit.of(runtime),
        )
        return replace(data, file=str(path.resolve()))
    entry = changed_entry(
        resolved.name, resolved.entry, environment, normalize=normalize, mapping=mapping
    )
    source = source_of(resolved.name, entry, manager=environment.manager)
    with plugin_code(f"data set {resolved.name!r}: source {entry.source!r}"):
        return source.load(environment.data_dir, runtime)


def changed_entry(
    name: str,
    entry: DatasetEntry,
    environment: Environment,
    *,
    normalize: bool,
    mapping: DataMapping,
) -> DatasetEntry:
    """Change how a registered data set is read, if its source can be told.

    Raises:
        ConfigError: If it cannot.
    """
    options: dict[str, object] = {**mapping.given(), **({"normalize": True} if normalize else {})}
    known = environment.manager.get(DatasetSpec, entry.source).config.model_fields
    if unknown := [option for option in options if option not in known]:
        flag = f"--{unknown[0].replace('_', '-')}"
        what = (
            "already has log1p expression"
            if unknown[0] == "normalize"
            else f"is read by {entry.source!r}, which knows where everything is"
        )
        raise ConfigError(f"data set {name!r} {what}; leave {flag} out")
    return entry.model_copy(update=options)


def name_of(path: Path) -> str:
    """Name a file; GEARS calls every file alike, so its folder tells them apart."""
    folder = path.resolve().parent.name
    return folder if path.stem == GEARS_STEM and folder else path.stem


def _registered(name: str, entries: Mapping[str, DatasetEntry]) -> str | None:
    if name in entries:
        return name
    return next((known for known, entry in entries.items() if name in entry.aliases), None)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(
            f"{name!r} asks for the scale {text!r}; write a number in (0, 1], such as sim:k562@0.1"
        ) from error
