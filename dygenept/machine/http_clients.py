"""HTTP clients with the proxies of the environment, that follow no redirect from https to http."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dygenept.errors import DataUnavailableError
from dygenept.machine.addresses import masked, shown

if TYPE_CHECKING:
    import httpx2


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
