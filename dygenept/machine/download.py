"""Transfers over HTTP that end: tried again within bounds, resumed where they were cut off.

What arrives lies under a temporary name, and says nothing of itself: ``fetched_files`` opens it
before it gets a name.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.errors import DataUnavailableError
from dygenept.machine.http_clients import backoff_s, masked, open_client, retry_after_s, shown
from dygenept.types import Progress, no_report

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_PAGE_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
# What arrived since the last fault, from which on a fault counts as the first one again.
_PROGRESS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how often and how much.

    Attributes:
        timeout_s: Longest wait for a connection or for the next bytes.
        attempts: Attempts without progress in between; two where no connection comes about.
        base_s: Longest wait after the first fault; doubled after each further one.
        cap_s: Longest wait that is chosen here.
        max_retry_after_s: Longest wait that a server may ask for.
        slow_s: Time over which the rate is measured.
        min_rate: Fewest bytes a second.
        total_s: Longest time for one address, attempts and waits together.
        max_bytes: Largest file whose size nobody says beforehand.
    """

    timeout_s: float = 30.0
    attempts: int = 4
    base_s: float = 1.0
    cap_s: float = 30.0
    max_retry_after_s: float = 120.0
    slow_s: float = 20.0
    min_rate: float = 1024.0
    total_s: float = 6 * 3600.0
    max_bytes: int = 4 << 30


LIMITS = Limits()


class Validator(BaseModel):
    """What is kept beside a part of a file, so that a later process can go on with it.

    Attributes:
        address: SHA-256 of the address; the address itself may contain secrets.
        entity: The server's strong ETag, or its Last-Modified.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    entity: str


class _FaultError(Exception):
    """An answer after which the server may be asked again."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def validator_path(part: Path) -> Path:
    """Return where the validator of a part is kept."""
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a part and its validator."""
    part.unlink(missing_ok=True)
    validator_path(part).unlink(missing_ok=True)


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    report: Callable[[Progress], None] = no_report,
    limits: Limits | None = None,
    called: str | None = None,
) -> bool:
    """Fetch a file, going on with what an earlier attempt left where the server allows that.

    Args:
        url: What to fetch; at most 10 redirects are followed, none from https to http.
        part: Where it goes; its folder is made. After a fault it stays for a later attempt if the
            server named the file's version.
        size: Bytes that it must have.
        report: Gets the bytes so far, as stage ``download``.
        limits: How long, how often and how much; None takes ``LIMITS``.
        called: The file's name in reports; None takes that of the part.

    Returns:
        True if the server said where the file ends, so that half a file cannot pass for a whole.

    Raises:
        DataUnavailableError: If the server cannot be reached, goes on to fail, refuses, is too
            slow, or sends a web page, another encoding, or other bytes than announced or expected.
    """
    limits = limits or LIMITS
    transfer = _Transfer(url, part, size, report, limits, called or part.name)
    try:
        return transfer.run()
    finally:
        if not validator_path(part).exists() and not transfer.is_done:
            part.unlink(missing_ok=True)


@dataclass(slots=True)
class _Transfer:
    """One file from one address."""

    url: str
    part: Path
    size: int | None
    report: Callable[[Progress], None]
    limits: Limits
    name: str
    is_done: bool = False

    def run(self) -> bool:
        """Try until it succeeds or is given up."""
        import httpx2

        limits, attempt = self.limits, 0
        end = time.monotonic() + limits.total_s
        while True:
            before = self._n_bytes
            try:
                with open_client(limits.timeout_s) as client:
                    is_length_known = self._receive(client, end)
                self.is_done = True
                return is_length_known
            except (
                httpx2.UnsupportedProtocol,
                httpx2.TooManyRedirects,
                httpx2.InvalidURL,
            ) as error:
                raise self._refused(f"could not be fetched: {error}") from error
            except (httpx2.HTTPError, _FaultError) as error:
                is_far = self._n_bytes - before >= _PROGRESS_BYTES
                attempt = 1 if is_far else attempt + 1
                wait_s = self._wait_s(error, attempt)
                reason = " ".join(str(error).split()) or type(error).__name__
                if wait_s is None or time.monotonic() + wait_s > end:
                    raise self._refused(f"could not be fetched: {reason}") from error
                logger.warning(
                    "%s: %s; trying again in %.1f s", shown(self.url), masked(reason), wait_s
                )
                time.sleep(wait_s)
            # Such as a host that is not a name, or a header that cannot be sent.
            except (ValueError, UnicodeError) as error:
                raise self._refused(f"could not be fetched: {error}") from error

    def _wait_s(self, error: Exception, attempt: int) -> float | None:
        import httpx2

        is_unreached = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        if attempt >= (min(2, self.limits.attempts) if is_unreached else self.limits.attempts):
            return None
        chosen = backoff_s(attempt, base_s=self.limits.base_s, cap_s=self.limits.cap_s)
        asked = error.wait_s if isinstance(error, _FaultError) else None
        if asked is None:
            return chosen
        return max(asked, chosen) if asked <= self.limits.max_retry_after_s else None

    def _receive(self, client: httpx2.Client, end: float) -> bool:
        start, headers = 0, {"Accept-Encoding": "identity"}
        if (entity := self._resumable()) is not None:
            start = self._n_bytes
            headers |= {"Range": f"bytes={start}-", "If-Range": entity}
        with self._answering(client, headers) as response:
            if start and _is_whole(response, start):
                return True
            start = self._begun(response, start, entity)
            total = self._total(response, start)
            # Only now: a refusal leaves not even a folder behind.
            self.part.parent.mkdir(parents=True, exist_ok=True)
            with self.part.open("r+b" if start else "wb") as file:
                file.seek(start)
                # After the old content is gone: no version may ever stand beside another's bytes.
                self._keep_validator(response)
                self._copy(response, file.write, start=start, total=total, end=end)
        received = self._n_bytes
        for wanted in (total, self.size):
            if wanted is not None and wanted != received:
                discard(self.part)
                raise self._refused(
                    f"sent {received:,} bytes, expected {wanted:,}; the transfer was cut short or "
                    "the file has changed"
                )
        if received == 0:
            raise self._refused("sent an empty file")
        return total is not None or "chunked" in response.headers.get("transfer-encoding", "")

    @contextmanager
    def _answering(
        self, client: httpx2.Client, headers: dict[str, str]
    ) -> Iterator[httpx2.Response]:
        """Ask, and wait for the head of the answer within bounds, however slowly it comes."""
        import httpx2

        late = threading.Event()

        def stop() -> None:
            late.set()
            client.close()

        watch = threading.Timer(2 * self.limits.timeout_s, stop)
        watch.daemon = True
        watch.start()
        try:
            with client.stream("GET", self.url, headers=headers) as response:
                watch.cancel()
                yield response
        except (httpx2.HTTPError, RuntimeError) as error:
            if not late.is_set():
                raise
            raise self._refused(
                f"did not begin to answer within {2 * self.limits.timeout_s:g} s"
            ) from error
        finally:
            watch.cancel()

    def _begun(self, response: httpx2.Response, start: int, entity: str | None) -> int:
        """Check status, type and encoding; return where in the file the body begins."""
        status = response.status_code
        said = f"answered {status} {response.reason_phrase}".strip()
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if start and status in (206, 416):
            is_next = found is not None and int(found[1]) == start
            if status == 416 or not is_next or _entity(response) not in (None, entity):
                discard(self.part)
                raise _FaultError(f"{said} for the rest of a file that has changed", 0.0)
        elif status in _RETRIED:
            raise _FaultError(said, retry_after_s(response.headers))
        elif status != 200:
            raise self._refused(said)
        content_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if content_type in _PAGE_TYPES:
            raise self._refused(f"answered with a web page ({content_type}), not a data file")
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        # Many servers say this of a .gz file that they send as it is.
        is_own = encoding in ("gzip", "x-gzip") and self.name.lower().endswith((".gz", ".tgz"))
        if encoding not in ("", "identity") and not is_own:
            raise self._refused(
                f"sent a body compressed as {encoding[:40]!r}, though none was asked for"
            )
        return start if status == 206 else 0

    def _total(self, response: httpx2.Response, start: int) -> int | None:
        """Return the bytes that the whole file is announced to have, within bounds."""
        announced = response.headers.get("content-length", "")
        total = start + int(announced) if announced.isdecimal() and len(announced) < 20 else None
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        if start and found is not None and found[2].isdecimal() and len(found[2]) < 20:
            total = int(found[2])
        if total is not None and self.size is not None and total != self.size:
            raise self._refused(f"announces {total:,} bytes, expected {self.size:,}")
        folder = next(path for path in self.part.absolute().parents if path.exists())
        free = shutil.disk_usage(folder).free
        if total is not None and total - start > free:
            raise self._refused(f"would send {total:,} bytes, and {folder} has {free:,} free")
        return total

    def _copy(
        self,
        response: httpx2.Response,
        write: Callable[[bytes], object],
        *,
        start: int,
        total: int | None,
        end: float,
    ) -> None:
        limits, received = self.limits, start
        most = total if total is not None else (self.size or limits.max_bytes)
        since, at_since = time.monotonic(), received
        # As they come: waiting for a full block would hide that next to nothing comes.
        for block in response.iter_raw():
            received += len(block)
            if received > most:
                discard(self.part)
                raise self._refused(f"sends more than {most:,} bytes")
            write(block)
            self.report(Progress("download", received, total or 0, self.name))
            now = time.monotonic()
            if now > end:
                raise self._refused(f"was not done after {limits.total_s / 60:,.0f} minutes")
            if now - since >= limits.slow_s:
                rate = (received - at_since) / (now - since)
                if rate < limits.min_rate:
                    raise self._refused(
                        f"sends {rate:,.0f} bytes a second, fewer than {limits.min_rate:,.0f}"
                    )
                since, at_since = now, received

    @property
    def _n_bytes(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    @property
    def _address(self) -> str:
        return hashlib.sha256(self.url.encode(errors="replace")).hexdigest()

    def _resumable(self) -> str | None:
        """Return the version of what is there of this file; None where it restarts."""
        try:
            kept = Validator.model_validate_json(validator_path(self.part).read_bytes())
        except (OSError, ValidationError):
            return None
        return kept.entity if kept.address == self._address and self._n_bytes else None

    def _keep_validator(self, response: httpx2.Response) -> None:
        entity, place = _entity(response), validator_path(self.part)
        if entity is None:
            place.unlink(missing_ok=True)
        else:
            kept = Validator(address=self._address, entity=entity)
            place.write_text(kept.model_dump_json())

    def _refused(self, said: str) -> DataUnavailableError:
        return DataUnavailableError(f"{shown(self.url)} {masked(' '.join(said.split()))}")


def _is_whole(response: httpx2.Response, received: int) -> bool:
    """True if the server says that nothing comes after what was received."""
    whole = response.headers.get("content-range", "") == f"bytes */{received}"
    return response.status_code == 416 and whole


def _entity(response: httpx2.Response) -> str | None:
    """Return the file's version as its server names it: a strong ETag, else its date."""
    tag: str = response.headers.get("etag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("last-modified")
