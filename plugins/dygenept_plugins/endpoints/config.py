"""Options that every plugin which asks an endpoint has."""

from __future__ import annotations

from pydantic import Field

from dygenept.plugin import PluginConfig
from dygenept_plugins.endpoints.asking import RetryPolicy


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
