"""Opening the data set of a request, within the memory that it allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dygenept.data.catalog import open_dataset, resolve_dataset, source_of
from dygenept.data.memory import CellsSize, MemoryLimit, check_memory
from dygenept.data.outlines import outline_data
from dygenept.data.reading.stored_cells import StoredCells
from dygenept.data.request import DataRequest
from dygenept.machine import processes
from dygenept.plugin.environment import Environment
from dygenept.types import PerturbationData, Progress


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
