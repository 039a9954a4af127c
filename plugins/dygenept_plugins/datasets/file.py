"""A file of one's own as a registered data set, with the names that its owner uses.

Source: this project. It loads only what the registry entry names.

Other sources of one AnnData file share how its contents are told and read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dygenept.plugin import DatasetSpec, DatasetStatus, DataUnavailableError, MappedConfig, hookimpl
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


class FileConfig(MappedConfig):
    """One ``.h5ad`` file or zarr store, and where it keeps what is needed.

    Attributes:
        path: The file; a relative path starts from the folder of data sets.
        name: Name of the data set in records; None for the file's stem.
    """

    path: Path
    name: str | None = None


class FileSource:
    """Reads one ``.h5ad`` file or zarr store."""

    def __init__(self, config: FileConfig) -> None:
        self._config = config

    def path(self, data_dir: Path) -> Path:
        """Return where the file is."""
        return data_dir / self._config.path.expanduser()

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say whether the file is there."""
        path = self.path(data_dir)
        # A zarr store is a folder.
        is_present = path.exists()
        detail = "not there"
        if is_present:
            detail = "a folder" if path.is_dir() else f"{path.stat().st_size / 1e6:,.0f} MB on disk"
        return DatasetStatus(path, is_present, detail)

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Return the file.

        Raises:
            DataUnavailableError: If it is not there.
        """
        path = self.path(data_dir)
        if not path.exists():
            raise DataUnavailableError(f"no file {path}; correct its path in the registry")
        return path

    def outline(self, data_dir: Path) -> DataOutline | None:
        """Say what the file contains without reading expression; None where it is not there."""
        return outline_at(self.path(data_dir), self._config.name, self._config)

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Read and check it."""
        path = self.fetch(data_dir, runtime)
        data = read_at(path, self._config.name, self._config, runtime)
        return replace(data, file=str(path.absolute()))


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the source of files of one's own."""
    return [
        DatasetSpec(
            name="file",
            summary="An .h5ad file or zarr store of your own, with the columns that you name",
            source="this project",
            config=FileConfig,
            factory=FileSource,
            streams=True,
            check_options={"path": "absent.h5ad"},
        )
    ]
