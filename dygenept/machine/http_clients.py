"""How servers are asked: clients, when to ask again, and addresses without what is secret.

Clients use the proxies of the environment and follow no redirect from https to http. A server that
fails is asked again when it says so itself, else after longer and longer waits. People see
addresses without passwords, tokens and signatures.
"""

from __future__ import annotations

import email.utils
import os
import random
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dygenept.errors import DataUnavailableError

if TYPE_CHECKING:
    import httpx2
JITTER = 0.5
HIDDEN = "***"
# Parts of a query that say what is asked for and are not secret; every other value is hidden.
_HARMLESS = frozenset(
    "id export confirm download format file filename version name path page type gbrecs".split()
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:@\[\]]*)(?::\d*)?")


def open_client(timeout_s: float) -> httpx2.Client:
    """Open an HTTP client with the proxies of the environment.

    Raises:
        DataUnavailableError: If a proxy cannot be used; the variable is named.
    """
    import httpx2

    def refuse_downgrade(response: httpx2.Response) -> None:
        if response.has_redirect_location:
            target = response.url.join(response.headers["location"])
            if response.url.scheme == "https" and target.scheme != "https":
                raise DataUnavailableError(
                    f"{shown(str(response.url))} redirects from https to {shown(str(target))}, "
                    "which is not followed"
                )

    try:
        return httpx2.Client(
            follow_redirects=True,
            max_redirects=10,
            timeout=timeout_s,
            event_hooks={"response": [refuse_downgrade]},
        )
    except (ImportError, ValueError) as error:
        raise proxy_fault(error) from error


def proxy_fault(error: Exception) -> DataUnavailableError:
    """Return the error for a proxy of the environment that the HTTP client cannot use."""
    names = sorted(
        name
        for name, value in os.environ.items()
        if name.lower() in ("all_proxy", "http_proxy", "https_proxy") and value
    )
    named = ", ".join(names) or "a proxy variable"
    if isinstance(error, ImportError):
        names = [name for name in names if os.environ[name].lower().startswith("socks")]
        return DataUnavailableError(
            f"the environment variable {', '.join(names) or named} names a SOCKS proxy, which "
            "needs the package socksio; run: pip install socksio, or unset the variable"
        )
    return DataUnavailableError(
        f"the environment variable {named} names a proxy that cannot be used "
        f"({masked(str(error))}); correct or unset it"
    )


def backoff_s(attempt: int, *, base_s: float, cap_s: float) -> float:
    """Return how long to wait after a failed attempt, in seconds.

    Half of the wait is drawn at random, so that callers do not come back all at once. The draw
    shapes only timing, never a result.

    Args:
        attempt: Attempts made, from 1.
        base_s: Longest wait after the first; doubled after each further one.
        cap_s: Longest wait.
    """
    longest: float = min(cap_s, base_s * 2 ** (attempt - 1))
    return longest * (1.0 - JITTER * random.random())


def retry_after_s(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date).

    Args:
        headers: Headers of a response; names in any case.
        now: Seconds since the epoch; None takes the clock.

    Returns:
        Seconds to wait, never negative; None where there is no such header, or no sense in it.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(lowered[name]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(lowered["retry-after"])
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def shown(url: str) -> str:
    """Return an address with its user, password, fragment and values of its query hidden."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    rest, _, fragment = rest.partition("#")
    rest, asked, query = rest.partition("?")
    host, slash, path = rest.partition("/")
    user, at, host = host.rpartition("@")
    # A password with a slash ends what looks like the host in the middle of it.
    if not _HOST.fullmatch(host) or "@" in path.partition("/")[0]:
        return f"{scheme}://{HIDDEN}"
    hidden_user = f"{HIDDEN}@" if at and user else ""
    shown_query = "&".join(_shown_part(part) for part in re.split("[&;]", query)) if asked else ""
    return (
        f"{scheme}://{hidden_user}{host}{slash}{path}{asked}{shown_query}"
        f"{f'#{HIDDEN}' if fragment else ''}"
    )


def masked(text: str) -> str:
    """Return a text with every address in it as ``shown`` shows it."""

    def hide(found: re.Match[str]) -> str:
        whole = found[0]
        url = whole.rstrip(").,;:]}")
        return shown(url) + whole[len(url) :]

    return _ADDRESS.sub(hide, text)


def _shown_part(part: str) -> str:
    name, is_, value = part.partition("=")
    if not is_:
        return HIDDEN if part else ""
    return f"{name}={value if name.lower() in _HARMLESS or not value else HIDDEN}"
