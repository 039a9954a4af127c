from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.machine.checksums import read_record
from dygenept.plugin.specs import DatasetSpec
from dygenept.plugin.yaml_files import validated
from dygenept.testing import ToyShape, check_dataset, write_toy_h5ad
from dygenept.types import Progress, Runtime
from dygenept_plugins.datasets.gears import GearsConfig, GearsSource, dygenept_datasets

Serve = Callable[[bytes], str]


@pytest.fixture
def serve(publisher: ScriptedServer) -> Serve:
    """Serve a body at a loopback address; the next call serves another one there."""

    def start(content: bytes) -> str:
        publisher.answers["/file"] = Answer(content)
        return f"{publisher.url}/file"

    return start


def zipped(file: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.write(file, "norman/perturb_processed.h5ad")
        archive.writestr("norman/go.csv", "a,b\n")
    return buffer.getvalue()


def source(url: str, sha256: str | None = None) -> GearsSource:
    return GearsSource(
        GearsConfig(file_id=6154020, folder="norman", url=url, sha256=sha256, stand_in="sim:norman")
    )


def test_an_absent_file_is_fetched_verified_and_read(serve: Serve, tmp_path: Path) -> None:
    original = write_toy_h5ad(tmp_path / "toy.h5ad")
    url = serve(zipped(original))
    data_dir = tmp_path / "data"
    gears, reports = source(url), list[Progress]()
    assert not gears.status(data_dir).is_present
    assert url in gears.status(data_dir).detail
    data = gears.load(data_dir, Runtime(report=reports.append))
    path = data_dir / "norman" / "perturb_processed.h5ad"
    assert data.name == "norman"
    assert path.read_bytes() == original.read_bytes()
    assert {report.stage for report in reports} == {"download", "extract"}
    record = read_record(path)
    assert record is not None
    assert record.sha256 == hashlib.sha256(original.read_bytes()).hexdigest()
    assert record.url == url
    assert sorted(item.name for item in path.parent.iterdir()) == [
        "perturb_processed.h5ad",
        "perturb_processed.h5ad.sha256.json",
    ]
    assert gears.status(data_dir).is_present


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "norman" / "perturb_processed.h5ad")
    assert source("http://127.0.0.1:9/none").fetch(tmp_path, Runtime()) == path


def test_a_file_that_changes_upstream_is_refused_after_the_first_trust(
    serve: Serve, tmp_path: Path
) -> None:
    first = write_toy_h5ad(tmp_path / "first.h5ad")
    second = write_toy_h5ad(tmp_path / "second.h5ad", ToyShape(seed=1))
    gears = source(serve(zipped(first)))
    path = gears.fetch(tmp_path / "data", Runtime())
    path.unlink()
    serve(zipped(second))
    with pytest.raises(DataUnavailableError, match="SHA-256"):
        gears.fetch(tmp_path / "data", Runtime())
    assert not path.exists()
    serve(zipped(first))
    assert gears.fetch(tmp_path / "data", Runtime()) == path


def test_a_fetched_file_that_breaks_its_pin_is_never_put_in_place(
    serve: Serve, tmp_path: Path
) -> None:
    url = serve(zipped(write_toy_h5ad(tmp_path / "toy.h5ad")))
    with pytest.raises(DataUnavailableError, match="SHA-256"):
        source(url, sha256="0" * 64).fetch(tmp_path / "data", Runtime())
    assert not (tmp_path / "data").exists()


def test_a_file_on_disk_that_breaks_its_pin_is_refused(tmp_path: Path) -> None:
    write_toy_h5ad(tmp_path / "norman" / "perturb_processed.h5ad")
    with pytest.raises(DataError, match="the registry pins"):
        source("http://127.0.0.1:9/none", sha256="0" * 64).load(tmp_path, Runtime())


def test_what_a_fetch_writes_meanwhile_is_hidden(serve: Serve, tmp_path: Path) -> None:
    gears = source(serve(zipped(write_toy_h5ad(tmp_path / "toy.h5ad"))))
    folder = tmp_path / "data" / "norman"
    seen: set[str] = set()

    def look(progress: Progress) -> None:
        seen.update(path.name for path in folder.iterdir())

    gears.fetch(tmp_path / "data", Runtime(report=look))
    assert len(seen) > 1
    # Readers of a folder pass over hidden files.
    assert all(name.startswith(".perturb_processed.h5ad.") for name in seen)
    assert {path.name.partition(".h5ad")[2] for path in folder.iterdir()} == {"", ".sha256.json"}


def test_without_network_one_message_says_all_that_helps(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/none"
    with pytest.raises(DataUnavailableError) as caught:
        source(url).load(tmp_path / "data", Runtime())
    message = str(caught.value)
    assert "\n" not in message
    assert "could not be fetched" in message
    assert f"Fetch {url} by hand" in message
    assert str(tmp_path / "data" / "norman" / "perturb_processed.h5ad") in message
    assert "dygenept bench --dataset sim:norman" in message
    assert not (tmp_path / "data").exists()


def test_the_archive_comes_from_dataverse_by_its_number() -> None:
    config = GearsConfig(file_id=6154020, folder="norman")
    assert config.archive_url == "https://dataverse.harvard.edu/api/access/datafile/6154020"


@pytest.mark.parametrize("folder", ["../outside", "a/b", ""])
def test_a_folder_that_leads_outside_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="folder"):
        validated(GearsConfig, {"file_id": 1, "folder": folder}, "datasets.x")


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_the_source_conforms_with_and_without_its_file(tmp_path: Path, is_on_disk: bool) -> None:
    (spec,) = dygenept_datasets()
    assert isinstance(spec, DatasetSpec)
    if is_on_disk:
        write_toy_h5ad(tmp_path / "norman" / "perturb_processed.h5ad")
    check_dataset(spec, options={"file_id": 6154020, "folder": "norman"}, data_dir=tmp_path)
