"""Data sets as GEARS publishes them on Harvard Dataverse.

Each is a zip archive that contains ``perturb_processed.h5ad``: log1p expression with labels,
controls and DE gene lists. Source: Roohani et al. 2024, Nature Biotechnology,
doi:10.1038/s41587-023-01905-6; each registry entry cites the study whose cells it contains.
The files stay under the terms of their deposit: they are fetched, never shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from dygenept.plugin import DatasetSpec, DatasetStatus, DataUnavailableError, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.types import PerturbationData, Runtime

FILE_NAME = "perturb_processed.h5ad"
DATAVERSE = "https://dataverse.harvard.edu/api/access/datafile"


class GearsConfig(PluginConfig):
    """One data set of GEARS.

    Attributes:
        file_id: Number of the zip archive at Harvard Dataverse.
        folder: Folder inside the data folder, and name of the data set.
        sha256: SHA-256 that ``perturb_processed.h5ad`` must have; None trusts the first one seen.
        url: Where to fetch the archive from instead of Dataverse, such as a mirror.
        stand_in: Simulated data set of this shape, which works offline.
    """

    file_id: int = Field(gt=0)
    folder: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    url: str | None = None
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
        return data_dir / self._config.folder / FILE_NAME

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say whether the file is there, and its size."""
        path = self.path(data_dir)
        if not path.is_file():
            return DatasetStatus(path, False, f"would be fetched from {self._config.archive_url}")
        return DatasetStatus(path, True, f"{path.stat().st_size / 1e6:,.0f} MB on disk")

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Return the verified file, downloading it where it is not there.

        Raises:
            DataUnavailableError: If it cannot be fetched; the message says where it belongs
                and what works offline.
            DataError: If the file on disk has another checksum than pinned or recorded.
        """
        from dygenept.machine.checksums import verify_file

        path = self.path(data_dir)
        url = None
        if not path.is_file():
            self._download(path, runtime)
            url = self._config.archive_url
        verify_file(path, pinned=self._config.sha256, url=url)
        return path

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Fetch if needed, read and check."""
        from dygenept.data.reading.anndata_file import read_anndata

        return read_anndata(self.fetch(data_dir, runtime), name=self._config.folder)

    def _download(self, path: Path, runtime: Runtime) -> None:
        from dygenept.machine.checksums import read_record
        from dygenept.machine.download import download_member

        record = read_record(path)
        expected = self._config.sha256 or (record.sha256 if record else None)
        url = self._config.archive_url
        try:
            download_member(url, FILE_NAME, path, expected_sha256=expected, report=runtime.report)
        except (DataUnavailableError, OSError) as error:
            stand_in = self._config.stand_in
            offline = (
                f"; offline, this works: dygenept bench --dataset {stand_in}" if stand_in else ""
            )
            raise DataUnavailableError(
                f"data set {self._config.folder!r} is not on disk and could not be fetched "
                f"({error}). Fetch {url} by hand, unzip it, and put {FILE_NAME} at {path}{offline}"
            ) from error


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
            check_options={"file_id": 6154020, "folder": "norman"},
        )
    ]
