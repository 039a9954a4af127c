from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from dygenept.data.assets import AssetEntry, asset_entries, asset_status, fetch_asset, verify_asset
from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.machine.checksums import read_record
from dygenept.plugin.registry import Registry, load_registry
from dygenept.types import Progress, Runtime

TABLE = b"a\tb\tc\n" * 5000


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("deep/sets.gmt", TABLE)
    return buffer.getvalue()


@pytest.fixture
def server(publisher: ScriptedServer) -> str:
    publisher.answers = {
        "/table": Answer(TABLE),
        "/changed": Answer(TABLE + b"c\td\n"),
        "/sets.zip": Answer(zipped()),
        **dict.fromkeys(("/absent", "/gone", "/lost"), Answer(status=503)),
    }
    return publisher.url


def entry(*files: dict[str, object], **more: object) -> AssetEntry:
    return AssetEntry.model_validate({"folder": "kg/mine", "files": files, **more})


def fetch(asset: AssetEntry, data_dir: Path, runtime: Runtime | None = None) -> Path:
    return fetch_asset(
        "mine", entries={"mine": asset}, data_dir=data_dir, runtime=runtime or Runtime()
    )


def test_every_file_lands_in_its_place_with_a_record(server: str, tmp_path: Path) -> None:
    reports: list[Progress] = []
    asset = entry(
        {"url": f"{server}/table", "path": "deep/table.tsv", "size": len(TABLE)},
        {"url": f"{server}/sets.zip", "path": "sets.gmt", "member": "sets.gmt"},
    )
    assert asset_status(asset, tmp_path).missing == (
        tmp_path / "kg/mine/deep/table.tsv",
        tmp_path / "kg/mine/sets.gmt",
    )
    folder = fetch(asset, tmp_path, Runtime(report=reports.append))
    assert folder == tmp_path / "kg" / "mine"
    assert (folder / "deep/table.tsv").read_bytes() == TABLE
    assert (folder / "sets.gmt").read_bytes() == TABLE
    assert not list(folder.rglob("*.zip"))
    record = read_record(folder / "deep/table.tsv")
    assert record is not None
    assert record.url == f"{server}/table"
    assert {report.stage for report in reports} == {"download", "extract"}
    status = asset_status(asset, tmp_path)
    assert status.is_present
    assert status.n_bytes == 2 * len(TABLE)


def test_a_file_that_is_there_is_kept_and_not_fetched(tmp_path: Path) -> None:
    asset = entry({"url": "http://127.0.0.1:9/none", "path": "table.tsv"})
    path = tmp_path / "kg/mine/table.tsv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"put there by hand")
    assert fetch(asset, tmp_path) == path.parent
    assert path.read_bytes() == b"put there by hand"


def test_one_message_names_every_file_that_failed_and_what_works_offline(
    server: str, tmp_path: Path
) -> None:
    asset = entry(
        {"url": f"{server}/absent", "path": "one.tsv"},
        {"url": f"{server}/table", "path": "two.tsv"},
        {"url": f"{server}/gone", "path": "three.tsv"},
        offline="--kg edges",
    )
    with pytest.raises(DataUnavailableError) as caught:
        fetch(asset, tmp_path)
    message = str(caught.value)
    assert "2 of 3" in message
    assert "\n" not in message
    for name in ("one.tsv", "three.tsv"):
        assert f"belongs at {tmp_path / 'kg/mine' / name}" in message
    assert "503" in message
    assert "--kg edges" in message
    # The one that could be had is kept.
    assert [path.name for path in asset_status(asset, tmp_path).present] == ["two.tsv"]


def test_a_changed_file_is_refused_until_its_record_is_deleted(server: str, tmp_path: Path) -> None:
    fetch(entry({"url": f"{server}/table", "path": "table.tsv"}), tmp_path)
    path = tmp_path / "kg/mine/table.tsv"
    path.unlink()
    newer = entry({"url": f"{server}/changed", "path": "table.tsv"})
    with pytest.raises(DataUnavailableError, match=r"new release, delete .*sha256\.json"):
        fetch(newer, tmp_path)
    assert not path.exists()
    (tmp_path / "kg/mine/table.tsv.sha256.json").unlink()
    fetch(newer, tmp_path)
    assert path.read_bytes().startswith(TABLE)


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 17}])
def test_a_file_that_is_not_the_pinned_one_is_refused(
    server: str, tmp_path: Path, wrong: dict[str, object]
) -> None:
    for file in (
        {"url": f"{server}/table", "path": "table.tsv"},
        {"url": f"{server}/sets.zip", "path": "sets.gmt", "member": "sets.gmt"},
    ):
        with pytest.raises(DataError, match=r"SHA-256|17"):
            fetch(entry({**file, **wrong}), tmp_path)
    with pytest.raises(DataError):
        verify_asset(
            "mine",
            entries={"mine": entry({"url": f"{server}/table", "path": "sets.gmt", **wrong})},
            data_dir=tmp_path,
        )


def test_a_file_altered_on_disk_is_found_by_verifying(server: str, tmp_path: Path) -> None:
    asset = entry({"url": f"{server}/table", "path": "table.tsv"})
    fetch(asset, tmp_path)
    entries = {"mine": asset}
    hashes = verify_asset("mine", entries=entries, data_dir=tmp_path)
    assert hashes == {"table.tsv": hashlib.sha256(TABLE).hexdigest()}
    (tmp_path / "kg/mine/table.tsv").write_bytes(TABLE[::-1])
    with pytest.raises(DataError, match="SHA-256"):
        verify_asset("mine", entries=entries, data_dir=tmp_path)
    (tmp_path / "kg/mine/table.tsv").unlink()
    with pytest.raises(DataUnavailableError, match="dygenept data fetch mine"):
        verify_asset("mine", entries=entries, data_dir=tmp_path)


@pytest.mark.parametrize("path", ["../out.tsv", "/etc/out.tsv", "a/../../out.tsv", "C:/out", ""])
def test_a_path_that_leaves_the_folder_is_refused(path: str) -> None:
    document = {"folder": "kg", "files": [{"url": "https://example.org/a", "path": path}]}
    with pytest.raises(ConfigError, match="stays inside its folder"):
        asset_entries(Registry(assets={"mine": document}))


def test_a_misspelt_key_names_the_nearest() -> None:
    file = {"url": "https://example.org/a", "path": "a"}
    wrong = {"folder": "kg", "files": [{**file, "sha265": "0" * 64}]}
    with pytest.raises(ConfigError, match=r"files\.0\.sha265.*did you mean 'sha256'"):
        asset_entries(Registry(assets={"mine": wrong}))
    wrong = {"folder": "kg", "files": [file], "ofline": "x"}
    with pytest.raises(ConfigError, match="did you mean 'offline'"):
        asset_entries(Registry(assets={"mine": wrong}))


def test_a_name_may_not_stand_for_a_data_set_and_an_asset() -> None:
    registry = Registry(
        datasets={"norman": {"source": "gears", "aliases": ["string"]}},
        assets={"string": {"folder": "kg", "files": [{"url": "https://e.org/a", "path": "a"}]}},
    )
    with pytest.raises(ConfigError, match="'string' names both"):
        asset_entries(registry)


def test_the_registry_knows_the_four_graphs() -> None:
    entries = asset_entries(load_registry())
    assert {"string", "bioplex", "go", "reactome"} <= entries.keys()
    for name, asset in entries.items():
        assert asset.citation, name
        assert asset.offline, name


def test_a_mirror_is_tried_where_the_first_address_fails(server: str, tmp_path: Path) -> None:
    file = {"url": f"{server}/gone", "mirrors": [f"{server}/table"], "path": "table.tsv"}
    entry = AssetEntry.model_validate({"folder": "kg", "files": [file]})
    folder = fetch_asset("made", entries={"made": entry}, data_dir=tmp_path, runtime=Runtime())
    assert (folder / "table.tsv").read_bytes() == TABLE
    record = read_record(folder / "table.tsv")
    assert record is not None
    assert record.url == f"{server}/table"


def test_every_address_that_failed_is_named(server: str, tmp_path: Path) -> None:
    file = {"url": f"{server}/gone", "mirrors": [f"{server}/lost"], "path": "table.tsv"}
    entry = AssetEntry.model_validate({"folder": "kg", "files": [file]})
    with pytest.raises(DataUnavailableError) as caught:
        fetch_asset("made", entries={"made": entry}, data_dir=tmp_path, runtime=Runtime())
    assert "/gone" in str(caught.value)
    assert "/lost" in str(caught.value)


def test_checkpoints_are_registered_where_the_encoders_look(tmp_path: Path) -> None:
    entries = asset_entries(load_registry())
    scgpt, biomedbert = entries["scgpt"], entries["biomedbert"]
    assert scgpt.folder_in(tmp_path) == tmp_path / "scgpt" / "whole_human"
    assert {file.path for file in scgpt.files} == {"best_model.pt", "vocab.json", "args.json"}
    assert all(file.mirrors for file in scgpt.files)
    assert biomedbert.folder_in(tmp_path) == tmp_path / "biomedbert"
    assert {"config.json", "vocab.txt", "model.safetensors"} <= {
        file.path for file in biomedbert.files
    }
