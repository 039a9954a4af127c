from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer, serving

from dygenept.errors import DataUnavailableError
from dygenept.machine import download as module
from dygenept.machine.download import Limits, download, validator_path
from dygenept.machine.http_clients import open_client
from dygenept.types import Progress

CONTENT = bytes(range(256)) * 9000
PAGE = b"<!DOCTYPE html>\n<html><body>Access denied</body></html>"
HASTY = Limits(base_s=0.01, timeout_s=2.0, slow_s=0.2)


@pytest.mark.parametrize("path", ["/good", "/moved", "/unannounced"])
def test_a_good_file_arrives_whole_and_reports_progress(
    publisher: ScriptedServer, tmp_path: Path, path: str
) -> None:
    publisher.answers = {
        "/good": Answer(CONTENT),
        "/moved": Answer(status=303, headers={"Location": "/good"}),
        "/unannounced": Answer(CONTENT, announces=False),
    }
    reports: list[Progress] = []
    target = tmp_path / "deep" / "file.bin"
    is_length_known = download(publisher.url + path, target, report=reports.append)
    assert target.read_bytes() == CONTENT
    assert is_length_known == (path != "/unannounced")
    assert reports[-1].stage == "download"
    assert reports[-1].step == len(CONTENT)
    assert reports[-1].total == (0 if path == "/unannounced" else len(CONTENT))
    assert [item.name for item in target.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"{}", 403), "403 Forbidden"),
        (Answer(PAGE, headers={"Content-Type": "text/html; charset=utf-8"}), "web page"),
        (Answer(CONTENT, headers={"Content-Encoding": "gzip"}), "compressed as 'gzip'"),
        (Answer(CONTENT, headers={"Content-Encoding": "br"}), "compressed as 'br'"),
        (Answer(CONTENT[:50], headers={"Content-Length": "100"}), "could not be fetched"),
        (Answer(b""), "empty file"),
        (Answer(CONTENT, 206), "206 Partial Content"),
        (Answer(headers={"Content-Length": str(1 << 60)}), "free"),
        (Answer(status=302, headers={"Location": "/bad"}), "redirects"),
        (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "could not be fetched"),
    ],
)
def test_a_bad_answer_is_refused_and_leaves_nothing_behind(
    publisher: ScriptedServer, tmp_path: Path, answer: Answer, reason: str
) -> None:
    publisher.answers["/bad"] = answer
    with pytest.raises(DataUnavailableError, match=reason):
        download(f"{publisher.url}/bad", tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_gz_file_that_is_called_encoded_is_taken_as_it_is(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(b"\x1f\x8b...", headers={"Content-Encoding": "x-gzip"})
    download(f"{publisher.url}/a", tmp_path / "part", called="links.txt.gz")
    assert (tmp_path / "part").read_bytes() == b"\x1f\x8b..."


@pytest.mark.parametrize("announces", [True, False])
def test_another_size_is_refused_before_or_while_it_comes(
    publisher: ScriptedServer, tmp_path: Path, announces: bool
) -> None:
    publisher.answers["/good"] = Answer(CONTENT, announces=announces)
    reports: list[Progress] = []
    with pytest.raises(DataUnavailableError, match="17"):
        download(f"{publisher.url}/good", tmp_path / "a", size=17, report=reports.append)
    assert not reports
    with pytest.raises(DataUnavailableError, match="expected 9,999,999"):
        download(f"{publisher.url}/good", tmp_path / "a", size=9_999_999)
    endless = Limits(max_bytes=1000)
    if not announces:
        with pytest.raises(DataUnavailableError, match="sends more than 1,000"):
            download(f"{publisher.url}/good", tmp_path / "a", limits=endless)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_fails_for_a_moment_is_asked_again(
    publisher: ScriptedServer, tmp_path: Path, status: int
) -> None:
    publisher.answers["/a"] = [Answer(b"{}", status), Answer(CONTENT)]
    download(f"{publisher.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(publisher.requests) == 2


def test_attempts_end(publisher: ScriptedServer, tmp_path: Path) -> None:
    publisher.answers["/a"] = Answer(status=503)
    with pytest.raises(DataUnavailableError, match="503 Service Unavailable"):
        download(f"{publisher.url}/a", tmp_path / "a")
    assert len(publisher.requests) == module.LIMITS.attempts


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        (lambda: "7", 7.0),
        (lambda: email.utils.formatdate(time.time() + 30, usegmt=True), 30.0),
        (lambda: "9999", None),
        (lambda: "soon", 0.01),
    ],
)
def test_the_wait_that_a_server_asks_for_is_kept_within_bounds(
    publisher: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], str],
    waits: float | None,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("dygenept.machine.download.time.sleep", slept.append)
    publisher.answers["/a"] = [
        Answer(status=429, headers={"Retry-After": said()}),
        Answer(CONTENT),
    ]
    if waits is None:
        with pytest.raises(DataUnavailableError, match="429"):
            download(f"{publisher.url}/a", tmp_path / "a")
        return
    download(f"{publisher.url}/a", tmp_path / "a")
    assert slept == [pytest.approx(waits, abs=1.5 if waits > 1 else 0.01)]


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_cut_transfer_goes_on_where_it_was_cut(
    publisher: ScriptedServer, tmp_path: Path, header: str
) -> None:
    headers = {header: '"v1"' if header == "ETag" else "Sat, 01 Nov 2025 00:00:00 GMT"}
    whole = Answer(CONTENT, headers=headers, keeps_ranges=True)
    publisher.answers["/a"] = [
        Answer(CONTENT, headers=headers, cut_at=100_000, keeps_ranges=True),
        Answer(CONTENT, headers=headers, cut_at=70_000, keeps_ranges=True),
        whole,
    ]
    download(f"{publisher.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    asked = [(sent.get("range"), sent.get("if-range")) for _, sent in publisher.requests]
    assert asked == [
        (None, None),
        ("bytes=100000-", headers[header]),
        ("bytes=170000-", headers[header]),
    ]


@pytest.mark.parametrize(
    ("second", "n_requests"),
    [
        # The server has another version, knows no ranges, or sends another part than was asked for.
        (Answer(CONTENT, headers={"ETag": '"v2"'}, keeps_ranges=True), 2),
        (Answer(CONTENT), 2),
        (Answer(CONTENT[:9], 206, {"ETag": '"v1"', "Content-Range": "bytes 0-8/9"}), 3),
        (Answer(CONTENT[:9], 206, {"ETag": '"v2"', "Content-Range": "bytes 100000-100008/9"}), 3),
        (Answer(b"", 416), 3),
    ],
)
def test_what_cannot_be_resumed_starts_anew(
    publisher: ScriptedServer, tmp_path: Path, second: Answer, n_requests: int
) -> None:
    publisher.answers["/a"] = [
        Answer(b"x" * 300_000, headers={"ETag": '"v1"'}, cut_at=100_000, keeps_ranges=True),
        second,
        Answer(CONTENT),
    ]
    download(f"{publisher.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(publisher.requests) == n_requests


def test_a_rest_that_is_shorter_than_the_file_is_refused(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    part = Answer(CONTENT[:9], 206, {"ETag": '"v1"', "Content-Range": "bytes 1000-1008/300000"})
    publisher.answers["/a"] = [
        Answer(b"x" * 300_000, headers={"ETag": '"v1"'}, cut_at=1000),
        part,
    ]
    with pytest.raises(DataUnavailableError, match="sent 1,009 bytes, expected 300,000"):
        download(f"{publisher.url}/a", tmp_path / "a")


def test_a_later_process_goes_on_with_what_was_left(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    headers = {"ETag": '"v1"'}
    publisher.answers["/a"] = Answer(CONTENT, headers=headers, cut_at=90_000)
    with pytest.raises(DataUnavailableError):
        download(f"{publisher.url}/a", tmp_path / "a", limits=Limits(attempts=1))
    assert (tmp_path / "a").stat().st_size == 90_000
    assert "127.0.0.1" not in validator_path(tmp_path / "a").read_text()
    # Another address may have other bytes.
    publisher.answers["/b"] = publisher.answers["/a"] = Answer(
        CONTENT, headers=headers, keeps_ranges=True
    )
    download(f"{publisher.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert publisher.requests[-1][1]["range"] == "bytes=90000-"
    download(f"{publisher.url}/b", tmp_path / "a")
    assert "range" not in publisher.requests[-1][1]


def test_a_whole_file_that_was_left_is_not_fetched_again(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(CONTENT, headers={"ETag": '"v1"'}, keeps_ranges=True)
    download(f"{publisher.url}/a", tmp_path / "a")
    reports: list[Progress] = []
    assert download(f"{publisher.url}/a", tmp_path / "a", report=reports.append)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert not reports


def test_a_server_that_sends_next_to_nothing_is_given_up(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(CONTENT, pause_s=0.05)
    start = time.monotonic()
    with pytest.raises(DataUnavailableError, match="bytes a second, fewer than 1,024"):
        download(f"{publisher.url}/a", tmp_path / "a")
    assert time.monotonic() - start < 2
    with pytest.raises(DataUnavailableError, match="was not done after"):
        download(f"{publisher.url}/a", tmp_path / "a", limits=Limits(total_s=0.1))


def test_a_server_whose_answer_does_not_begin_is_given_up(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(drips_head=True, pause_s=0.02)
    start = time.monotonic()
    with pytest.raises(DataUnavailableError, match=r"did not begin to answer within 0\.4 s"):
        download(f"{publisher.url}/a", tmp_path / "a", limits=Limits(timeout_s=0.2))
    assert time.monotonic() - start < 3


def test_an_unreachable_server_is_told(tmp_path: Path) -> None:
    with serving() as gone:
        pass
    with pytest.raises(DataUnavailableError, match="could not be fetched"):
        download(f"{gone.url}/good", tmp_path / "file.bin", limits=HASTY)


@pytest.mark.parametrize("url", ["not-a-url", "file:///etc/passwd", "http://[::1", "http://a b/c"])
def test_a_malformed_url_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataUnavailableError, match="could not be fetched"):
        download(url, tmp_path / "file.bin", limits=HASTY)


def test_secrets_of_an_address_are_in_no_message(
    publisher: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = publisher.url.replace("//", "//me:hush1@") + "/a?token=hush2&X-Amz-Signature=hush3#hush4"
    publisher.answers["/a?token=hush2&X-Amz-Signature=hush3"] = Answer(status=503)
    with pytest.raises(DataUnavailableError) as caught:
        download(url, tmp_path / "a")
    assert "503" in caplog.text
    assert "hush" not in str(caught.value) + caplog.text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("socks5://me:hush@127.0.0.1:1", "ALL_PROXY .* pip install socksio"),
        ("ftp://127.0.0.1:1", "ALL_PROXY .* cannot be used"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(DataUnavailableError, match=reason) as caught:
        download("http://example.org/a", tmp_path / "a", limits=HASTY)
    assert "hush" not in str(caught.value)


def test_no_redirect_leads_from_https_to_http() -> None:
    import httpx2

    response = httpx2.Response(
        302,
        headers={"location": "http://e.org/a?token=hush"},
        request=httpx2.Request("GET", "https://e.org/a"),
    )
    with open_client(1.0) as client, pytest.raises(DataUnavailableError) as caught:
        client.event_hooks["response"][0](response)
    assert "from https to http://e.org/a?token=***" in str(caught.value)
