"""Which data set a command works on, and opening it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dygenept.data.catalog import open_dataset, resolve_dataset
from dygenept.errors import DataError
from dygenept.machine import processes
from dygenept.plugin.environment import Environment
from dygenept.types import PerturbationData, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """A data set and how it is read; plain values, so that it can cross a process boundary.

    Attributes:
        dataset: Registered name, alias, ``sim:…`` name, or path of an AnnData file.
        opened: The data set where it is open already; ``dataset`` is only its name then.
        normalize: Normalise raw counts on reading.
        scale: Shrinks a simulated data set.
    """

    dataset: str
    opened: PerturbationData | None = None
    normalize: bool = False
    scale: float | None = None


def open_data(
    request: DataRequest, environment: Environment, report: Callable[[Progress], None]
) -> PerturbationData:
    """Open the data set of a request, fetching or simulating it where needed.

    Raises:
        DataError: If nothing is called so, it cannot be had, or it breaks a rule.
        ConfigError: If an option does not fit the data set.
    """
    if request.opened is not None:
        return request.opened
    with processes.writer_first():
        return open_dataset(
            request.dataset,
            environment,
            environment.runtime(report),
            normalize=request.normalize,
            scale=request.scale,
        )


def recorded_dataset(
    given: str | None, recorded: str, environment: Environment, *, flag: str
) -> str:
    """Return where the cells of a record are: what was given, or else the registered name.

    Args:
        given: What the user says.
        recorded: The name in the record; a file's is its stem, which does not say where it is.
        environment: Registered data sets and plugins.
        flag: The flag that says it.

    Raises:
        DataError: If nothing was given and no data set is registered under the recorded name.
    """
    if given:
        return given
    try:
        resolve_dataset(recorded, environment)
    except DataError as error:
        raise DataError(
            f"the record is of {recorded!r}, which is not a registered data set; say where its "
            f"file is: {flag} FILE"
        ) from error
    return recorded
