from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from dygenept.errors import DataError
from dygenept.machine.file_checks import check_content
from dygenept.testing import write_toy_h5ad

PAGE = b"<!-- cache -->\n<html><body>Access denied</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n"
ERROR = b'{"status":"ERROR","message":"try later"}'
PLAIN = b"Rate limit exceeded. Try again in 60 s.\n"
TABLE = b"a\tb\t0.5\nc\td\t0.7\n"
TENSORS = save({"x": np.zeros(9, np.float32)})


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("x", content)
    return buffer.getvalue()


def check(folder: Path, name: str, content: bytes, *, is_sent: bool = True) -> str:
    path = folder / f".{name}.part"
    path.write_bytes(content)
    return check_content(path, name, called="what came", is_sent=is_sent)


@pytest.mark.parametrize("body", [PAGE, LFS, b"", ERROR, PLAIN, b" \n\n", bytes(3000), b"null"])
@pytest.mark.parametrize(
    "name",
    [
        *("a.tsv", "a.csv", "a.tsv.gz", "a.txt", "a.obo", "a.gmt", "a.gaf.gz", "a.json", "a.h5ad"),
        *("a.safetensors", "a.pt", "a.npz", "a.zip", "a.parquet", "a.dat", "a"),
    ],
)
def test_what_a_server_sends_in_place_of_a_file_is_refused(
    tmp_path: Path, name: str, body: bytes
) -> None:
    with pytest.raises(DataError, match=r"^what came ") as caught:
        check(tmp_path, name, body)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [PAGE, LFS, b"", ERROR, PLAIN, gzip.compress(TABLE)])
@pytest.mark.parametrize("name", ["a.tsv.gz", "a.gmt.gz"])
def test_gzipping_it_makes_it_no_better(tmp_path: Path, name: str, body: bytes) -> None:
    with pytest.raises(DataError, match=r"^what came"):
        check(tmp_path, name, gzip.compress(body))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.tsv", TABLE, "text"),
        ("a.tsv", gzip.compress(TABLE), "gzip"),
        ("a.txt.gz", gzip.compress(TABLE), "gzip"),
        ("genes.txt", b"KLF1\nGATA1\n", "text"),
        ("genes.csv", b"gene\nKLF1\nMAPK1\n", "text"),
        ("a.obo", b"format-version: 1.2\n\n[Term]\nid: GO:1\n", "text"),
        ("a.gmt", b"set\tna\tKLF1\tGATA1\n", "text"),
        ("a.json", b'{"KLF1": 1, "error": 2}', "JSON"),
        ("a.json", b'[{"KLF1": [["R-1", "x"]]}]', "JSON"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "text"),
        ("a.safetensors", TENSORS, "safetensors"),
        ("a.pt", zipped(b"weights"), "zip"),
        ("a.owl", b"<?xml version='1.0'?><rdf/>", "web page"),
    ],
)
def test_a_good_file_opens(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    assert check(tmp_path, name, content) == kind


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"KLF1": 1, "GATA1"'),
        ("a.json", b'{"a": ' + b"[" * 100_000),
        ("a.json", json.dumps({"error": "x"}).encode()),
        ("a.jsonl", b'{"a": 1}\n{"a": '),
        ("a.safetensors", TENSORS[:-4]),
        ("a.pt", zipped(b"weights" * 99)[:-40]),
        ("a.txt.gz", gzip.compress(TABLE * 99)[:-9]),
        ("a.obo", TABLE),
        ("a.gmt", b"set KLF1 GATA1\n"),
        ("a.h5ad", b"\x89HDF\r\n\x1a\n" + bytes(2000)),
        ("a.parquet", b"PAR1" + bytes(99)),
    ],
)
def test_half_of_a_file_and_another_format_are_refused(
    tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(DataError, match=r"^what came"):
        check(tmp_path, name, content)


def test_an_anndata_file_has_cells_and_genes_and_is_whole(tmp_path: Path) -> None:
    import h5py

    content = write_toy_h5ad(tmp_path / "toy.h5ad").read_bytes()
    assert check(tmp_path, "a.h5ad", content) == "HDF5"
    with pytest.raises(DataError, match="damaged HDF5 file, or cut short"):
        check(tmp_path, "a.h5ad", content[: len(content) // 2])
    with h5py.File(tmp_path / "toy.h5ad", "a") as file:
        del file["var"]
    with pytest.raises(DataError, match="without var"):
        check(tmp_path, "a.h5ad", (tmp_path / "toy.h5ad").read_bytes())


def test_a_line_that_somebody_put_there_is_theirs(tmp_path: Path) -> None:
    assert check(tmp_path, "a.txt", PLAIN, is_sent=False) == "text"
    # Unpacked under the publisher's name.
    assert check(tmp_path, "a.tsv.gz", TABLE, is_sent=False) == "text"
    with pytest.raises(DataError, match="must be HDF5"):
        check(tmp_path, "a.h5ad", TABLE, is_sent=False)
    with pytest.raises(DataError, match="web page"):
        check(tmp_path, "a.txt", PAGE, is_sent=False)
