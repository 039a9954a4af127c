"""Asks an endpoint once, with as many attempts as that takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dygenept_plugins.endpoints.faults import Fault, fault_of
from dygenept_plugins.endpoints.pace import Pace, RetryPolicy

T = TypeVar("T")


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
