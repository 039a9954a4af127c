from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from dygenept.errors import DataError
from dygenept.machine import checksums
from dygenept.machine.checksums import (
    file_sha256,
    read_record,
    record_file,
    record_path,
    verify_file,
)

CONTENT = b"cells" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.h5ad"
    path.write_bytes(CONTENT)
    return path


def test_the_first_sight_is_recorded_and_trusted_ever_after(file: Path) -> None:
    assert verify_file(file) == SHA256
    record = read_record(file)
    assert record is not None
    assert (record.sha256, record.size, record.url) == (SHA256, len(CONTENT), None)
    assert verify_file(file) == SHA256
    assert sorted(item.name for item in file.parent.iterdir()) == [
        "data.h5ad",
        "data.h5ad.sha256.json",
    ]


def test_a_changed_file_is_refused(file: Path) -> None:
    verify_file(file)
    file.write_bytes(CONTENT[:-1] + b"!")
    os.utime(file, ns=(1, 1))
    with pytest.raises(DataError, match=r"data\.h5ad\.sha256\.json recorded"):
        verify_file(file)


def test_a_touched_file_is_hashed_again_and_passes(file: Path) -> None:
    record_file(file, SHA256, url="https://example.org/1")
    os.utime(file, ns=(5, 5))
    assert verify_file(file) == SHA256
    record = read_record(file)
    assert record is not None
    assert (record.modified_ns, record.url) == (5, "https://example.org/1")


def test_a_change_behind_the_clock_is_found_when_hashed_anew(file: Path) -> None:
    verify_file(file)
    status = file.stat()
    file.write_bytes(CONTENT[:-1] + b"!")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert verify_file(file) == SHA256
    with pytest.raises(DataError, match="recorded"):
        verify_file(file, rehash=True)


def test_a_pinned_checksum_is_held_to(file: Path) -> None:
    assert verify_file(file, pinned=SHA256.upper()) == SHA256
    with pytest.raises(DataError, match="the registry pins 0000000000000000"):
        verify_file(file, pinned="0" * 64)


def test_a_file_that_breaks_its_pin_is_not_recorded(file: Path) -> None:
    with pytest.raises(DataError, match="pins"):
        verify_file(file, pinned="0" * 64)
    assert not record_path(file).exists()


def test_a_damaged_record_is_told(file: Path) -> None:
    record_path(file).write_text('{"sha256": 1}')
    with pytest.raises(DataError, match="delete it"):
        verify_file(file)


def test_an_empty_file_has_the_hash_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert file_sha256(path) == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("refusal", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_takes_no_record_still_serves(
    file: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(refusal, os.strerror(refusal), str(path))

    monkeypatch.setattr(checksums, "write_whole", refuse)
    assert verify_file(file) == SHA256
    assert read_record(file) is None
