"""Files other than data sets: graphs, checkpoints and the like, fetched into the data folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from dygenept.errors import ConfigError, DataError, DataUnavailableError, nearest
from dygenept.plugin.validation import validated

if TYPE_CHECKING:
    from dygenept.plugin.registry import Registry
    from dygenept.types import Runtime


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path:
        raise ValueError("must be a relative path that stays inside its folder")
    return path


InnerPath = Annotated[str, AfterValidator(_inside)]


class AssetFile(BaseModel):
    """One file of an asset.

    Attributes:
        url: Where it is fetched from.
        mirrors: Other addresses of the same bytes, tried in turn where ``url`` fails.
        path: Where it belongs, inside the asset's folder.
        member: Where ``url`` is a zip archive, the file name inside it that is kept.
        sha256: SHA-256 that the file must have; None trusts the first one seen.
        size: Bytes that the file must have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://")
    mirrors: tuple[Annotated[str, Field(pattern=r"^https?://")], ...] = ()
    path: InnerPath
    member: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    size: int | None = Field(default=None, gt=0)


class AssetEntry(BaseModel):
    """One asset of the registry.

    Attributes:
        summary: One line.
        citation: Whom to cite.
        licence: Terms of its files, which are fetched and never shipped.
        folder: Its folder inside the data folder.
        files: Its files.
        offline: What works without it, reported when a download fails.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str = ""
    citation: str = ""
    licence: str = ""
    folder: InnerPath
    files: tuple[AssetFile, ...] = Field(min_length=1)
    offline: str = ""

    @model_validator(mode="after")
    def _has_no_path_twice(self) -> AssetEntry:
        paths = [file.path for file in self.files]
        if len(set(paths)) != len(paths):
            raise ValueError("names a path twice under files")
        return self

    def folder_in(self, data_dir: Path) -> Path:
        """Return its folder on this machine."""
        return data_dir / self.folder


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """Which files of an asset are there.

    Attributes:
        folder: Its folder.
        present: Files on disk.
        missing: Files that a fetch would get.
        n_bytes: Size of the present ones together.
    """

    folder: Path
    present: tuple[Path, ...]
    missing: tuple[Path, ...]
    n_bytes: int

    @property
    def is_present(self) -> bool:
        """True if nothing is missing."""
        return not self.missing

    @property
    def detail(self) -> str:
        """Say it in words."""
        size = f"{self.n_bytes / 1e6:,.0f} MB on disk"
        if self.is_present:
            return size
        names = ", ".join(path.name for path in self.missing)
        return f"{size}, missing {names}" if self.present else f"would fetch {names}"


def asset_entries(registry: Registry) -> dict[str, AssetEntry]:
    """Validate the ``assets`` section of the registry.

    Raises:
        ConfigError: If an entry has an unknown key, a path that leaves its folder, or the name of
            a data set.
    """
    for name, dataset in registry.datasets.items():
        aliases = dataset.get("aliases")
        names = (name, *(aliases if isinstance(aliases, list) else ()))
        if taken := set(names) & registry.assets.keys():
            raise ConfigError(
                f"{sorted(taken)[0]!r} names both a data set and an asset in the registry; "
                "rename one of them"
            )
    return {
        name: validated(AssetEntry, dict(entry), f"assets.{name}")
        for name, entry in registry.assets.items()
    }


def asset_status(entry: AssetEntry, data_dir: Path) -> AssetStatus:
    """Say which files of an asset are on disk, without reading them."""
    folder = entry.folder_in(data_dir)
    paths = [folder / file.path for file in entry.files]
    present = tuple(path for path in paths if path.is_file())
    return AssetStatus(
        folder=folder,
        present=present,
        missing=tuple(path for path in paths if path not in present),
        n_bytes=sum(path.stat().st_size for path in present),
    )


def fetch_asset(
    name: str, *, entries: Mapping[str, AssetEntry], data_dir: Path, runtime: Runtime
) -> Path:
    """Make an asset's files be on disk, each verified, and return its folder.

    A file that is there is verified and kept. Every missing file is tried, even after
    another has failed. The runtime's callback gets the bytes so far.

    Raises:
        DataUnavailableError: If a file cannot be fetched; one message says which and why,
            where each belongs, and what works without them.
        DataError: If a file on disk is another than pinned or recorded, or nothing has this name.
    """
    entry = _entry(name, entries)
    folder = entry.folder_in(data_dir)
    failures: list[str] = []
    for file in entry.files:
        path = folder / file.path
        if not path.is_file():
            if tried := _download_from_any(file, path, runtime):
                failures.append(f"{'; '.join(tried)} belongs at {path}")
                continue
        _verify(file, path)
    if failures:
        offline = f". Without it, this works: {entry.offline}" if entry.offline else ""
        raise DataUnavailableError(
            f"{len(failures)} of {len(entry.files)} file(s) of asset {name!r} could not be "
            f"fetched. Fetch by hand what is missing: {'; '.join(failures)}{offline}"
        )
    return folder


def verify_asset(name: str, *, entries: Mapping[str, AssetEntry], data_dir: Path) -> dict[str, str]:
    """Hash an asset's files again and compare them with what is pinned or recorded.

    Returns:
        SHA-256 by path inside the asset's folder.

    Raises:
        DataUnavailableError: If a file is missing.
        DataError: If a file is another than pinned or recorded, or nothing has this name.
    """
    entry = _entry(name, entries)
    status = asset_status(entry, data_dir)
    if status.missing:
        raise DataUnavailableError(
            f"asset {name!r} lacks {', '.join(map(str, status.missing))}; "
            f"fetch it with: dygenept data fetch {name}"
        )
    return {
        file.path: _verify(file, status.folder / file.path, rehash=True) for file in entry.files
    }


def _entry(name: str, entries: Mapping[str, AssetEntry]) -> AssetEntry:
    if name not in entries:
        raise DataError(f"unknown asset {name!r}; {nearest(name, entries)}")
    return entries[name]


def _download_from_any(file: AssetFile, path: Path, runtime: Runtime) -> list[str]:
    """Try a file's addresses in turn; return what failed, nothing after a success."""
    tried = []
    for url in (file.url, *file.mirrors):
        try:
            _download(file.model_copy(update={"url": url}), path, runtime)
        except (DataUnavailableError, OSError) as error:
            tried.append(f"{url} ({error})")
        else:
            return []
    return tried


def _download(file: AssetFile, path: Path, runtime: Runtime) -> None:
    from dygenept.machine.checksums import read_record, record_path, verify_file
    from dygenept.machine.download import download, download_member

    record = read_record(path)
    expected = file.sha256 or (record.sha256 if record else None)
    try:
        if file.member is None:
            download(
                file.url,
                path,
                expected_sha256=expected,
                expected_size=file.size,
                report=runtime.report,
            )
        else:
            download_member(
                file.url, file.member, path, expected_sha256=expected, report=runtime.report
            )
    except DataUnavailableError as error:
        if record is None or file.sha256 is not None or "SHA-256" not in str(error):
            raise
        raise DataUnavailableError(
            f"{error}; if the publisher has a new release, delete {record_path(path)} and try again"
        ) from error
    verify_file(path, pinned=file.sha256, url=file.url)


def _verify(file: AssetFile, path: Path, *, rehash: bool = False) -> str:
    from dygenept.machine.checksums import verify_file

    size = path.stat().st_size
    if file.size is not None and file.size != size:
        raise DataError(
            f"{path} has {size:,} bytes, but the registry says {file.size:,}; delete the file to "
            "fetch it again"
        )
    return verify_file(path, pinned=file.sha256, rehash=rehash)
