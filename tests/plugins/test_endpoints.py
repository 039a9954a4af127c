"""Connection, faults and pace of OpenAI-compatible endpoints."""

from __future__ import annotations

import base64
import email.utils
import re
from urllib.parse import quote

import pytest

from dygenept.machine.http_clients import retry_after_s
from dygenept_plugins.endpoints.asking import RetryPolicy
from dygenept_plugins.endpoints.connection import missing_key
from dygenept_plugins.endpoints.faults import Fault
from dygenept_plugins.endpoints.redaction import redacted

POLICY = RetryPolicy(max_attempts=5, base_s=1.0, cap_s=4.0, max_retry_after_s=60.0)
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": email.utils.formatdate(NOW + 90, usegmt=True)}, 90.0),
        ({"Retry-After": email.utils.formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now=NOW) == seconds


def test_wait_doubles_up_to_the_cap_and_is_spread() -> None:
    waits = [POLICY.wait_s(Fault("server", ""), attempt) for attempt in (1, 2, 3, 4)]
    for wait, most in zip(waits, (1.0, 2.0, 4.0, 4.0), strict=True):
        assert wait is not None
        assert most / 2 <= wait <= most
    assert POLICY.wait_s(Fault("server", ""), 5) is None


def test_wait_is_never_shorter_than_the_server_asks() -> None:
    fault = Fault("rate_limit", "", 429, retry_after_s=30.0)
    assert POLICY.wait_s(fault, 1) == 30.0
    assert POLICY.wait_s(Fault("rate_limit", "", 429, retry_after_s=61.0), 1) is None


@pytest.mark.parametrize("kind", ["key", "not_found", "quota", "refused"])
def test_what_cannot_succeed_is_not_repeated(kind: str) -> None:
    assert POLICY.wait_s(Fault(kind, ""), 1) is None  # type: ignore[arg-type]


KEY = "plain/key+123-ABCDEFGHIJ"


@pytest.mark.parametrize(
    "sent",
    [
        KEY,
        KEY.upper(),
        # Servers repeat a key in part.
        f"{KEY[:9]}…{KEY[-8:]}",
        f"https://e.org/#{KEY[3:15]}",
        quote(KEY, safe=""),
        KEY.encode().hex(),
        *(base64.b64encode(f"{'u' * n}:{KEY}".encode()).decode() for n in range(3)),
        base64.urlsafe_b64encode(KEY.encode()).decode(),
    ],
)
def test_the_key_is_taken_out_in_whatever_form(monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setenv("LLM_API_KEY", KEY)
    text = redacted(f"before {sent} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "[key]" in text
    longest = max(
        len(word) for word in re.split(r"\[key\]|[ …#]", text.replace("https://e.org/", ""))
    )
    assert longest < 8


def test_what_looks_like_a_key_is_taken_out_and_the_rest_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_API_KEY", KEY)
    text = redacted(
        "sk-proj-abc_DEF123, Authorization: Bearer abcdef.ghi; KLF1 plainly binds İ 123"
    )
    assert text == "sk-[key], Authorization: Bearer [key]; KLF1 plainly binds İ 123"
    monkeypatch.delenv("LLM_API_KEY")
    assert redacted(KEY) == KEY


@pytest.mark.parametrize(
    ("url", "needs_key"),
    [
        ("http://localhost:8000/v1", False),
        ("http://127.0.0.1:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("http://10.0.0.7:8000/v1", True),
        ("https://localhost.example.org/v1", True),
    ],
)
def test_server_on_this_machine_needs_no_key(url: str, needs_key: bool) -> None:
    assert (missing_key(url) is not None) == needs_key
