from __future__ import annotations

import gzip
import io
import stat
import zipfile
from pathlib import Path

import pytest

from dygenept.errors import DataError
from dygenept.machine.archives import (
    ALWAYS_BYTES,
    BoundedGzip,
    check_gzip,
    check_zip,
    extract_member,
    most_bytes,
)
from dygenept.types import Progress

CONTENT = bytes(range(256)) * 900


def archive_of(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def test_one_member_is_taken_out_wherever_it_lies(tmp_path: Path) -> None:
    archive = archive_of(
        tmp_path / "a.zip",
        {
            "norman/": b"",
            "norman/data.h5ad": CONTENT,
            "norman/go.csv": b"x",
            "__MACOSX/norman/data.h5ad": b"resource fork",
        },
    )
    reports: list[Progress] = []
    extract_member(archive, "data.h5ad", tmp_path / "out", report=reports.append)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert (reports[-1].step, reports[-1].total) == (len(CONTENT), len(CONTENT))
    extract_member(archive, "norman/go.csv", tmp_path / "out", size=1)
    assert (tmp_path / "out").read_bytes() == b"x"


@pytest.mark.parametrize("members", [{"other": b""}, {"a/data.h5ad": b"", "b/data.h5ad": b""}])
def test_no_or_several_members_of_the_name_are_refused(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    archive = archive_of(tmp_path / "a.zip", members)
    with pytest.raises(DataError, match=r"files named data\.h5ad, expected one"):
        extract_member(archive, "data.h5ad", tmp_path / "out")


@pytest.mark.parametrize("name", ["../../data.h5ad", "/etc/data.h5ad", "..\\data.h5ad"])
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = archive_of(tmp_path / "a.zip", {name: CONTENT})
    with pytest.raises(DataError, match="leads outside"):
        extract_member(archive, "data.h5ad", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("norman/data.h5ad")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="symbolic link"):
        extract_member(tmp_path / "a.zip", "data.h5ad", tmp_path / "out")


@pytest.mark.parametrize("damage", ["cut", "flip", "other", "lzma", "encrypted", "method"])
def test_a_damaged_archive_is_told(tmp_path: Path, damage: str) -> None:
    kind = zipfile.ZIP_LZMA if damage == "lzma" else zipfile.ZIP_DEFLATED
    archive = archive_of(tmp_path / "a.zip", {"data.h5ad": CONTENT}, kind)
    content = bytearray(archive.read_bytes())
    directory = content.index(b"PK\x01\x02")
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage in ("flip", "lzma"):
        content[100:140] = b"\x00" * 40
    elif damage == "encrypted":
        content[6] |= 1
        content[directory + 8] |= 1
    elif damage == "method":
        content[directory + 10] = 77
    else:
        content = bytearray(b"<html></html>")
    archive.write_bytes(bytes(content))
    with pytest.raises(DataError, match="not a zip archive or is damaged"):
        extract_member(archive, "data.h5ad", tmp_path / "out")
    with pytest.raises(DataError, match="damaged"):
        check_zip(archive, called="it")


def test_a_bomb_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.zip", {"data.h5ad": bytes(ALWAYS_BYTES + 1)})
    assert archive.stat().st_size < 1 << 17
    with pytest.raises(DataError, match=r"at most 67,108,864; name its size"):
        extract_member(archive, "data.h5ad", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="100-fold"):
        check_zip(archive, called="it")
    # What the registry says is trusted.
    extract_member(archive, "data.h5ad", tmp_path / "out", size=ALWAYS_BYTES + 1)
    with pytest.raises(DataError, match="expected 17"):
        extract_member(archive, "data.h5ad", tmp_path / "out", size=17)


def test_a_member_that_contains_more_than_it_declares_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.zip", {"data.h5ad": CONTENT})
    content = bytearray(archive.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (1000).to_bytes(4, "little")
    archive.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        extract_member(archive, "data.h5ad", tmp_path / "out")


def test_gzip_is_read_to_its_end_and_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(CONTENT) + gzip.compress(b"more"))
    assert check_gzip(path, called="it") == CONTENT + b"more"
    with BoundedGzip(path) as opened:
        assert opened.read() == CONTENT + b"more"
    for damaged in (gzip.compress(CONTENT)[:-9], gzip.compress(CONTENT)[:-4] + b"abcd"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="it is damaged or cut short"):
            check_gzip(path, called="it")
    monkeypatch.setattr("dygenept.machine.archives.ALWAYS_BYTES", 1000)
    path.write_bytes(gzip.compress(bytes(1_000_000)))
    assert most_bytes(path.stat().st_size) < 1_000_000
    with pytest.raises(DataError, match="grows to more than"):
        check_gzip(path, called="it")
    with BoundedGzip(path) as opened, pytest.raises(DataError, match="grows to more than"):
        opened.read()
    with (
        io.TextIOWrapper(BoundedGzip(path), encoding="utf-8") as text,
        pytest.raises(DataError, match="grows to more than"),
    ):
        text.readline()
