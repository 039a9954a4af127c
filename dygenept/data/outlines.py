"""What is known of a data set by name before any of its expression is read, or it is fetched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dygenept.data.catalog import changed_entry, name_of, resolve_dataset, source_of
from dygenept.data.reading.outline import outline_file
from dygenept.data.request import DataRequest
from dygenept.errors import DataError
from dygenept.plugin.environment import Environment
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import OutlinesData
from dygenept.plugin.specs import DatasetSpec
from dygenept.types import DataOutline


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedDataset:
    """A data set as far as it is known without reading it.

    Attributes:
        name: What a run calls it.
        path: Its file, or where that belongs; None for a source without a file.
        is_on_disk: True if nothing has to be fetched or made.
        download_bytes: Bytes that a fetch would transfer; None where nobody says.
        outline: What it contains.
        is_table: True for a table of effects, which has no cells.
        streams: Its cells can be kept in a file.
    """

    name: str
    path: Path | None
    is_on_disk: bool
    download_bytes: int | None
    outline: DataOutline
    is_table: bool = False
    streams: bool = True


def outline_data(request: DataRequest, environment: Environment) -> OutlinedDataset:
    """Outline the data set of a request; nothing is fetched, made or read whole.

    Raises:
        DataError: If nothing is called so, there is no such file, or its names are damaged.
        ConfigError: If an option does not fit the data set.
    """
    from dygenept.data.effects.frames import is_table

    resolved = resolve_dataset(request.dataset, environment, scale=request.scale)
    if resolved.name is None or resolved.entry is None:
        path = resolved.path or Path(request.dataset)
        name = name_of(path)
        if is_table(path):
            if not path.is_file():
                raise DataError(f"no file {path}; check the path, or see 'dygenept data list'")
            return OutlinedDataset(
                name=name,
                path=path,
                is_on_disk=True,
                download_bytes=0,
                outline=DataOutline(),
                is_table=True,
            )
        outline = outline_file(
            path, name=name, normalize=request.normalize, mapping=request.mapping
        )
        return OutlinedDataset(
            name=name, path=path, is_on_disk=True, download_bytes=0, outline=outline
        )
    entry = changed_entry(
        resolved.name,
        resolved.entry,
        environment,
        normalize=request.normalize,
        mapping=request.mapping,
    )
    source = source_of(resolved.name, entry, manager=environment.manager)
    spec = environment.manager.get(DatasetSpec, entry.source)
    with plugin_code(f"data set {resolved.name!r}: source {entry.source!r}"):
        status = source.status(environment.data_dir)
        found = source.outline(environment.data_dir) if isinstance(source, OutlinesData) else None
    said = DataOutline(
        n_cells=entry.n_cells,
        n_genes=entry.n_genes,
        n_perturbations=entry.n_perturbations,
        n_controls=entry.n_controls,
        n_values=entry.n_values,
    )
    is_on_disk = status.path is not None and status.path.exists()
    # What can be made here is present without a file, and costs no transfer.
    costs_nothing = is_on_disk or status.is_present
    return OutlinedDataset(
        name=resolved.name if found is None or found.data is None else found.data.name,
        path=status.path,
        is_on_disk=is_on_disk,
        download_bytes=0 if costs_nothing else status.download_bytes,
        outline=said if found is None else _filled(found, said),
        is_table=spec.gives == "effects",
        streams=spec.streams,
    )


def _filled(found: DataOutline, said: DataOutline) -> DataOutline:
    """Take from the registry what a source does not say."""

    def first(one: int | None, other: int | None) -> int | None:
        return other if one is None else one

    return replace(
        found,
        n_cells=first(found.n_cells, said.n_cells),
        n_genes=first(found.n_genes, said.n_genes),
        n_perturbations=first(found.n_perturbations, said.n_perturbations),
        n_controls=first(found.n_controls, said.n_controls),
        n_values=first(found.n_values, said.n_values),
    )
