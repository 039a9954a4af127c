"""What sources of one AnnData file share: what it contains, and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.plugin import MappedConfig
    from dygenept.types import DataOutline, PerturbationData, Runtime


def outline_at(path: Path, name: str | None, config: MappedConfig) -> DataOutline | None:
    """Say what a file contains without reading expression; None where it is not there."""
    from dygenept.data.reading.outline import outline_file

    if not path.exists():
        return None
    return outline_file(path, name=name, normalize=config.normalize, mapping=config.mapping())


def read_at(
    path: Path, name: str | None, config: MappedConfig, runtime: Runtime
) -> PerturbationData:
    """Read and check a file, within the memory that the run may use.

    Raises:
        DataError: As ``read_anndata``.
    """
    from dygenept.data.memory import MemoryLimit
    from dygenept.data.reading.anndata_file import read_anndata

    return read_anndata(
        path,
        name=name,
        normalize=config.normalize,
        mapping=config.mapping(),
        limit=MemoryLimit.of(runtime),
    )
