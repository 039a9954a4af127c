"""Fetches files over HTTP, so that a half or wrong file never lies where a right one belongs."""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import DataUnavailableError
from dygenept.types import Progress, no_report

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 30.0
# No part of a transfer that goes on is as old: it would have timed out, or been renamed.
ABANDONED_S = 3600.0
BLOCK_BYTES = 1 << 20
_PAGE_STARTS = (b"<!doctype", b"<html", b"<?xml")
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")


def download(
    url: str,
    destination: Path,
    *,
    expected_sha256: str | None = None,
    expected_size: int | None = None,
    report: Callable[[Progress], None] = no_report,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """Fetch a file, check it, and only then give it its name.

    Args:
        url: What to fetch; redirects are followed.
        destination: Where it goes; its folder is made, a file that is there is replaced.
        expected_sha256: Checksum that it must have.
        expected_size: Bytes that it must have.
        report: Gets the bytes so far, as stage ``download``.
        timeout_s: Longest wait for a connection or for the next bytes.

    Returns:
        SHA-256 of what was fetched.

    Raises:
        DataUnavailableError: If the server cannot be reached, answers with another status than
            200 or with a web page, or sends other bytes than announced or expected. Nothing is
            left at ``destination``.
    """
    temporary = _temporary(destination)
    try:
        sha256 = _fetch(url, temporary, destination.name, expected_size, report, timeout_s)
        if expected_sha256 is not None and sha256 != expected_sha256.lower():
            raise DataUnavailableError(
                f"{url} gave a file with SHA-256 {sha256[:16]}…, expected {expected_sha256[:16]}…"
            )
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
    return sha256


def download_member(
    url: str,
    file_name: str,
    destination: Path,
    *,
    expected_sha256: str | None = None,
    report: Callable[[Progress], None] = no_report,
) -> str:
    """Fetch a zip archive and keep the one file of this name in it.

    Each process has an archive of its own, so that two that fetch at once do not disturb each
    other.

    Args:
        url: The archive; redirects are followed.
        file_name: Last part of the member's path.
        destination: Where the file goes.
        expected_sha256: Checksum that the file must have.
        report: Gets the bytes so far, as stages ``download`` and ``extract``.

    Returns:
        SHA-256 of the file.

    Raises:
        DataUnavailableError: As ``download`` and ``extract_member`` do.
    """
    archive = _temporary(destination, "zip.")
    try:
        _fetch(url, archive, file_name, None, report, TIMEOUT_S)
        return extract_member(
            archive,
            file_name,
            destination,
            expected_sha256=expected_sha256,
            report=report,
            called=url,
        )
    finally:
        archive.unlink(missing_ok=True)


def extract_member(
    archive: Path,
    file_name: str,
    destination: Path,
    *,
    expected_sha256: str | None = None,
    report: Callable[[Progress], None] = no_report,
    called: str | None = None,
) -> str:
    """Take the one file of this name out of a zip archive, wherever in it the file lies.

    The archive's own paths are never used as paths on disk.

    Args:
        archive: The zip file.
        file_name: Last part of the member's path.
        destination: Where it goes, under a temporary name until it is whole.
        expected_sha256: Checksum that it must have.
        report: Gets the bytes so far, as stage ``extract``.
        called: What errors call the archive; None takes its name.

    Returns:
        SHA-256 of the file.

    Raises:
        DataUnavailableError: If the archive is damaged, contains no such file or several, or the
            file has another checksum. Nothing is left at ``destination``.
    """
    called = called or archive.name
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(destination)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [
                item
                for item in opened.infolist()
                if not item.is_dir()
                and item.filename.rsplit("/", 1)[-1] == file_name
                and not item.filename.startswith("__MACOSX/")
            ]
            if len(members) != 1:
                raise DataUnavailableError(
                    f"{called} contains {len(members)} files named {file_name}, expected one"
                )
            digest, size = hashlib.sha256(), 0
            with opened.open(members[0]) as source, temporary.open("wb") as target:
                while block := source.read(BLOCK_BYTES):
                    target.write(block)
                    digest.update(block)
                    size += len(block)
                    report(Progress("extract", size, members[0].file_size, file_name))
        sha256 = digest.hexdigest()
        if expected_sha256 is not None and sha256 != expected_sha256.lower():
            raise DataUnavailableError(
                f"{file_name} in {called} has SHA-256 {sha256[:16]}…, expected "
                f"{expected_sha256[:16]}…"
            )
        temporary.replace(destination)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataUnavailableError(
            f"{called} is not a zip archive or is damaged: {error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return sha256


def _fetch(
    url: str,
    path: Path,
    name: str,
    expected_size: int | None,
    report: Callable[[Progress], None],
    timeout_s: float,
) -> str:
    """Fetch a whole file to a temporary path; returns its SHA-256."""
    import httpx

    try:
        with httpx.stream(
            "GET",
            url,
            follow_redirects=True,
            timeout=timeout_s,
            headers={"Accept-Encoding": "identity"},
        ) as response:
            sha256, size = _receive(response, path, report, name)
        _check_size(response, size, expected_size)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise DataUnavailableError(f"{url} could not be fetched: {reason}") from error
    return sha256


def _receive(
    response: httpx.Response, path: Path, report: Callable[[Progress], None], name: str
) -> tuple[str, int]:
    if response.status_code != 200:
        raise DataUnavailableError(
            f"{response.url} answered {response.status_code} {response.reason_phrase}"
        )
    content_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type in _PAGE_TYPES:
        raise DataUnavailableError(
            f"{response.url} answered with a web page ({content_type}), not a data file"
        )
    announced = response.headers.get("content-length", "")
    total = int(announced) if announced.isdigit() else 0
    digest, size = hashlib.sha256(), 0
    # Only now: a refusal leaves not even a folder behind.
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for block in response.iter_raw(BLOCK_BYTES):
            if size == 0 and block.lstrip()[:16].lower().startswith(_PAGE_STARTS):
                raise DataUnavailableError(
                    f"{response.url} answered with a web page, not a data file"
                )
            file.write(block)
            digest.update(block)
            size += len(block)
            report(Progress("download", size, total, name))
    return digest.hexdigest(), size


def _check_size(response: httpx.Response, size: int, expected: int | None) -> None:
    announced = response.headers.get("content-length", "")
    wanted = int(announced) if announced.isdigit() else expected
    for count in (wanted, expected):
        if count is not None and count != size:
            raise DataUnavailableError(
                f"{response.url} sent {size:,} bytes, expected {count:,}; the transfer was cut "
                "short or the file has changed"
            )
    if size == 0:
        raise DataUnavailableError(f"{response.url} sent an empty file")


def _temporary(destination: Path, kind: str = "") -> Path:
    """Name a part of this process's own; parts that killed processes left are removed."""
    for left in destination.parent.glob(f".{destination.name}.*.part"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                left.unlink()
    return destination.with_name(f".{destination.name}.{kind}{os.getpid()}.part")
