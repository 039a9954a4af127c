"""Files that are whole or absent, JSON lines too: written beside their place, then renamed."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dygenept.errors import DataError, DataUnavailableError

SUFFIX = ".partial"


@contextmanager
def replaced_whole(path: Path, *, flush: bool = False) -> Iterator[Path]:
    """Give a path beside a file to write to; it takes the file's place when all went well.

    The file gets the permissions that a new file of this user gets, whatever the writer gave it
    (some make files that nobody else can read).

    Args:
        path: The file; its folder is made where it is missing.
        flush: Wait until the content is on the disk before it takes the place.

    Raises:
        OSError: If the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    temporary = path.with_name(f".{path.name}.{token}-{os.getpid()}{SUFFIX}")
    try:
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        temporary.chmod(mode)
        if flush:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes, *, flush: bool = False) -> None:
    """Write a file so that no reader ever sees half of it."""
    with replaced_whole(path, flush=flush) as temporary:
        temporary.write_bytes(content)


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed left half written of a file."""
    for left in path.parent.glob(f".{path.name}.*{SUFFIX}"):
        pid = left.name.removesuffix(SUFFIX).rpartition("-")[2]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            left.unlink(missing_ok=True)


def write_lines(path: Path, documents: Iterable[Mapping[str, object]]) -> None:
    """Write one document per line, atomically."""
    text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    write_whole(path, text.encode())


def read_lines(path: Path) -> Iterator[dict[str, object]]:
    """Read the documents of a file, one by one.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If a line is not a JSON document; the line is named.
    """
    if not path.is_file():
        raise DataUnavailableError(f"no file {path}")
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                document = json.loads(line)
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number} is not JSON ({error}); write it again"
                ) from (error)
            if not isinstance(document, dict):
                raise DataError(f"{path}, line {number} is not a JSON object; write it again")
            yield document
