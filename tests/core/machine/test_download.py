from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dygenept.errors import DataUnavailableError
from dygenept.machine.download import download, extract_member
from dygenept.types import Progress

CONTENT = bytes(range(256)) * 9000
PAGE = b"<!DOCTYPE html>\n<html><body>Access denied</body></html>"


class _Server(BaseHTTPRequestHandler):
    """Answers like Dataverse on a good day and on bad ones."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(303)
            self.send_header("Location", "/good")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        status, kind, body, announced = {
            "/good": (200, "application/zip", CONTENT, len(CONTENT)),
            "/forbidden": (403, "application/json", b"{}", 2),
            "/page": (200, "text/html; charset=utf-8", PAGE, len(PAGE)),
            "/disguised": (200, "application/octet-stream", b"\n" + PAGE, len(PAGE) + 1),
            "/cut": (200, "application/zip", CONTENT[:5000], len(CONTENT)),
            "/unannounced": (200, "application/zip", CONTENT, -1),
            "/empty": (200, "application/zip", b"", 0),
        }[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if announced >= 0:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def _serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with _serving() as url:
        yield url


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach the loopback server without whatever proxy the machine names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize("path", ["/good", "/moved", "/unannounced"])
def test_a_good_file_arrives_whole_and_reports_progress(
    server: str, tmp_path: Path, path: str
) -> None:
    reports: list[Progress] = []
    target = tmp_path / "deep" / "file.bin"
    sha256 = download(server + path, target, report=reports.append)
    assert target.read_bytes() == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert reports[-1].stage == "download"
    assert reports[-1].step == len(CONTENT)
    assert reports[-1].total == (0 if path == "/unannounced" else len(CONTENT))
    assert [item.name for item in target.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/forbidden", "403 Forbidden"),
        ("/page", "web page"),
        ("/disguised", "web page"),
        ("/cut", "could not be fetched"),
        ("/empty", "empty file"),
    ],
)
def test_a_bad_answer_is_refused_and_leaves_nothing_behind(
    server: str, tmp_path: Path, path: str, reason: str
) -> None:
    with pytest.raises(DataUnavailableError, match=reason):
        download(server + path, tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_bad_answer_leaves_the_file_that_was_there(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with pytest.raises(DataUnavailableError):
        download(f"{server}/cut", target)
    assert target.read_bytes() == b"old"


def test_a_wrong_checksum_or_size_is_refused(server: str, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    with pytest.raises(DataUnavailableError, match="SHA-256"):
        download(f"{server}/good", target, expected_sha256="0" * 64)
    with pytest.raises(DataUnavailableError, match="expected 17"):
        download(f"{server}/good", target, expected_size=17)
    with pytest.raises(DataUnavailableError, match="expected 17"):
        download(f"{server}/unannounced", target, expected_size=17)
    assert list(tmp_path.iterdir()) == []
    right = hashlib.sha256(CONTENT).hexdigest().upper()
    download(f"{server}/good", target, expected_sha256=right, expected_size=len(CONTENT))
    assert target.is_file()


def test_an_unreachable_server_is_told(tmp_path: Path) -> None:
    with _serving() as gone:
        pass
    with pytest.raises(DataUnavailableError, match="could not be fetched"):
        download(f"{gone}/good", tmp_path / "file.bin", timeout_s=2.0)


def test_a_malformed_url_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match="could not be fetched"):
        download("not-a-url", tmp_path / "file.bin")


def _archive(path: Path, members: dict[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    path.write_bytes(buffer.getvalue())
    return path


def test_one_member_is_taken_out_wherever_it_lies(tmp_path: Path) -> None:
    archive = _archive(
        tmp_path / "a.zip",
        {
            "norman/": b"",
            "norman/data.h5ad": CONTENT,
            "norman/go.csv": b"x",
            "__MACOSX/norman/data.h5ad": b"resource fork",
        },
    )
    target = tmp_path / "out" / "data.h5ad"
    reports: list[Progress] = []
    sha256 = extract_member(archive, "data.h5ad", target, report=reports.append)
    assert target.read_bytes() == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (reports[-1].step, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert [item.name for item in target.parent.iterdir()] == ["data.h5ad"]


def test_a_member_that_points_outside_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.zip", {"../../escaped/data.h5ad": b"content"})
    inner = tmp_path / "inner"
    extract_member(archive, "data.h5ad", inner / "data.h5ad")
    assert (inner / "data.h5ad").read_bytes() == b"content"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.zip", "inner"]


@pytest.mark.parametrize("members", [{"other": b""}, {"a/data.h5ad": b"", "b/data.h5ad": b""}])
def test_no_or_several_members_of_the_name_are_refused(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    archive = _archive(tmp_path / "a.zip", members)
    with pytest.raises(DataUnavailableError, match=r"files named data\.h5ad, expected one"):
        extract_member(archive, "data.h5ad", tmp_path / "data.h5ad")


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_archive_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, damage: str
) -> None:
    archive = _archive(tmp_path / "a.zip", {"data.h5ad": CONTENT})
    content = bytearray(archive.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[200:210] = b"\x00" * 10
    else:
        content = bytearray(PAGE)
    archive.write_bytes(bytes(content))
    target = tmp_path / "out" / "data.h5ad"
    with pytest.raises(DataUnavailableError, match="is damaged"):
        extract_member(archive, "data.h5ad", target)
    assert list(target.parent.iterdir()) == []


def test_a_member_with_another_checksum_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.zip", {"data.h5ad": CONTENT})
    target = tmp_path / "data.h5ad"
    with pytest.raises(DataUnavailableError, match="SHA-256"):
        extract_member(archive, "data.h5ad", target, expected_sha256="0" * 64)
    assert not target.exists()


@pytest.mark.parametrize("is_old", [True, False])
def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path, is_old: bool) -> None:
    archive = _archive(tmp_path / "a.zip", {"data.h5ad": CONTENT})
    target = tmp_path / "data.h5ad"
    parts = [tmp_path / f".data.h5ad.{name}.part" for name in ("1", "zip.1")]
    for part in parts:
        part.write_bytes(b"half")
        if is_old:
            os.utime(part, (0, 0))
    extract_member(archive, "data.h5ad", target)
    assert [part.exists() for part in parts] == [not is_old] * 2
