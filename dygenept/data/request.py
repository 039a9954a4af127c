"""Which data set a command works on, and opening it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dygenept.data.catalog import open_dataset, resolve_dataset, source_of
from dygenept.data.memory import TABLES, CellsSize, MemoryLimit, check_memory
from dygenept.data.reading.stored_cells import StoredCells
from dygenept.errors import DataError
from dygenept.machine import processes
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import DatasetSpec
from dygenept.types import NO_MAPPING, DataMapping, PerturbationData, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """A data set and how it is read; plain values, so that it can cross a process boundary.

    Attributes:
        dataset: Registered name, alias, ``sim:…`` name, or path of an AnnData file.
        opened: The data set where it is open already; ``dataset`` is only its name then.
        is_sent: ``opened`` was opened elsewhere, as ``dataset`` and the rest say.
        normalize: Normalise raw counts on reading.
        scale: Shrinks a simulated data set.
        mapping: Where a file keeps what is needed.
        memory: Most bytes of memory that cells and what is computed of them may take; None for no
            limit. Cells that take more are kept in a file.
        held: How many of these the AnnData object takes that ``opened`` was read from.
        n_tables: Arrays of conditions × genes that will be in memory together.
    """

    dataset: str
    opened: PerturbationData | None = None
    is_sent: bool = False
    normalize: bool = False
    scale: float | None = None
    mapping: DataMapping = NO_MAPPING
    memory: int | None = None
    held: int = 0
    n_tables: int = TABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReading:
    """How the cells of a record were read.

    Attributes:
        name: Name of the data set; a file's is its stem.
        file: Path of the user's own file; None for a registered data set or an object in memory.
        mapping: Where it keeps what is needed.
        normalize: Its counts were normalised on reading.
    """

    name: str
    file: str | None = None
    mapping: DataMapping = NO_MAPPING
    normalize: bool = False


Request = TypeVar("Request", bound=DataRequest)


def open_data(
    request: DataRequest, environment: Environment, report: Callable[[Progress], None]
) -> PerturbationData:
    """Open the data set of a request, fetching or simulating it where needed.

    Raises:
        DataError: If nothing is called so, it cannot be had, breaks a rule, or needs more memory
            than the request allows.
        ConfigError: If an option does not fit the data set.
    """
    runtime = replace(environment.runtime(report), memory=request.memory)
    limit = MemoryLimit.of(runtime, held=request.held)
    if request.opened is not None:
        within = None if request.is_sent else limit
        return _within(request.opened, within, n_tables=request.n_tables, is_read=True)
    with processes.writer_first():
        if request.memory is not None:
            _check_memory(request, environment, report)
        data = open_dataset(
            request.dataset,
            environment,
            runtime,
            normalize=request.normalize,
            scale=request.scale,
            mapping=request.mapping,
        )
    return _within(data, limit, n_tables=request.n_tables)


def _within(
    data: PerturbationData, limit: MemoryLimit | None, *, n_tables: int, is_read: bool = False
) -> PerturbationData:
    """Let arrays of conditions × genes be kept in files where a limit asks for it.

    Args:
        data: The data set.
        limit: Most memory; None for no limit.
        n_tables: Arrays of conditions × genes that will be in memory together.
        is_read: It was opened before, so that nothing was checked yet.

    Raises:
        DataError: If it needs more memory than the limit.
    """
    if limit is None or data.effects is not None:
        return data
    size = replace(CellsSize.of_data(data), n_tables=n_tables)
    are_stored = isinstance(data.expression, StoredCells)
    if is_read:
        called = data.name if are_stored else f"{data.name} (whose cells were read into memory)"
        check_memory(called, size, limit.n_bytes, streams=are_stored, held=limit.held)
    keeps = limit.keeps_tables(size, are_stored=are_stored)
    return replace(data, tables=limit.folder) if keeps else data


def _check_memory(
    request: DataRequest, environment: Environment, report: Callable[[Progress], None]
) -> None:
    """Fetch a data set if need be and refuse it if it needs more memory than is allowed."""
    from dygenept.data.outlines import outline_data

    found = outline_data(request, environment)
    if not found.is_on_disk and not found.is_table:
        resolved = resolve_dataset(request.dataset, environment, scale=request.scale)
        if resolved.name is not None and resolved.entry is not None:
            source = source_of(resolved.name, resolved.entry, manager=environment.manager)
            source.fetch(environment.data_dir, environment.runtime(report))
            found = outline_data(request, environment)
    size = CellsSize.of(found.outline)
    if request.memory is not None and size is not None:
        size = replace(size, n_tables=request.n_tables)
        check_memory(found.name, size, request.memory, streams=found.streams)


def as_recorded(
    request: Request, recorded: RecordedReading, environment: Environment, *, flag: str
) -> Request:
    """Complete a request for the cells of a record: what the user leaves out is as recorded.

    Args:
        request: What the user says; an empty ``dataset`` leaves it to the record.
        recorded: How the cells were read.
        environment: Registered data sets and plugins.
        flag: The flag that names the data set.

    Raises:
        DataError: If nothing was given, no data set is registered under the recorded name, and the
            recorded file is not there.
    """
    dataset = request.dataset or _recorded_dataset(recorded, environment, flag)
    mapping = request.mapping if request.mapping.given() else recorded.mapping
    normalize = request.normalize or recorded.normalize
    entry = resolve_dataset(dataset, environment).entry
    if entry is not None:
        # An entry of the registry knows how it is read, unless its source can be told otherwise.
        options = environment.manager.get(DatasetSpec, entry.source).config.model_fields
        if not options.keys() >= mapping.given().keys() | {"normalize"}:
            mapping, normalize = request.mapping, request.normalize
    return replace(request, dataset=dataset, mapping=mapping, normalize=normalize)


def _recorded_dataset(recorded: RecordedReading, environment: Environment, flag: str) -> str:
    if recorded.file is not None and Path(recorded.file).exists():
        return recorded.file
    try:
        resolve_dataset(recorded.name, environment)
    except DataError as error:
        was = f" and was read from {recorded.file}" if recorded.file is not None else ""
        raise DataError(
            f"the record is of {recorded.name!r}, which is not a registered data set{was}; say "
            f"where its file is: {flag} FILE"
        ) from error
    return recorded.name
