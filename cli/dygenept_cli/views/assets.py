"""What ``dygenept data`` shows and does where a name is an asset, not a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dygenept_cli import console
from dygenept_cli.views.listing import listing, show_facts, show_table

if TYPE_CHECKING:
    from dygenept.data.assets import AssetEntry
    from dygenept.plugin.environment import Environment


def entries_of(environment: Environment) -> dict[str, AssetEntry]:
    """Return the registered assets."""
    from dygenept.data.assets import asset_entries

    return asset_entries(environment.registry)


def status_row(name: str, entry: AssetEntry, directory: Path) -> dict[str, object]:
    """Describe an asset in one row, JSON-ready."""
    from dygenept.data.assets import asset_status

    status = asset_status(entry, directory)
    return {
        "name": name,
        "summary": entry.summary,
        "on_disk": status.is_present,
        "path": str(status.folder),
        "files": [str(path) for path in status.present],
        "missing": [str(path) for path in status.missing],
        "detail": status.detail,
    }


def show_rows(rows: list[dict[str, object]], directory: Path) -> None:
    """Print assets as a table."""
    table = listing(
        f"further files in {directory}", ("name", "on disk", "what", "detail"), whole=("name",)
    )
    for row in rows:
        on_disk = "yes" if row["on_disk"] else "no"
        table.add_row(str(row["name"]), on_disk, str(row["summary"]), str(row["detail"]))
    show_table(table)


def show_info(name: str, entry: AssetEntry, directory: Path, *, as_json: bool) -> None:
    """Print everything about one asset."""
    import json

    from dygenept.machine.http_clients import masked, shown

    row = status_row(name, entry, directory)
    if as_json:
        shown_entry = json.loads(masked(entry.model_dump_json()))
        console.print_json({"kind": "asset", **row, "entry": shown_entry})
        return
    files = [("file", f"{file.path}, from {shown(file.url)}") for file in entry.files]
    show_facts(
        [
            *((key, row[key]) for key in ("name", "summary", "detail", "path")),
            ("citation", entry.citation),
            ("licence", entry.licence),
            *files,
        ]
    )


def verify(name: str, environment: Environment, *, as_json: bool) -> None:
    """Hash an asset's files again and print their checksums."""
    from dygenept.data.asset_graphs import graph_of_asset
    from dygenept.data.assets import verify_asset

    entries = entries_of(environment)
    hashes = verify_asset(
        name,
        entries=entries,
        data_dir=environment.data_dir,
        graph=graph_of_asset(name, entries[name].folder_in(environment.data_dir), environment),
    )
    if as_json:
        console.print_json({"asset": name, "sha256": hashes})
        return
    for path, sha256 in hashes.items():
        console.stdout().print(f"{path}: valid, sha256 {sha256}", highlight=False)
