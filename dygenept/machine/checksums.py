"""Checksums of downloaded files: pinned in the registry, else trusted on first sight."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.errors import DataError
from dygenept.machine.whole_files import write_whole

logger = logging.getLogger(__name__)


class ChecksumRecord(BaseModel):
    """What is kept beside a file once it has been seen whole.

    Attributes:
        sha256: SHA-256 of the file.
        size: Its bytes.
        modified_ns: Its modification time when it was last hashed, so that an unchanged file is
            not hashed again on every load.
        url: Where it was fetched from; None if it was put there by hand.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    size: int
    modified_ns: int
    url: str | None = None


def record_path(path: Path) -> Path:
    """Return where the record of a file is kept."""
    return path.with_name(f"{path.name}.sha256.json")


def file_sha256(path: Path) -> str:
    """Hash a file without reading it into memory at once; 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Return the bytes and the SHA-256 of a file, or of all files of a folder, such as a store.

    That of a folder hashes the path below it, the size and the content of each file, in order.
    """
    if not path.is_dir():
        return path.stat().st_size, file_sha256(path)
    digest, total = hashlib.sha256(), 0
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        size, content = part.stat().st_size, file_sha256(part)
        digest.update(f"{part.relative_to(path).as_posix()}\0{size}\0{content}\n".encode())
        total += size
    return total, digest.hexdigest()


def file_md5(path: Path) -> str:
    """Hash a file as archives such as Zenodo and figshare publish it; 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def verify_file(path: Path, *, pinned: str | None = None, rehash: bool = False) -> str:
    """Check a file against its pinned checksum, else against the record of its first sight.

    A file seen for the first time is recorded. One whose size and time are as recorded is not
    hashed again.

    Args:
        path: The file.
        pinned: SHA-256 that the registry names.
        rehash: Hash it whatever its time says.

    Returns:
        Its SHA-256.

    Raises:
        DataError: If the checksum differs, or the record cannot be read.
    """
    record = read_record(path)
    status = path.stat()
    is_unchanged = (
        record is not None
        and not rehash
        and (record.size, record.modified_ns) == (status.st_size, status.st_mtime_ns)
    )
    sha256 = record.sha256 if record is not None and is_unchanged else file_sha256(path)
    place = record_path(path)
    for expected, origin, mend in (
        (pinned, "the registry pins", "correct that entry"),
        (record.sha256 if record else None, f"{place.name} recorded", f"delete {place}"),
    ):
        if expected is not None and expected.lower() != sha256:
            raise DataError(
                f"{path} has SHA-256 {sha256[:16]}…, but {origin} {expected[:16]}…; if the file is "
                f"the right one, {mend}; if not, fetch it again: dygenept data fetch --force"
            )
    if not is_unchanged:
        record_file(path, sha256, url=record.url if record else None)
    return sha256


def record_file(path: Path, sha256: str, *, url: str | None) -> None:
    """Record a file that has this SHA-256; its size and time are looked up."""
    status = path.stat()
    record = ChecksumRecord(
        sha256=sha256, size=status.st_size, modified_ns=status.st_mtime_ns, url=url
    )
    _write_record(path, record)


def read_record(path: Path) -> ChecksumRecord | None:
    """Return the record of a file, or None where there is none.

    Raises:
        DataError: If there is one and it is damaged.
    """
    place = record_path(path)
    if not place.is_file():
        return None
    try:
        return ChecksumRecord.model_validate_json(place.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{place} is damaged; delete it to record the checksum of {path.name} again"
        ) from error


def _write_record(path: Path, record: ChecksumRecord) -> None:
    place = record_path(path)
    try:
        write_whole(place, (json.dumps(record.model_dump(), indent=2) + "\n").encode())
    except OSError as error:
        # A shared, read-only or full data folder still serves; the hash is computed every time.
        logger.warning("the checksum of %s could not be recorded: %s", path, error)
