"""Files of cells as their authors, or a collection, publish them: fetched, checked and read.

Each registry entry cites the study and says where its address, size and checksum were read. The
files stay under the terms of their deposit: they are fetched, never shipped. Source: this project.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dygenept.plugin import DatasetSpec, DatasetStatus, DataUnavailableError, MappedConfig, hookimpl
from dygenept.types import DataOutline, PerturbationData, Runtime
from dygenept_plugins.datasets.file import outline_at, read_at

Address = Annotated[str, Field(pattern=r"^https?://")]


class PublishedConfig(MappedConfig):
    """One published ``.h5ad`` file, and where it keeps what is needed.

    Attributes:
        url: Where it is fetched from.
        mirrors: Further addresses of the same bytes, tried in turn.
        path: Where it belongs; a relative path starts from the folder of data sets.
        name: Name of the data set in records; None for the file's stem.
        size: Bytes that the address serves, as the publisher says.
        md5: MD5 of what the address serves, as the publisher says.
        sha256: SHA-256 of what the address serves, as the publisher says.
        packing: What the address serves: the file, the file packed with gzip, or a zip archive.
        member: The file inside a zip archive; None for the name of ``path``.
        unpacked_size: Bytes of the file itself where it is packed.
    """

    url: Address
    mirrors: tuple[Address, ...] = ()
    path: Path
    name: str | None = None
    size: int | None = Field(default=None, gt=0)
    md5: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{32}$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    packing: Literal["none", "gzip", "zip"] = "none"
    member: str | None = None
    unpacked_size: int | None = Field(default=None, gt=0)


class PublishedSource:
    """Fetches, verifies and reads one file."""

    def __init__(self, config: PublishedConfig) -> None:
        self._config = config

    def path(self, data_dir: Path) -> Path:
        """Return where the file belongs."""
        return data_dir / self._config.path.expanduser()

    def status(self, data_dir: Path) -> DatasetStatus:
        """Say whether the file is there, and its size."""
        from dygenept.machine.http_clients import shown

        config, path = self._config, self.path(data_dir)
        if path.is_file():
            return DatasetStatus(path, True, f"{path.stat().st_size / 1e6:,.0f} MB on disk", 0)
        size = f" ({config.size / 1e6:,.0f} MB)" if config.size else ""
        return DatasetStatus(
            path, False, f"would be fetched from {shown(config.url)}{size}", config.size
        )

    def fetch(self, data_dir: Path, runtime: Runtime) -> Path:
        """Return the verified file, downloading it where it is not there.

        Raises:
            DataUnavailableError: If it cannot be fetched; the message says where it belongs.
            DataError: If the file on disk is another one.
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
        return outline_at(self.path(data_dir), self._config.name, self._config)

    def load(self, data_dir: Path, runtime: Runtime) -> PerturbationData:
        """Fetch if needed, read and check."""
        path = self.fetch(data_dir, runtime)
        return read_at(path, self._config.name, self._config, runtime)

    def _fetch(self, data_dir: Path, runtime: Runtime, *, anew: bool) -> Path:
        from dygenept.machine.fetched_files import Served, Wanted, fetch_file
        from dygenept.machine.http_clients import shown

        config, path = self._config, self.path(data_dir)
        is_zip = config.packing == "zip"
        wanted = Wanted(
            path=path,
            urls=(config.url, *config.mirrors),
            member=(config.member or path.name) if is_zip else None,
            size=config.unpacked_size,
            served=Served(size=config.size, md5=config.md5, sha256=config.sha256),
            is_gzipped=config.packing == "gzip",
        )
        try:
            fetch_file(wanted, runtime.report, anew=anew)
        except (DataUnavailableError, OSError) as error:
            unpack = "" if config.packing == "none" else " unpack it,"
            raise DataUnavailableError(
                f"{path.name} could not be fetched ({error}). Fetch {shown(config.url)} by hand,"
                f"{unpack} and put it at {path}"
            ) from error
        return path


@hookimpl
def dygenept_datasets() -> list[DatasetSpec]:
    """Return the source of published files."""
    return [
        DatasetSpec(
            name="published",
            summary="An .h5ad file that is fetched and checked against its published checksum",
            source="this project",
            config=PublishedConfig,
            factory=PublishedSource,
            streams=True,
            check_options={"url": "https://example.org/absent.h5ad", "path": "absent.h5ad"},
        )
    ]
