"""Options of the facet writer ``llm``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dygenept_plugins.endpoints.asking import EndpointConfig
from dygenept_plugins.facet_writers.llm.prompt import PromptSettings


class LlmConfig(EndpointConfig):
    """Options of the writer; the key is not one of them.

    Attributes:
        temperature: In [0, 2]; None sends none, for models that refuse it.
        seed: Sent where set; few endpoints keep it.
        max_output_tokens: Longest answer.
        token_limit_name: How the endpoint calls that limit.
        response_format: Strictest form to ask for; a server that refuses it gets the next.
        min_sentences: Fewest sentences of a text.
        max_sentences: Most sentences of a text.
        max_terms: Most GO terms, and most pathways, in a prompt.
        max_summary_chars: A longer summary is cut.
        concurrency: Requests at once.
        timeout_s: Longest wait for the next bytes of an answer.
        max_answer_mib: Largest answer.
        stop_after: Genes given up in a row after which a run stops.
        input_price: US dollars for a million tokens read; for estimates.
        output_price: US dollars for a million tokens written.
        output_tokens_per_facet: Assumed by estimates.
        journal: File of all answers; None keeps it with the run, else in the cache.
    """

    temperature: float | None = Field(default=0.0, ge=0, le=2)
    seed: int | None = None
    max_output_tokens: int = Field(default=2500, ge=64)
    token_limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    response_format: Literal["json_schema", "json_object", "none"] = "json_schema"
    min_sentences: int = Field(default=2, ge=1)
    max_sentences: int = Field(default=4, ge=1)
    max_terms: int = Field(default=60, ge=0)
    max_summary_chars: int = Field(default=4000, ge=0)
    concurrency: int = Field(default=8, ge=1, le=256)
    timeout_s: float = Field(default=120.0, gt=0)
    max_answer_mib: int = Field(default=8, ge=1)
    stop_after: int = Field(default=25, ge=1)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)
    output_tokens_per_facet: int = Field(default=80, ge=1)
    journal: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.min_sentences > self.max_sentences:
            raise ValueError("min_sentences must not exceed max_sentences")
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("needs input_price and output_price together")
        return self

    @property
    def request(self) -> dict[str, object]:
        """What a request says besides its messages and the form of its answer."""
        request: dict[str, object] = {
            "model": self.model,
            self.token_limit_name: self.max_output_tokens,
        }
        if self.temperature is not None:
            request["temperature"] = self.temperature
        if self.seed is not None:
            request["seed"] = self.seed
        return request

    @property
    def prices(self) -> tuple[float, float] | None:
        """US dollars for a million tokens read and written."""
        if self.input_price is None or self.output_price is None:
            return None
        return self.input_price, self.output_price

    @property
    def prompt(self) -> PromptSettings:
        """What shapes a prompt."""
        return PromptSettings(
            self.min_sentences, self.max_sentences, self.max_terms, self.max_summary_chars
        )
