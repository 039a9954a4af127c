"""What can go wrong in a call of an endpoint, and whether asking again may help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dygenept.machine.http_clients import masked, retry_after_s
from dygenept_plugins.endpoints.connection import AnswerTooLargeError
from dygenept_plugins.endpoints.redaction import redacted

if TYPE_CHECKING:
    from openai import APIStatusError

FaultKind = Literal[
    "rate_limit",
    "server",
    "timeout",
    "connection",
    "key",
    "not_found",
    "quota",
    "refused",
    "answer",
]
RETRYABLE: frozenset[FaultKind] = frozenset(
    {"rate_limit", "server", "timeout", "connection", "answer"}
)
# Nothing that is asked of this endpoint can succeed.
FATAL: frozenset[FaultKind] = frozenset({"key", "not_found", "quota"})
MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one attempt failed.

    Attributes:
        kind: What happened.
        message: In words, without the key.
        status: HTTP status; None where there was no answer.
        retry_after_s: Seconds the server asks to wait; None where it says nothing.
    """

    kind: FaultKind
    message: str
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def is_retryable(self) -> bool:
        """True if the same request may succeed later."""
        return self.kind in RETRYABLE

    @property
    def is_fatal(self) -> bool:
        """True if no other request can succeed either."""
        return self.kind in FATAL


def fault_of(error: Exception) -> Fault:
    """Say what an exception of the ``openai`` client means.

    Raises:
        Exception: The same, if it is not one of the client's.
    """
    import httpx2
    import openai

    if isinstance(error, AnswerTooLargeError):
        return Fault("answer", str(error))
    if isinstance(error, openai.APITimeoutError):
        return Fault("timeout", "the endpoint did not answer in time")
    if isinstance(error, openai.APIStatusError):
        return _status_fault(error)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        return Fault("connection", _message(f"{type(cause).__name__}: {cause}"))
    if isinstance(error, httpx2.HTTPError):
        return Fault("connection", _message(f"{type(error).__name__}: {error}"))
    if isinstance(error, openai.APIError):
        return Fault("server", _message(str(error)))
    raise error


def _status_fault(error: APIStatusError) -> Fault:
    status = error.status_code
    message = _message(f"status {status}: {error.message}")
    wait = retry_after_s(error.response.headers)
    kind: FaultKind
    if status == 402 or (status == 429 and error.code == "insufficient_quota"):
        kind = "quota"
    elif status == 429:
        kind = "rate_limit"
    elif status == 401:
        kind = "key"
    elif status == 404:
        kind = "not_found"
    elif status in (408, 409, 425) or status >= 500:
        kind = "server"
    else:
        kind = "refused"
    return Fault(kind, message, status, wait)


def _message(text: str) -> str:
    # Line by line would let a server forge log lines.
    flat = " ".join(masked(redacted(text)).split())
    return flat if len(flat) <= MAX_MESSAGE else f"{flat[:MAX_MESSAGE]}…"
