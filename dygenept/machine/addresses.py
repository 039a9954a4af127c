"""Addresses as people may see them: without passwords, tokens and signatures."""

from __future__ import annotations

import re

HIDDEN = "***"
# Parts of a query that say what is asked for and are not secret; every other value is hidden.
_HARMLESS = frozenset(
    "id export confirm download format file filename version name path page type gbrecs".split()
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>`]+")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s:@\[\]]*)(?::\d*)?")


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
