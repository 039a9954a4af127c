"""Takes the key of an endpoint out of whatever a server sends, before it is kept or shown."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from dygenept_plugins.endpoints.connection import KEY_VARIABLE

HIDDEN = "[key]"
# Servers repeat keys in part; so many characters in a row are not chance.
FRAGMENT = 8
MIN_KEY = 4
_LOOKS_LIKE_A_KEY = re.compile(r"\b(sk-|Bearer\s+)[A-Za-z0-9_\-.*]{4,}")


def redacted(text: str) -> str:
    """Return a text without the key, its parts and encodings, or anything that looks like one.

    Hidden are every stretch of eight characters of the key, or of its base64, hexadecimal or
    percent-encoded form, in upper or lower case.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if len(key) >= MIN_KEY:
        pieces = {piece for form in _forms(key) for piece in _pieces(form.lower())}
        for length in {len(piece) for piece in pieces}:
            text = _without(text, {piece for piece in pieces if len(piece) == length}, length)
    return _LOOKS_LIKE_A_KEY.sub(rf"\1{HIDDEN}", text)


def _forms(key: str) -> Iterator[str]:
    raw = key.encode()
    yield from (key, quote(key, safe=""), quote_plus(key), raw.hex(), key[::-1])
    # In base64 the same bytes look different at each of three places in a longer text.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
        # The first and last characters also carry bits of what stands beside the key.
        inner = encoded[(0, 2, 3)[shift] : -1]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))


def _pieces(form: str) -> Iterator[str]:
    length = min(FRAGMENT, len(form))
    for start in range(len(form) - length + 1):
        yield form[start : start + length]


def _without(text: str, pieces: set[str], length: int) -> str:
    """Replace every stretch of a text that pieces of this length cover."""
    lowered = text.lower()
    # Lower case may have another length in a few scripts; then the text itself is looked at.
    lowered = lowered if len(lowered) == len(text) else text
    kept, end = [], 0
    start = 0
    while start <= len(text) - length:
        if lowered[start : start + length] not in pieces:
            start += 1
            continue
        stop = start + length
        while stop < len(text) and lowered[stop - length + 1 : stop + 1] in pieces:
            stop += 1
        kept += [text[end:start], HIDDEN]
        start = end = stop
    return "".join([*kept, text[end:]])
