"""Where output goes: results to stdout or a file, everything else to stderr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from rich.console import Console


def stdout() -> Console:
    """Return a console for results; wide enough for tables when it is not a terminal."""
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document on stdout, with the version of its schema."""
    import json
    import sys

    versioned = {"schema_version": 1, **document}
    sys.stdout.write(json.dumps(versioned, indent=2, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """Write a line to stderr."""
    import sys

    sys.stderr.write(f"{text}\n")


def write_table(table: pl.DataFrame, output: Path) -> None:
    """Write a table whole as ``.csv``, ``.tsv``, ``.parquet`` or ``.json``, by its suffix."""
    from io import BytesIO

    from dygenept.results.store import write_atomically

    buffer = BytesIO()
    if output.suffix == ".parquet":
        table.write_parquet(buffer)
    elif output.suffix == ".json":
        table.write_json(buffer)
    else:
        table.write_csv(buffer, separator="\t" if output.suffix == ".tsv" else ",")
    write_atomically(output, buffer.getvalue())
