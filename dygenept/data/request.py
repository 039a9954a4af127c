"""Which data set a command works on, and opening it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dygenept.data.catalog import open_dataset, resolve_dataset
from dygenept.errors import DataError
from dygenept.machine import processes
from dygenept.machine.folders import default_cache_dir, default_data_dir
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.types import PerturbationData, Progress, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """A data set and how it is read; plain values, so that it can cross a process boundary.

    Attributes:
        dataset: Registered name, alias, ``sim:…`` name, or path of an AnnData file.
        data_dir: Where data sets live.
        cache_dir: Where computed knowledge is cached.
        normalize: Normalise raw counts on reading.
        scale: Shrinks a simulated data set.
    """

    dataset: str
    data_dir: Path
    cache_dir: Path
    normalize: bool = False
    scale: float | None = None


def open_data(
    request: DataRequest,
    registry: Registry,
    manager: PluginManager,
    report: Callable[[Progress], None],
) -> PerturbationData:
    """Open the data set of a request, fetching or simulating it where needed."""
    environment = Environment(
        registry=registry,
        manager=manager,
        data_dir=request.data_dir,
        cache_dir=request.cache_dir,
    )
    with processes.writer_first():
        return open_dataset(
            request.dataset,
            environment,
            Runtime(report=report, cache_dir=request.cache_dir),
            normalize=request.normalize,
            scale=request.scale,
        )


def plain_environment(registry: Registry, manager: PluginManager) -> Environment:
    """Return an environment with the user's own folders."""
    return Environment(
        registry=registry,
        manager=manager,
        data_dir=default_data_dir(),
        cache_dir=default_cache_dir(),
    )


def recorded_dataset(
    given: str | None, recorded: str, registry: Registry, manager: PluginManager, *, flag: str
) -> str:
    """Return where the cells of a record are: what was given, or else the registered name.

    Args:
        given: What the user says.
        recorded: The name in the record; a file's is its stem, which says not where it is.
        registry: Registered data sets.
        manager: Plugins.
        flag: The flag that says it.

    Raises:
        DataError: If nothing was given and no data set is registered under the recorded name.
    """
    if given:
        return given
    try:
        resolve_dataset(recorded, plain_environment(registry, manager))
    except DataError as error:
        raise DataError(
            f"the record is of {recorded!r}, which is not a registered data set; say where its "
            f"file is: {flag} FILE"
        ) from error
    return recorded
