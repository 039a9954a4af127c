"""What a file is, by its first bytes."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from dygenept.machine.file_kinds import HEAD_BYTES, file_kind, kind_of, said_of


def _hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["X"] = [1.0]
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a", "b")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.h5ad"))
    return buffer.getvalue()


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><html></html>", "web page"),
        (b"<HTML><head>", "web page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "web page"),
        (b"<!-- cached -->\n<html>", "web page"),
        (b'\n{"status": "ERROR"}', "JSON"),
        (b'[{"a": 1}]', "JSON"),
        (b"[]", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "git-lfs pointer"),
        (gzip.compress(b"x"), "gzip"),
        (_zip(), "zip"),
        (_tar(), "tar"),
        (_npy(), "NumPy"),
        (_hdf5(), "HDF5"),
        (pickle.dumps([1]), "pickle"),
        (b"PAR1....", "parquet"),
        (b"\x20\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32"}}', "safetensors"),
        (b"gene_a\tgene_b\nKLF1\tMAPK1\n", "text"),
        (b"Access denied", "text"),
        (b"perturbation;KLF1\n", "text"),
        (("γ" * HEAD_BYTES).encode()[: HEAD_BYTES - 1], "text"),
        (b"\x00\x01\x02\x03garbage", "unknown"),
        (b"\xff\xfe\xff\xfe\xff\xfe", "unknown"),
    ],
)
def test_content_is_recognised_whatever_the_name(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "f.h5ad"
    path.write_bytes(content)
    assert file_kind(path) == kind


def test_a_bracket_in_a_table_is_no_json() -> None:
    assert kind_of(b"[note] a table\tb\n") == "text"


def test_the_mend_names_the_command_and_the_file() -> None:
    assert said_of("gzip", Path("a.h5ad")).endswith("gunzip -c a.h5ad > FILE")
    assert "git lfs pull" in said_of("git-lfs pointer", Path("a"))
