"""What ``dygenept data`` shows of registered data sets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import DataError
from dygenept_cli import console

if TYPE_CHECKING:
    from dygenept.data.catalog import DatasetEntry
    from dygenept.plugin.environment import Environment

_UNKNOWN = "?"
# Signs that are left for what a data set is, before a column of figures is.
LEAST_WHAT = 12


def status_row(name: str, entry: DatasetEntry, environment: Environment) -> dict[str, object]:
    """Describe a data set in one row, JSON-ready."""
    from dygenept.data.catalog import source_of
    from dygenept.data.collections import collection_of

    status = source_of(name, entry, manager=environment.manager).status(environment.data_dir)
    return {
        "name": name,
        "aliases": list(entry.aliases),
        "summary": entry.summary,
        "collection": entry.collection,
        "source": entry.source,
        # A zarr store is a folder.
        "on_disk": status.path is not None and status.path.exists(),
        "path": None if status.path is None else str(status.path),
        "detail": status.detail,
        "modality": entry.modality,
        "cell_types": list(entry.cell_types),
        "published_cells": entry.n_cells,
        "published_genes": entry.n_genes,
        "published_perturbations": entry.n_perturbations,
        "download_bytes": status.download_bytes,
        "citation": entry.citation,
        "licence": entry.licence or collection_of(entry, environment).licence,
    }


def show_rows(rows: Sequence[Mapping[str, object]], environment: Environment) -> None:
    """Print data sets, one line each, under the collection that they belong to."""
    from dygenept.data.collections import collection_entries

    screen = console.stdout()
    screen.print(
        f"data sets in {environment.data_dir} (* on disk; dygenept data info NAME says more)",
        highlight=False,
    )
    collections = collection_entries(environment)
    for collection in dict.fromkeys(str(row["collection"]) for row in rows):
        mine = [row for row in rows if row["collection"] == collection]
        width = max(len(str(row["name"])) for row in mine)
        entry = collections.get(collection)
        summary = f": {entry.summary}" if entry is not None and entry.summary else ""
        screen.print()
        screen.print(f"{collection or 'others'}{summary}", highlight=False, style="bold")
        columns = _columns(mine, screen.width - 2 - width)
        head = f"{'':2}{'name':<{width}}{''.join(f'  {of.heading:>{of.width}}' for of in columns)}"
        lines = [(f"{head}  what", "dim")]
        for row in mine:
            cells = (f"  {of.text(row[of.key]):>{of.width}}" for of in columns)
            line = f"{'* ' if row['on_disk'] else '  '}{row['name']!s:<{width}}{''.join(cells)}"
            lines.append((_with_what(line, row, screen.width), ""))
        for line, style in lines:
            screen.print(line, highlight=False, no_wrap=True, overflow="ignore", style=style)


def facts(row: Mapping[str, object], entry: DatasetEntry, environment: Environment) -> Facts:
    """Return what is known of a registered data set, its collection's words included."""
    from dygenept.data.collections import collection_of

    collection = collection_of(entry, environment)
    named = (
        "name aliases summary collection source modality cell_types published_cells "
        "published_genes published_perturbations detail path"
    )
    cite = [entry.citation, collection.citation if entry.collection else ""]
    return [
        *((key, row[key]) for key in named.split()),
        ("download", _gigabytes(row["download_bytes"]) + " GB" if row["download_bytes"] else ""),
        ("cite", [text for text in cite if text]),
        ("licence", row["licence"]),
        ("address", collection.address),
        ("read_in", [text for text in (entry.read_in, collection.read_in) if text]),
        ("not_tried", [text for text in (entry.untried, collection.untried) if text]),
    ]


Facts = Iterable[tuple[str, object]]


def confirm_fetch(collection: str, environment: Environment, *, is_agreed: bool) -> list[str]:
    """Say what fetching a collection takes, ask, and return the data sets that are missing.

    Raises:
        DataError: If nobody agreed, or the disk has not the room.
    """
    import sys

    from dygenept.data.collections import plan_fetch

    plan = plan_fetch(collection, environment)
    console.note(
        f"{collection}: {len(plan.missing)} of {len(plan.names)} data sets are not on disk; to "
        f"download: {plan.estimate}"
    )
    if not plan.missing:
        return []
    folder = next(path for path in (environment.data_dir, *_parents(environment)) if path.exists())
    free = shutil.disk_usage(folder).free
    if plan.n_bytes > free:
        raise DataError(
            f"{folder} has {free / 1e9:,.1f} GB free, and {collection} takes {plan.estimate}; "
            "fetch some of it by name, or give another --data-dir"
        )
    if is_agreed:
        return list(plan.missing)
    if not sys.stdin.isatty():
        raise DataError(f"{collection} takes {plan.estimate}; to download it, pass --yes")
    import typer

    if not typer.confirm("Download it?", err=True):
        raise DataError("nothing was downloaded")
    return list(plan.missing)


def _parents(environment: Environment) -> Sequence[Path]:
    return list(environment.data_dir.absolute().parents)


def _columns(rows: Sequence[Mapping[str, object]], room: int) -> list[_Column]:
    """Return the columns of figures of which some row has one, the first that fit."""
    known = [of for of in _COLUMNS if any(isinstance(row[of.key], int) for row in rows)]
    while known and sum(of.width + 2 for of in known) + LEAST_WHAT > room:
        known.pop()
    return known


def _with_what(line: str, row: Mapping[str, object], width: int) -> str:
    """Add in the room that is left what a data set is."""
    kinds = row["cell_types"]
    named = ", ".join(map(str, kinds)) if isinstance(kinds, list) else ""
    what = f"{named} {row['modality']}".strip() or str(row["summary"])
    room = width - len(line) - 2
    if len(what) > room:
        what = f"{what[: room - 1]}…" if room >= LEAST_WHAT // 2 else ""
    return f"{line}  {what}".rstrip()


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else _UNKNOWN


def _gigabytes(value: object) -> str:
    if not isinstance(value, int):
        return _UNKNOWN
    return "-" if value == 0 else f"{value / 1e9:.2f}" if value < 1e10 else f"{value / 1e9:.0f}"


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of figures: its heading, the key of a row, its width and how a figure is written."""

    heading: str
    key: str
    width: int
    text: Callable[[object], str]


_COLUMNS = (
    _Column("cells", "published_cells", 9, _count),
    _Column("perts", "published_perturbations", 6, _count),
    _Column("GB", "download_bytes", 5, _gigabytes),
)
