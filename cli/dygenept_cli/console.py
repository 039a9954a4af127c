"""Where output goes: results to stdout or a file, everything else to stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError, nearest
from dygenept.machine.plain_text import csv_cell, printable, printable_json

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from rich.console import Console


# Columns of a terminal below which tables leave out what can be asked for elsewhere.
NARROW = 60


def stdout() -> Console:
    """Return a console for results.

    Off a terminal it is as wide as ``$COLUMNS`` says, else wide enough for tables.
    """
    import os
    import sys

    from dygenept.machine.terminal import safe_console

    is_told = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return safe_console(width=None if is_told else 160)


def is_narrow(screen: Console) -> bool:
    """Say whether a table of six columns of figures would cut some of them off."""
    return screen.width < NARROW


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document on stdout, with the version of its schema."""
    import sys

    sys.stdout.write(json_text(document) + "\n")


def json_text(document: Mapping[str, object]) -> str:
    """Write a JSON document with the version of its schema."""
    import json

    versioned = {"schema_version": 1, **document}
    return printable_json(json.dumps(versioned, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Write a line to stderr."""
    import sys

    sys.stderr.write(f"{printable(text)}\n")


def check_output(output: Path, *, suffixes: Sequence[str] = (), as_json: bool = False) -> None:
    """Refuse a file that cannot be written, before any work.

    Args:
        output: What ``--output`` names: a file, ``-`` for stdout, a FIFO or a device.
        suffixes: Formats that a file's name may tell; empty allows any.
        as_json: The command prints a document on stdout too.

    Raises:
        ConfigError: If its format is unknown, or stdout would get two results.
        ResultsError: If it cannot be written.
    """
    from dygenept.machine.places import check_can_write_file, is_stdout, is_streamed

    if as_json and is_stdout(output):
        raise ConfigError("--json and --output would both write to stdout; give --output a file")
    if suffixes and output.suffix not in suffixes and not is_streamed(output):
        raise ConfigError(f"cannot write {output}: {nearest(output.suffix, suffixes)}")
    check_can_write_file(output)


def write_table(table: pl.DataFrame, output: Path) -> None:
    """Write a table as ``.parquet``, ``.json`` or ``.tsv`` by its suffix, as CSV otherwise."""
    from io import BytesIO

    from dygenept.machine.whole_files import write_whole

    buffer = BytesIO()
    if output.suffix == ".parquet":
        table.write_parquet(buffer)
    elif output.suffix == ".json":
        table.write_json(buffer)
    else:
        separator = "\t" if output.suffix == ".tsv" else ","
        _safe_for_spreadsheets(table).write_csv(buffer, separator=separator)
    write_whole(output, buffer.getvalue())


def _safe_for_spreadsheets(table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    heads = {name: str(csv_cell(name)) for name in table.columns}
    texts = [
        pl.Series(name, [csv_cell(value) for value in table[name].to_list()], dtype=pl.String)
        for name, dtype in table.schema.items()
        if dtype == pl.String
    ]
    return table.with_columns(texts).rename(heads)
