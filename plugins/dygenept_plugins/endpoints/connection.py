"""Opens a client of an OpenAI-compatible endpoint; its key comes from the environment only."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dygenept.machine.http_clients import proxy_fault
from dygenept.plugin import ConfigError, DataUnavailableError

if TYPE_CHECKING:
    import httpx2
    from openai import OpenAI

KEY_VARIABLE = "LLM_API_KEY"
MIB = 1 << 20
# Sent where a server on this machine asks for no key; the client refuses to go without one.
NO_KEY = "no-key"


class AnswerTooLargeError(Exception):
    """An answer is larger, or takes longer, than an endpoint is allowed."""


def checked_base_url(base_url: str) -> str:
    """Return a base URL without trailing slash.

    Raises:
        ConfigError: If it is not an http(s) URL, or carries a user, password, query or fragment:
            a configuration is written to results. The message does not repeat it.
    """
    parts = urlsplit(base_url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            "base_url must be an http(s) URL such as https://api.openai.com/v1 or "
            "http://localhost:8000/v1"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "base_url must contain no user, password, query or fragment, since configurations are "
            f"written to results; put the key into {KEY_VARIABLE}"
        )
    return base_url.strip().rstrip("/")


def missing_key(base_url: str) -> str | None:
    """Say in one sentence that the key is not set; None where it is, or none is needed."""
    if os.environ.get(KEY_VARIABLE, "").strip() or _is_local(base_url):
        return None
    return f"the endpoint {base_url} needs a key; run: export {KEY_VARIABLE}=…"


def open_client(base_url: str, *, timeout_s: float, max_answer_mib: int) -> OpenAI:
    """Open a client that never retries by itself, so that every attempt is seen and kept.

    Args:
        base_url: Base URL of the endpoint, with its ``/v1``.
        timeout_s: Longest wait for a connection or for the next bytes; an answer must be whole
            after twice this time.
        max_answer_mib: Largest answer.

    Raises:
        ConfigError: If the URL is not allowed.
        DataUnavailableError: If the package ``openai`` or the key is missing.
    """
    url = checked_base_url(base_url)
    missing = missing_key(url)
    if missing:
        raise DataUnavailableError(missing)
    try:
        from openai import DefaultHttpxClient, OpenAI
    except ImportError as error:
        raise DataUnavailableError(
            f"the package openai cannot be imported ({error}); it comes with the extra llm; run: "
            "pip install 'openai>=3.57'"
        ) from error
    bound = _bounded(max_answer_mib * MIB, 2 * timeout_s)
    try:
        http_client = DefaultHttpxClient(
            timeout=timeout_s,
            event_hooks={"response": [bound]},
            # A proxy of the environment is for the network, not for a server on this machine.
            trust_env=not _is_local(url),
        )
    except (ImportError, ValueError) as error:
        raise proxy_fault(error) from error
    return OpenAI(
        base_url=url,
        api_key=os.environ.get(KEY_VARIABLE, "").strip() or NO_KEY,
        max_retries=0,
        timeout=timeout_s,
        http_client=http_client,
    )


def _is_local(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bounded(max_bytes: int, max_s: float) -> Callable[[httpx2.Response], None]:
    import httpx2

    class Bounded(httpx2.SyncByteStream):
        def __init__(self, stream: httpx2.SyncByteStream) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            size, end = 0, time.monotonic() + max_s
            for block in self._stream:
                size += len(block)
                if size > max_bytes:
                    raise AnswerTooLargeError(f"the answer exceeds {max_bytes // MIB} MiB")
                if time.monotonic() > end:
                    raise AnswerTooLargeError(f"the answer was not whole after {max_s:g} s")
                yield block

        def close(self) -> None:
            self._stream.close()

    def hook(response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = Bounded(response.stream)

    return hook
