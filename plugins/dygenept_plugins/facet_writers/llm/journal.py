"""Every answer of a language model, kept line by line in one file that only grows.

A line is written whole and synchronised before its answer counts, so that a process killed at any
moment loses no more than the answer that was on its way. A torn last line is closed and passed
over. One process writes at a time; the lock ends with its process, however that ends.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dygenept.plugin import DataError, DataUnavailableError

logger = logging.getLogger(__name__)

FORMAT = "dygenept-llm-journal-1"
FILE_NAME = "llm_journal.jsonl"
ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a journal contains.

    Attributes:
        answers: Facet texts by request key; the first one where there are several.
        n_damaged: Lines that could not be read.
    """

    answers: Mapping[str, tuple[str | None, ...]]
    n_damaged: int


class Journal:
    """An append-only file of JSON lines.

    Args:
        path: The file; made with its folder at the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._is_torn = False

    def read(self) -> Kept:
        """Read the answers.

        Raises:
            DataError: If the file is there and cannot be read.
        """
        answers: dict[str, tuple[str | None, ...]] = {}
        n_damaged = 0
        try:
            with self.path.open("rb") as stream:
                for line in stream:
                    # Split only at line feeds: JSON may contain other Unicode line ends.
                    if not line.strip():
                        continue
                    record = _record(line)
                    if record is None:
                        n_damaged += 1
                    elif record.get("outcome") == ANSWER:
                        texts = _texts(record)
                        if texts is None:
                            n_damaged += 1
                        else:
                            answers.setdefault(str(record["key"]), texts)
        except FileNotFoundError:
            return Kept({}, 0)
        except OSError as error:
            raise DataError(f"the journal {self.path} cannot be read: {error}") from error
        if n_damaged:
            logger.warning(
                "%s: %d damaged line(s) passed over; what they held is asked again",
                self.path,
                n_damaged,
            )
        return Kept(answers, n_damaged)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the file for writing; waits while another process writes.

        Raises:
            DataUnavailableError: If the file cannot be written.
        """
        from filelock import FileLock

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{self.path}.lock")
            lock.acquire()
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._descriptor = self._open()
            yield
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None
            lock.release()

    def append(self, record: Mapping[str, object]) -> None:
        """Write one record, whole and synchronised; from any thread, inside ``writing``.

        Raises:
            DataUnavailableError: If the disk refuses.
        """
        # ASCII: whatever a server sends, lone surrogates too, can be written.
        text = json.dumps({"format": FORMAT, **record}, ensure_ascii=True)
        with self._lock:
            if self._descriptor is None:
                raise DataError(f"the journal {self.path} is not open for writing")
            try:
                # A write that a full disk cut short must not swallow the next record.
                start = b"\n" if self._is_torn else b""
                self._is_torn = True
                _write_all(self._descriptor, start + text.encode("ascii") + b"\n")
                self._is_torn = False
                os.fsync(self._descriptor)
            except OSError as error:
                raise self._refused(error) from error

    def _open(self) -> int:
        try:
            is_new = not self.path.exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path, flags, 0o644)
            size = os.fstat(descriptor).st_size
            if size:
                os.lseek(descriptor, size - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":
                    _write_all(descriptor, b"\n")
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise self._refused(error) from error
        return descriptor

    def _refused(self, error: OSError) -> DataUnavailableError:
        return DataUnavailableError(
            f"the journal {self.path} cannot be written: {error}; answers are paid for, so none is "
            "asked for without it"
        )


def _record(line: bytes) -> dict[str, object] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def _texts(record: Mapping[str, object]) -> tuple[str | None, ...] | None:
    texts, key = record.get("texts"), record.get("key")
    if not isinstance(texts, list) or not isinstance(key, str):
        return None
    if not all(text is None or isinstance(text, str) for text in texts):
        return None
    return tuple(texts)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    # The file's name must outlive a power cut too; systems that open no folder sync it themselves.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
