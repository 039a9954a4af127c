"""Asks an endpoint, with as many attempts as that takes, and no faster than it allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import Field

from dygenept.machine.http_clients import backoff_s
from dygenept.plugin import PluginConfig
from dygenept_plugins.endpoints.faults import Fault, fault_of

T = TypeVar("T")


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
        backoff = backoff_s(attempt, base_s=self.base_s, cap_s=self.cap_s)
        if fault.retry_after_s is None:
            return backoff
        if fault.retry_after_s > self.max_retry_after_s:
            return None
        return max(fault.retry_after_s, backoff)


class EndpointConfig(PluginConfig):
    """Where an OpenAI-compatible endpoint is and how it is asked; the key is not an option.

    Attributes:
        model: Model name, as the endpoint spells it.
        base_url: The endpoint, with its ``/v1``.
        requests_per_minute: Most requests started in a minute; None for no limit.
        max_attempts: Attempts in one run before a request is given up.
        backoff_s: Wait after the first fault, doubled after each further one.
        max_backoff_s: Longest such wait.
        max_retry_after_s: Longest wait that the server may ask for.
    """

    model: str = Field(min_length=1)
    base_url: str = "https://api.openai.com/v1"
    requests_per_minute: float | None = Field(default=None, gt=0)
    max_attempts: int = Field(default=6, ge=1)
    backoff_s: float = Field(default=1.0, ge=0)
    max_backoff_s: float = Field(default=60.0, ge=0)
    max_retry_after_s: float = Field(default=600.0, ge=0)

    @property
    def policy(self) -> RetryPolicy:
        """How often and how soon a request is repeated."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            base_s=self.backoff_s,
            cap_s=self.max_backoff_s,
            max_retry_after_s=self.max_retry_after_s,
        )


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
        """Wait, only in this thread, unless stopped."""
        self._stopped.wait(seconds)


class GivenUpError(Exception):
    """A request failed for good.

    Attributes:
        fault: What went wrong at last.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class WrongAnswerError(Exception):
    """An answer with status 200 that cannot be used; the message says why."""


def ask(send: Callable[[], T], *, policy: RetryPolicy, pace: Pace) -> T:
    """Send a request until it succeeds.

    Args:
        send: Makes one attempt.
        policy: How often and how soon it is repeated.
        pace: Rate limit, shared by all requests of a run.

    Raises:
        GivenUpError: If the last attempt failed, or the run was stopped.
    """
    attempt = 0
    while pace.turn():
        attempt += 1
        try:
            return send()
        except WrongAnswerError as error:
            fault = Fault("answer", str(error), 200)
        except Exception as error:  # noqa: BLE001  # raised again unless the client's own
            fault = fault_of(error)
        wait_s = policy.wait_s(fault, attempt)
        if wait_s is None:
            raise GivenUpError(fault)
        if fault.retry_after_s is not None:
            pace.hold(wait_s)
        else:
            pace.sleep(wait_s)
    raise GivenUpError(Fault("server", pace.reason))
