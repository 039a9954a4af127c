"""What a folder's records are about, kept beside them, so that not every value is read each time.

The index is one small file, written whole; whatever it says of a record counts only while the
record's file is the same (size, times and inode). Where it cannot be written beside the records it
is kept in this user's cache, and without that the records are simply read again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import overload

from pydantic import BaseModel, ConfigDict, ValidationError

import dygenept
from dygenept.machine.folders import default_cache_dir
from dygenept.machine.whole_files import write_whole
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

logger = logging.getLogger(__name__)

FILE_NAME = ".index"
# What the rows of a board depend on besides its records.
_SOURCES = ("evaluation", "leaderboard", "results")


class RecordHeader(BaseModel):
    """What tells one record from others.

    Attributes:
        stamp: Size, times and inode of its file.
        key: Its key; so for the other fields of ``RunRecord``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stamp: str
    key: str
    model: str
    role: str
    fold: int
    seed: int
    created: str
    dataset: str
    dataset_sha256: str
    simulated: bool
    suite: str
    split: str
    split_sha256: str
    de_list: str
    metrics: tuple[str, ...]

    @classmethod
    def of(cls, record: RunRecord, stamp: str) -> RecordHeader:
        """Take what is kept from a record."""
        return cls(
            stamp=stamp,
            key=record.key,
            model=record.model,
            role=record.role,
            fold=record.fold,
            seed=record.seed,
            created=record.created,
            dataset=record.dataset.name,
            dataset_sha256=record.dataset.sha256,
            simulated=record.dataset.simulated,
            suite=record.suite,
            split=record.split.name,
            split_sha256=record.split.sha256,
            de_list=record.de_list,
            metrics=tuple(metric.name for metric in record.metrics),
        )


class _Index(BaseModel):
    """The file's content: headers by the name of a record's file, and texts derived from records.

    ``derived`` has, by what was derived of whom, a digest of the records' stamps and the text.
    """

    model_config = ConfigDict(extra="forbid")

    code: str
    headers: dict[str, RecordHeader] = {}
    derived: dict[str, tuple[str, str]] = {}


class IndexedRecords(Sequence[RunRecord]):
    """Some records of a folder, read from their files only when they are asked for.

    Attributes:
        headers: What they are about, by the name of their file, in their order.
    """

    def __init__(self, index: RecordIndex, headers: dict[str, RecordHeader]) -> None:
        """Name the records; nothing is read."""
        self.headers = headers
        self._index = index
        self._first: RunRecord | None = None

    @property
    def models(self) -> set[str]:
        """Names of their models."""
        return {header.model for header in self.headers.values()}

    def of_models(self, models: Iterable[str]) -> IndexedRecords:
        """Return the records of some models."""
        wanted = set(models)
        kept = {name: header for name, header in self.headers.items() if header.model in wanted}
        return IndexedRecords(self._index, kept)

    def derived(self, what: str, make: Callable[[], str]) -> str:
        """Return a text that is derived from these records alone, made anew where one has changed.

        Args:
            what: Names the text among all that are derived of these records.
            make: Makes it.
        """
        stamps = "\n".join(f"{name} {header.stamp}" for name, header in self.headers.items())
        digest = hashlib.sha256(stamps.encode()).hexdigest()
        return self._index.derived(f"{what} {self.mark}", digest, make)

    @property
    def mark(self) -> str:
        """A digest of their files' names, whatever these contain."""
        of = "\n".join(sorted(self.headers))
        return hashlib.sha256(of.encode()).hexdigest()[:32]

    def __len__(self) -> int:
        """Count them."""
        return len(self.headers)

    def __iter__(self) -> Iterator[RunRecord]:
        """Read them one by one."""
        return self._index.read(self.headers)

    @overload
    def __getitem__(self, position: int) -> RunRecord: ...
    @overload
    def __getitem__(self, position: slice) -> list[RunRecord]: ...
    def __getitem__(self, position: int | slice) -> RunRecord | list[RunRecord]:
        """Read one; the first, which tells what all have in common, is kept."""
        if position != 0:
            return list(self)[position]
        if self._first is None:
            self._first = next(iter(self))
        return self._first


class RecordIndex:
    """The index of one results folder."""

    def __init__(self, directory: Path, *, is_writer: bool = True) -> None:
        """Read what is kept of it, and look for records that are new, changed or gone.

        Args:
            directory: The results folder.
            is_writer: False leaves damaged records where they are.

        Raises:
            ResultsError: If the folder does not exist.
        """
        self._store = ResultsStore(directory, is_writer=is_writer)
        name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:32]
        self._places = (
            directory / FILE_NAME,
            default_cache_dir() / "indexes" / f"{name}.json",
        )
        paths = self._store.paths()
        stamps = {path.name: _stamp(path) for path in paths}
        kept = [(_known(index, stamps), index) for place in self._places if (index := _read(place))]
        # One beside records that may only be read may be older than the one in the cache.
        known, self._kept = max(kept, key=lambda of: len(of[0]), default=({}, _Index(code=_code())))
        new = [path for path in paths if path.name not in known]
        for path, record in self._store.usable(new):
            known[path.name] = RecordHeader.of(record, stamps[path.name])
        self.headers = {path.name: known[path.name] for path in paths if path.name in known}
        self._is_changed = self.headers != self._kept.headers
        self._kept.headers = self.headers

    def records(self, headers: dict[str, RecordHeader]) -> IndexedRecords:
        """Return some of the folder's records, unread."""
        return IndexedRecords(self, headers)

    def read(self, names: Iterable[str]) -> Iterator[RunRecord]:
        """Read records by the names of their files."""
        paths = (self._store.directory / "runs" / name for name in names)
        return (record for _, record in self._store.usable(paths))

    def derived(self, key: str, digest: str, make: Callable[[], str]) -> str:
        """Return a kept text if its digest is this one, else make and keep it."""
        kept = self._kept.derived.get(key)
        if kept is not None and kept[0] == digest:
            return kept[1]
        text = make()
        self._kept.derived[key] = (digest, text)
        self._is_changed = True
        return text

    def forget(self, groups: Iterable[IndexedRecords]) -> None:
        """Drop what is kept of other groups of records than these: it will not be asked for."""
        marks = {of.mark for of in groups}
        derived = self._kept.derived
        kept = {key: text for key, text in derived.items() if key.rpartition(" ")[2] in marks}
        if len(kept) < len(derived):
            self._kept.derived = kept
            self._is_changed = True

    def save(self) -> None:
        """Keep what was found, in the first place that takes it."""
        if not self._is_changed:
            return
        content = self._kept.model_dump_json().encode()
        checksum = hashlib.sha256(content).hexdigest().encode()
        for place in self._places:
            try:
                write_whole(place, checksum + b"\n" + content)
            except OSError as error:
                logger.debug("no index at %s: %s", place, error)
            else:
                self._is_changed = False
                return


def _read(place: Path) -> _Index | None:
    """Read an index; None if there is none, or a damaged one, or one that other code made."""
    try:
        checksum, _, content = place.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != checksum:
            return None
        index = _Index.model_validate_json(content)
    except (OSError, ValidationError):
        return None
    return index if index.code == _code() else None


def _known(index: _Index, stamps: Mapping[str, str]) -> dict[str, RecordHeader]:
    """Return what an index says of the files that are still as it saw them."""
    return {
        name: header for name, header in index.headers.items() if stamps.get(name) == header.stamp
    }


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return f"{status.st_size} {times[0]} {times[1]} {status.st_ino}"


@cache
def _code() -> str:
    """Hash the code that reads records and derives texts from them."""
    root = Path(dygenept.__file__).parent
    digest = hashlib.sha256()
    for room in _SOURCES:
        for path in sorted((root / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
