"""Files other than data sets: graphs, checkpoints and the like, fetched into the data folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from dygenept.errors import ConfigError, DataError, DataUnavailableError, nearest
from dygenept.machine.checksums import record_path, verify_file
from dygenept.machine.fetched_files import Wanted, accept, check_file, fetch_file, was_fetched
from dygenept.plugin.yaml_files import validated
from dygenept.types import Runtime

if TYPE_CHECKING:
    from dygenept.data.asset_graphs import AssetGraph
    from dygenept.plugin.registry import Registry

logger = logging.getLogger(__name__)


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
    name: str,
    *,
    entries: Mapping[str, AssetEntry],
    data_dir: Path,
    runtime: Runtime,
    graph: AssetGraph | None = None,
    anew: bool = False,
) -> Path:
    """Make an asset's files be on disk, each opened and verified, and return its folder.

    A file that is there is verified and kept. Every missing file is tried, even after another has
    failed. The files of a knowledge graph must give edges together: if they do not, those that an
    earlier call fetched are fetched again, and of what this call fetched nothing is kept.

    Args:
        name: The asset.
        entries: All assets.
        data_dir: The data folder.
        runtime: Its callback gets the bytes so far.
        graph: The knowledge graph that reads the asset.
        anew: Fetch all files, whatever is there, and forget the recorded checksums.

    Raises:
        DataUnavailableError: If a file cannot be fetched; one message says which and why,
            where each belongs, and what works without them.
        DataError: If a file on disk is another than pinned or recorded, or nothing has this name.
    """
    entry = _entry(name, entries)
    wanted = _wanted(entry, data_dir, graph)
    fetched = _fetch_all(name, entry, wanted, runtime, anew=anew)
    if graph is not None:
        try:
            graph.check(runtime)
        except DataError as error:
            earlier = [file for file in wanted if file not in fetched and was_fetched(file.path)]
            if not earlier:
                _drop(fetched)
                raise
            logger.warning("%s; its files were fetched before and are fetched again", error)
            fetched += _fetch_all(name, entry, earlier, runtime, anew=True)
            try:
                graph.check(runtime)
            except DataError:
                _drop(fetched)
                raise
    return entry.folder_in(data_dir)


def verify_asset(
    name: str,
    *,
    entries: Mapping[str, AssetEntry],
    data_dir: Path,
    graph: AssetGraph | None = None,
) -> dict[str, str]:
    """Open an asset's files, hash them again and compare them with what is pinned or recorded.

    Returns:
        SHA-256 by path inside the asset's folder.

    Raises:
        DataUnavailableError: If a file is missing.
        DataError: If a file does not open, is another than pinned or recorded, the knowledge graph
            has no edge, or nothing has this name.
    """
    entry = _entry(name, entries)
    status = asset_status(entry, data_dir)
    mend = f"fetch it with: dygenept data fetch {name}"
    if status.missing:
        raise DataUnavailableError(
            f"asset {name!r} lacks {', '.join(map(str, status.missing))}; {mend}"
        )
    hashes = {}
    for file, wanted in zip(entry.files, _wanted(entry, data_dir, graph), strict=True):
        try:
            check_file(wanted)
        except DataError as error:
            raise DataError(f"{error}; {mend}") from error
        hashes[file.path] = verify_file(wanted.path, pinned=file.sha256, rehash=True)
    if graph is not None:
        # Read from the files, not from what an earlier run kept of them.
        graph.check(Runtime())
    return hashes


def _entry(name: str, entries: Mapping[str, AssetEntry]) -> AssetEntry:
    if name not in entries:
        raise DataError(f"unknown asset {name!r}; {nearest(name, entries)}")
    return entries[name]


def _wanted(entry: AssetEntry, data_dir: Path, graph: AssetGraph | None) -> list[Wanted]:
    return [
        Wanted(
            path=entry.folder_in(data_dir) / file.path,
            urls=(file.url, *file.mirrors),
            member=file.member,
            sha256=file.sha256,
            size=file.size,
            check=accept if graph is None else graph.check_file,
        )
        for file in entry.files
    ]


def _fetch_all(
    name: str, entry: AssetEntry, files: Sequence[Wanted], runtime: Runtime, *, anew: bool
) -> list[Wanted]:
    """Fetch what is missing, all that can be had; return what was fetched."""
    fetched, failures = [], []
    for file in files:
        try:
            if fetch_file(file, runtime.report, anew=anew):
                fetched.append(file)
        except DataUnavailableError as error:
            failures.append(f"{error} belongs at {file.path}")
    if failures:
        offline = f". Without it, this works: {entry.offline}" if entry.offline else ""
        raise DataUnavailableError(
            f"{len(failures)} of {len(entry.files)} file(s) of asset {name!r} could not be "
            f"fetched. Fetch by hand what is missing: {'; '.join(failures)}{offline}"
        )
    return fetched


def _drop(files: Sequence[Wanted]) -> None:
    """Remove files that turned out to be wrong, and what was recorded of them."""
    for file in files:
        record_path(file.path).unlink(missing_ok=True)
        file.path.unlink(missing_ok=True)
