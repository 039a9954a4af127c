"""Which data set a command works on, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dygenept.data.catalog import resolve_dataset
from dygenept.data.memory import TABLES
from dygenept.errors import DataError
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import DatasetSpec
from dygenept.types import NO_MAPPING, DataMapping, PerturbationData


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
