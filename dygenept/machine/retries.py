"""When a server may be asked again: what it says itself, else longer and longer waits."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping

JITTER = 0.5


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
