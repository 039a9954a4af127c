from __future__ import annotations

import pytest

from dygenept.machine.http_clients import masked, shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://e.org/a.gz", "https://e.org/a.gz"),
        ("https://me:hush@e.org:8443/a", "https://***@e.org:8443/a"),
        ("https://hush@e.org/a", "https://***@e.org/a"),
        ("https://me:hu/sh@e.org/a", "https://***"),
        ("https://e.org/d?id=14Ae&export=download&confirm=t", None),
        ("https://e.org/a?token=hush&id=7", "https://e.org/a?token=***&id=7"),
        ("https://e.org/a?X-Amz-Signature=hush", "https://e.org/a?X-Amz-Signature=***"),
        ("https://e.org/a?hush", "https://e.org/a?***"),
        ("https://e.org/a;b?x=hush;y=hush", "https://e.org/a;b?x=***&y=***"),
        ("https://e.org/a#access_token=hush", "https://e.org/a#***"),
        ("https://[::1]:80/a?key=hush", "https://[::1]:80/a?key=***"),
        ("a/file.txt", "a/file.txt"),
    ],
)
def test_secrets_of_an_address_are_hidden(url: str, expected: str | None) -> None:
    assert shown(url) == (url if expected is None else expected)
    assert "hush" not in masked(f"'{url}' ({url}), {url}.")


def test_the_rest_of_a_text_stays() -> None:
    text = "see (https://e.org/a?key=hush), or https://e.org/b?id=3."
    assert masked(text) == "see (https://e.org/a?key=***), or https://e.org/b?id=3."
