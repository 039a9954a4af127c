"""How fast an endpoint is asked: a rate limit, back-off, and a halt that all callers keep."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass

from dygenept_plugins.endpoints.faults import Fault

JITTER = 0.5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a request is repeated.

    Attributes:
        max_attempts: Attempts in all.
        base_s: Wait after the first fault; doubled after each further one.
        cap_s: Longest wait that is chosen here.
        max_retry_after_s: Longest wait that a server may ask for; beyond it the request is given
            up for this run.
    """

    max_attempts: int
    base_s: float
    cap_s: float
    max_retry_after_s: float

    def wait_s(self, fault: Fault, attempt: int) -> float | None:
        """Return how long to wait after a failed attempt; None if it was the last.

        What the server asks for is kept in full; without it, half of the wait is drawn at random,
        so that callers do not come back all at once.

        Args:
            fault: What went wrong.
            attempt: Attempts made, from 1.
        """
        if not fault.is_retryable or attempt >= self.max_attempts:
            return None
        # The draw shapes timing alone, never a result.
        spread = 1.0 - JITTER * random.random()
        backoff: float = min(self.cap_s, self.base_s * 2 ** (attempt - 1)) * spread
        if fault.retry_after_s is None:
            return backoff
        if fault.retry_after_s > self.max_retry_after_s:
            return None
        return max(fault.retry_after_s, backoff)


class Pace:
    """Shared by all threads that call one endpoint.

    Args:
        requests_per_minute: Most requests started in a minute, evenly spaced; None for no limit.
    """

    def __init__(self, requests_per_minute: float | None) -> None:
        self._interval_s = 0.0 if requests_per_minute is None else 60.0 / requests_per_minute
        self._next = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reason = "the run was stopped"

    @property
    def is_stopped(self) -> bool:
        """True once no further request is to be started."""
        return self._stopped.is_set()

    @property
    def reason(self) -> str:
        """Why it was stopped."""
        return self._reason

    def stop(self, reason: str | None = None) -> None:
        """Wake every waiting thread; no further request is to be started.

        Args:
            reason: Why; the first reason that is given stays.
        """
        with self._lock:
            if reason is not None and not self._stopped.is_set():
                self._reason = reason
            self._stopped.set()

    def turn(self) -> bool:
        """Wait for the next free slot; False if stopped meanwhile."""
        while not self._stopped.is_set():
            with self._lock:
                now = time.monotonic()
                if self._next <= now:
                    self._next = now + self._interval_s
                    return True
                wait_s = self._next - now
            self._stopped.wait(wait_s)
        return False

    def hold(self, seconds: float) -> None:
        """Start no request for some seconds, in any thread: the server asked for it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait, in this thread alone, unless stopped."""
        self._stopped.wait(seconds)
