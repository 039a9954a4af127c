"""Data sets as GEARS publishes them on Harvard Dataverse.

Each is a zip archive that contains ``perturb_processed.h5ad``: log1p expression with labels,
controls and DE gene lists. Source: Roohani et al. 2024, Nature Biotechnology,
doi:10.1038/s41587-023-01905-6; each registry entry cites the study whose cells it contains.
The files stay under the terms of their deposit: they are fetched, never shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from dygenept.machine.folders import place_in
from dygenept.plugin import DatasetSpec, DatasetStatus, DataUnavailableError, PluginConfig, hookimpl
from dygenept.types import DataOutline, PerturbationData, Runtime

FILE_NAME = "perturb_processed.h5ad"
DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile"


class GearsConfig(PluginConfig):
    """One data set of GEARS.

    Attributes:
        file_id: Number of the zip archive at Harvard Dataverse.
        folder: Folder inside the data folder, and name of the data set.
        sha256: SHA-256 that ``perturb_processed.h5ad`` must have; None trusts the first one seen.
        url: Where to fetch the archive from instead of Dataverse, such as a mirror.
        mirrors: Further addresses of the same archive, tried in turn.
        size: Bytes that ``perturb_processed.h5ad`` must have.
        stand_in: Simulated data set of this shape, which works offline.
    """

    file_id: int = Field(gt=0)
    folder: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    url: str | None = Field(default=None, pattern=r"^https?://")
    mirrors: tuple[Annotated[str, Field(pattern=r"^https?://")], ...] = ()
    size: int | None = Field(default=None, gt=0)
    stand_in: str | None = None

    @property
    def archive_url(self) -> str:
        """Where the archive is fetched from."""
        return self.url or f"{DATAVERSE}/{self.file_id}"


class GearsSource:
    """Fetches, verifies and reads one data set."""

    def __init__(self, config: GearsConfig) -> None:
        self._config = config

    def path(self, data_dir: Path) -> Path:
        """Return where the file belongs."""
        name = f"{self._config.folder}/{FILE_NAME}"
        return place_in(data_dir, name, (f"perturb_data/{name}", f"data/perturb_data/{name}"))

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say whether the file is there, and its size."""
        from dygenept.machine.http_clients import shown

        config, path = self._config, self.path(data_dir)
        if not path.is_file():
            return DatasetStatus(path, False, f"would be fetched from {shown(config.archive_url)}")
        return DatasetStatus(path, True, f"{path.stat().st_size / 1e6:,.0f} MB on disk")

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Return the verified file, downloading it where it is not there.

        Raises:
            DataUnavailableError: If it cannot be fetched; the message says where it belongs
                and what works offline.
            DataError: If the file on disk has another checksum than pinned or recorded.
        """
        return self._fetch(data_dir, runtime, anew=False)

    def fetch_anew(self, data_dir: Path, runtime: Runtime) -> Path:
        """Download the file whatever is there, and forget its recorded checksum.

        Raises:
            DataUnavailableError: If it cannot be fetched; what was there stays.
        """
        return self._fetch(data_dir, runtime, anew=True)

    def outline(self, data_dir: Path) -> DataOutline | None:
        """Say what the file contains without reading expression; None where it is not there."""
        from dygenept.data.reading.outline import outline_file

        path = self.path(data_dir)
        return outline_file(path, name=self._config.folder) if path.is_file() else None

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Fetch if needed, read and check."""
        from dygenept.data.memory import MemoryLimit
        from dygenept.data.reading.anndata_file import read_anndata

        path, limit = self.fetch(data_dir, runtime), MemoryLimit.of(runtime)
        return read_anndata(path, name=self._config.folder, limit=limit)

    def _fetch(self, data_dir: Path, runtime: Runtime, *, anew: bool) -> Path:
        from dygenept.machine.fetched_files import Wanted, fetch_file
        from dygenept.machine.http_clients import shown

        config, path = self._config, self.path(data_dir)
        wanted = Wanted(
            path=path,
            urls=(config.archive_url, *config.mirrors),
            member=FILE_NAME,
            sha256=config.sha256,
            size=config.size,
        )
        try:
            fetch_file(wanted, runtime.report, anew=anew)
        except (DataUnavailableError, OSError) as error:
            offline = (
                f"; offline, this works: dygenept bench --dataset {config.stand_in}"
                if config.stand_in
                else ""
            )
            raise DataUnavailableError(
                f"data set {config.folder!r} could not be fetched ({error}). Fetch "
                f"{shown(config.archive_url)} by hand, unzip it, and put {FILE_NAME} at {path}"
                f"{offline}"
            ) from error
        return path


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the source of GEARS' files."""
    return [
        DatasetSpec(
            name="gears",
            summary="Perturbation data sets as GEARS publishes them on Harvard Dataverse",
            source="Roohani et al. 2024, doi:10.1038/s41587-023-01905-6",
            config=GearsConfig,
            factory=GearsSource,
            streams=True,
            check_options={"file_id": 6154020, "folder": "norman"},
        )
    ]
