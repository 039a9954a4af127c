"""One file on disk, as somebody publishes it: fetched, opened, and only then named and recorded."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import DataError, DataUnavailableError
from dygenept.machine.archives import extract_member, unpack_gzip
from dygenept.machine.checksums import (
    ChecksumRecord,
    file_md5,
    file_sha256,
    read_record,
    record_file,
    record_path,
    verify_file,
)
from dygenept.machine.download import discard, download
from dygenept.machine.file_checks import SELF_DELIMITING, check_content
from dygenept.machine.http_clients import shown
from dygenept.types import Progress, no_report

if TYPE_CHECKING:
    from filelock import BaseFileLock

logger = logging.getLogger(__name__)


def accept(path: Path) -> None:
    """Accept any file that opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a publisher says of the bytes that an address serves.

    Attributes:
        size: How many there are.
        md5: Their MD5, as Zenodo and figshare publish it.
        sha256: Their SHA-256, as Hugging Face publishes it.
    """

    size: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def check(self, path: Path, *, called: str) -> None:
        """Compare a file with it.

        Raises:
            DataUnavailableError: If the file has another size or checksum.
        """
        n_bytes = path.stat().st_size
        if self.size is not None and n_bytes != self.size:
            raise DataUnavailableError(
                f"{called} has {n_bytes:,} bytes, and the publisher says {self.size:,}"
            )
        for kind, wanted, hashed in (
            ("MD5", self.md5, file_md5),
            ("SHA-256", self.sha256, file_sha256),
        ):
            if wanted is not None and (found := hashed(path)) != wanted.lower():
                raise DataUnavailableError(
                    f"{called} has {kind} {found[:16]}…, and the publisher says {wanted[:16]}…"
                )

    @property
    def is_certain(self) -> bool:
        """True if a file that was cut short cannot pass."""
        return any(value is not None for value in (self.size, self.md5, self.sha256))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file and what it must be.

    Attributes:
        path: Where it belongs; its name says what it must open as.
        urls: Where it is fetched from, tried in turn until one gives the right file.
        member: Where the addresses are zip archives, the file in them that is kept.
        sha256: SHA-256 that it must have; None trusts the first one that opens.
        size: Bytes that it must have.
        served: What the publisher says of what the addresses serve, archives included.
        is_gzipped: True where the addresses serve the file packed with gzip, to be unpacked.
        check: Looks into the file beyond that; raises DataError where it is not the right one, with
            the rest of a sentence that begins with the file.
    """

    path: Path
    urls: tuple[str, ...]
    member: str | None = None
    sha256: str | None = None
    size: int | None = None
    served: Served = Served()
    is_gzipped: bool = False
    check: Callable[[Path], None] = accept

    @property
    def is_packed(self) -> bool:
        """True if what is served is not the file itself."""
        return self.member is not None or self.is_gzipped


def fetch_file(
    wanted: Wanted, report: Callable[[Progress], None] = no_report, *, anew: bool = False
) -> bool:
    """Make a file be on disk, opened as what it must be and as recorded.

    A file that is there is kept. One that was fetched before and does not open, because what came
    was not looked into then, is fetched again. Processes that fetch one file wait for each other.

    Args:
        wanted: The file.
        report: Gets the bytes so far.
        anew: Fetch it whatever is there, and forget the recorded checksum.

    Returns:
        True if it was fetched.

    Raises:
        DataUnavailableError: If no address gives the right file; each is named, with the reason.
        DataError: If the file on disk is not the right one and was not fetched by this program.
    """
    path = wanted.path
    if not anew and path.is_file() and _is_right(wanted):
        return False
    with _alone(path):
        # Another process may have fetched it while this one waited.
        if not anew and path.is_file() and _is_right(wanted):
            return False
        _fetch(wanted, report, forgets=anew or path.is_file())
    return True


def check_file(wanted: Wanted, path: Path | None = None, *, called: str | None = None) -> str:
    """Open a file as what it must be; return what kind it is.

    Raises:
        DataError: If it is not the right one.
    """
    path = path or wanted.path
    called = called or str(path)
    # Of a file that somebody put there, the text may be what they want.
    is_sent = path != wanted.path or was_fetched(path)
    kind = check_content(path, wanted.path.name, called=called, is_sent=is_sent)
    size = path.stat().st_size
    if wanted.size is not None and wanted.size != size:
        raise DataError(f"{called} has {size:,} bytes, but the registry says {wanted.size:,}")
    try:
        wanted.check(path)
    except DataError as error:
        raise DataError(f"{called} {error}") from error
    return kind


def was_fetched(path: Path) -> bool:
    """True if a file was fetched by this program, which may then replace it.

    Raises:
        DataError: If its record is damaged.
    """
    record = read_record(path)
    return record is not None and record.url is not None


def _is_right(wanted: Wanted) -> bool:
    """True if the file on disk is the right one, False if it is to be fetched again."""
    path = wanted.path
    try:
        check_file(wanted)
    except DataError as error:
        if not was_fetched(path):
            raise DataError(
                f"{error}; it was not fetched, so it is left as it is; replace it, or have it "
                "replaced by: dygenept data fetch --force"
            ) from error
        logger.warning("%s; it was fetched before and is fetched again", error)
        return False
    if not wanted.is_packed and read_record(path) is None:
        # Put there by hand and seen for the first time: it may still be another release.
        try:
            wanted.served.check(path, called=str(path))
        except DataUnavailableError as error:
            raise DataError(
                f"{error}; it was not fetched, so it is left as it is; replace it, or have it "
                "replaced by: dygenept data fetch --force"
            ) from error
    verify_file(path, pinned=wanted.sha256)
    return True


def _fetch(wanted: Wanted, report: Callable[[Progress], None], *, forgets: bool) -> None:
    path = wanted.path
    record = None if forgets else read_record(path)
    part = path.with_name(f".{path.name}.part")
    tried = []
    for url in wanted.urls:
        try:
            sha256 = _received(wanted, url, part, record, report)
        except (DataError, OSError) as error:
            said = str(error)
            tried.append(said if said.startswith(shown(url)) else f"{shown(url)}: {said}")
        else:
            record_path(path).unlink(missing_ok=True)
            part.replace(path)
            record_file(path, sha256, url=shown(url))
            # Parts of other addresses, and those that older versions left.
            for left in path.parent.glob(f".{glob.escape(path.name)}.*part*"):
                left.unlink(missing_ok=True)
            return
    raise DataUnavailableError("; ".join(tried))


def _received(
    wanted: Wanted,
    url: str,
    part: Path,
    record: ChecksumRecord | None,
    report: Callable[[Progress], None],
) -> str:
    """Fetch a file and open it under its temporary name; return its SHA-256.

    What turns out to be wrong is not kept; a transfer that was cut off is, to go on with it.
    """
    name, served = wanted.path.name, wanted.served
    source = part.with_name(f"{part.name}.packed") if wanted.is_packed else part
    size = served.size if wanted.is_packed else served.size or wanted.size
    has_known_end = download(url, source, size=size, report=report, called=name)
    try:
        served.check(source, called="what came")
        if wanted.member is not None:
            extract_member(
                source, wanted.member, part, size=wanted.size, report=report, called="the archive"
            )
        elif wanted.is_gzipped:
            unpack_gzip(source, part, size=wanted.size, report=report, called="the archive")
        kind = check_file(wanted, part, called="what came")
        is_pinned = wanted.sha256 is not None or wanted.size is not None or served.is_certain
        # The end of a packed file is where its list of files, or its checksum, is.
        if not (has_known_end or is_pinned or wanted.is_packed or kind in SELF_DELIMITING):
            raise DataError(
                "the server does not say how long the file is, so that half of it could pass for "
                "all; name its size or sha256 in the registry"
            )
        sha256 = file_sha256(part)
        _compare(sha256, wanted, record)
    except Exception:
        discard(part)
        discard(source)
        raise
    return sha256


def _compare(sha256: str, wanted: Wanted, record: ChecksumRecord | None) -> None:
    """Refuse another file than the registry pins or an earlier fetch recorded."""
    if wanted.sha256 is not None:
        if wanted.sha256.lower() != sha256:
            raise DataUnavailableError(
                f"what came has SHA-256 {sha256[:16]}…, and the registry pins {wanted.sha256[:16]}…"
            )
    elif record is not None and record.sha256 != sha256:
        place = record_path(wanted.path)
        raise DataUnavailableError(
            f"what came has SHA-256 {sha256[:16]}…, and {place.name} recorded "
            f"{record.sha256[:16]}…; if the publisher has a new release, delete {place}, or "
            "fetch it with: dygenept data fetch --force"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from fetching the same file; make its folder for that long at least."""
    from filelock import FileLock

    made = [folder for folder in path.absolute().parents if not folder.exists()]
    place = path.with_name(f".{path.name}.lock")
    lock = FileLock(place)
    while not lock.is_locked:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _acquire(lock, path)
        # Another process was refused the file and removed the folder that it had made.
        except FileNotFoundError:
            continue
        except NotImplementedError:
            logger.warning("no locks on the file system of %s; fetch it once at a time", path)
            break
    try:
        yield
    finally:
        # Whoever waits finds that the file it locked has no name any more, and locks a new one.
        with suppress(OSError):
            place.unlink(missing_ok=True)
        lock.release()
        # A refusal leaves not even a folder behind.
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _acquire(lock: BaseFileLock, path: Path) -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("another process fetches %s; waiting for it", path)
        lock.acquire()
