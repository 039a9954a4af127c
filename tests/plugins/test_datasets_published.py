from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from dygenept.errors import DataError, DataUnavailableError
from dygenept.machine.checksums import read_record
from dygenept.testing import check_dataset, write_toy_h5ad
from dygenept.types import PerturbationData, Progress, Runtime
from dygenept_plugins.datasets.published import (
    PublishedConfig,
    PublishedSource,
    dygenept_datasets,
)


@pytest.fixture
def toy_bytes(tmp_path: Path) -> bytes:
    return write_toy_h5ad(tmp_path / "toy.h5ad").read_bytes()


def source(publisher: ScriptedServer, body: bytes, **options: object) -> PublishedSource:
    publisher.answers["/file"] = Answer(body)
    return PublishedSource(
        PublishedConfig.model_validate(
            {"url": f"{publisher.url}/file", "path": "lab/cells.h5ad", "name": "lab_2020"} | options
        )
    )


def load(source: PublishedSource, folder: Path) -> PerturbationData:
    return source.load(folder, Runtime())


def test_a_file_is_fetched_compared_with_its_published_md5_and_read(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    md5 = hashlib.md5(toy_bytes).hexdigest()
    published = source(publisher, toy_bytes, md5=md5.upper(), size=len(toy_bytes))
    assert published.status(tmp_path).download_bytes == len(toy_bytes)
    data = load(published, tmp_path)
    assert data.name == "lab_2020"
    assert (tmp_path / "lab" / "cells.h5ad").read_bytes() == toy_bytes
    assert published.status(tmp_path).download_bytes == 0
    record = read_record(tmp_path / "lab" / "cells.h5ad")
    assert record is not None
    assert record.sha256 == hashlib.sha256(toy_bytes).hexdigest()
    load(published, tmp_path)
    assert len(publisher.requests) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"md5": "0" * 32}, "the publisher says 0000"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"size": 7}, "7"),
    ],
)
def test_another_file_than_published_is_refused_and_not_kept(
    publisher: ScriptedServer,
    toy_bytes: bytes,
    tmp_path: Path,
    options: dict[str, object],
    message: str,
) -> None:
    published = source(publisher, toy_bytes, **options)
    with pytest.raises(DataUnavailableError, match=message) as refusal:
        published.fetch(tmp_path / "data", Runtime())
    assert "lab/cells.h5ad" in str(refusal.value)
    assert not list((tmp_path / "data").glob("**/*.h5ad"))


def test_a_gzipped_file_is_compared_as_it_is_served_and_unpacked(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    packed = gzip.compress(toy_bytes)
    sha256 = hashlib.sha256(packed).hexdigest()
    published = source(publisher, packed, packing="gzip", sha256=sha256, size=len(packed))
    reports: list[Progress] = []
    path = published.fetch(tmp_path, Runtime(report=reports.append))
    assert path.read_bytes() == toy_bytes
    assert {report.stage for report in reports} == {"download", "extract"}
    assert not list(path.parent.glob(".*"))


@pytest.mark.parametrize("unpacked_size", [10, 10**9])
def test_a_gzipped_file_of_another_size_than_published_is_refused(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path, unpacked_size: int
) -> None:
    packed = gzip.compress(toy_bytes)
    published = source(publisher, packed, packing="gzip", unpacked_size=unpacked_size)
    with pytest.raises(DataUnavailableError, match="unpacked"):
        published.fetch(tmp_path, Runtime())


def test_half_a_gzipped_file_is_refused(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    packed = gzip.compress(toy_bytes)
    published = source(publisher, packed[: len(packed) // 2], packing="gzip")
    with pytest.raises(DataUnavailableError, match="damaged or cut short"):
        published.fetch(tmp_path, Runtime())


def test_a_member_of_a_zip_archive_is_taken_out_by_its_name(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("folder/inner.h5ad", toy_bytes)
    md5 = hashlib.md5(buffer.getvalue()).hexdigest()
    published = source(
        publisher, buffer.getvalue(), packing="zip", member="inner.h5ad", md5=md5, size=None
    )
    assert published.fetch(tmp_path, Runtime()).read_bytes() == toy_bytes


def test_a_mirror_serves_what_the_first_address_does_not(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    published = source(
        publisher, toy_bytes, url=f"{publisher.url}/gone", mirrors=[f"{publisher.url}/file"]
    )
    assert published.fetch(tmp_path, Runtime()).is_file()


def test_a_file_put_there_by_hand_is_compared_once_and_left_as_it_is(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "lab" / "cells.h5ad"
    path.parent.mkdir()
    path.write_bytes(toy_bytes)
    with pytest.raises(DataError, match="left as it is"):
        source(publisher, b"", md5="0" * 32).fetch(tmp_path, Runtime())
    assert path.read_bytes() == toy_bytes
    right = source(publisher, b"", md5=hashlib.md5(toy_bytes).hexdigest())
    right.fetch(tmp_path, Runtime())
    assert not publisher.requests
    newest = write_toy_h5ad(tmp_path / "anew.h5ad").read_bytes()
    source(publisher, newest, md5=hashlib.md5(newest).hexdigest()).fetch_anew(tmp_path, Runtime())
    assert len(publisher.requests) == 1


def test_the_source_passes_the_conformance_check(
    publisher: ScriptedServer, toy_bytes: bytes, tmp_path: Path
) -> None:
    (spec,) = dygenept_datasets()
    source(publisher, toy_bytes).fetch(tmp_path, Runtime())
    options = {"url": f"{publisher.url}/file", "path": "lab/cells.h5ad"}
    check_dataset(spec, options=options, data_dir=tmp_path)
