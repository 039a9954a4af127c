"""JSON lines: one document per line, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dygenept.errors import DataError, DataUnavailableError
from dygenept.machine.whole_files import write_whole


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
