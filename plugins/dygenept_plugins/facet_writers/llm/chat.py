"""One chat-completions request and what a server made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dygenept.machine.http_clients import masked
from dygenept_plugins.endpoints.redaction import redacted
from dygenept_plugins.facet_writers.llm.answer import AnswerError
from dygenept_plugins.facet_writers.llm.prompt import answer_schema

if TYPE_CHECKING:
    from openai import OpenAI

# How the answer's form is asked for, the strictest first; a server that refuses one gets the next.
ResponseFormat = Literal["json_schema", "json_object", "none"]
RESPONSE_FORMATS: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "none")
_REFUSAL_WORDS = (
    "response_format",
    "json_schema",
    "json_object",
    "json mode",
    "structured",
    "schema",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered with status 200.

    Attributes:
        text: What the model wrote; None where there is nothing usable.
        model: Model that answered, as the server names it.
        id: The server's id of the answer.
        finish_reason: Why the model stopped.
        refusal: What it said where it refused.
        input_tokens: Tokens read; None where the server does not count.
        output_tokens: Tokens written.
        raw: The body, where it is not a chat completion; empty otherwise.
    """

    text: str | None
    model: str | None = None
    id: str | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    raw: str = ""

    def usable_text(self) -> str:
        """Return what the model wrote.

        Raises:
            AnswerError: If it wrote nothing, refused, or was cut short.
        """
        if self.raw:
            raise AnswerError("the server's answer is not a chat completion")
        if self.refusal:
            raise AnswerError("the model refused to answer")
        if self.finish_reason == "length":
            raise AnswerError("the answer was cut short at the token limit (max_output_tokens)")
        if self.finish_reason == "content_filter":
            raise AnswerError("the endpoint's content filter withheld the answer")
        if not self.text:
            raise AnswerError("the answer is empty")
        return self.text


def send(
    client: OpenAI,
    *,
    messages: Sequence[Mapping[str, str]],
    settings: Mapping[str, object],
    facets: Sequence[str],
    response_format: ResponseFormat,
) -> Reply:
    """Make one request.

    Args:
        client: Client of the endpoint.
        messages: Chat messages.
        settings: Model, temperature and the like, as the API names them.
        facets: Facets of the answer, for its schema.
        response_format: How the answer's form is asked for.

    Raises:
        openai.OpenAIError: If there is no answer, or one with another status than 200.
    """
    body: dict[str, Any] = {**settings, "messages": [dict(message) for message in messages]}
    if response_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif response_format == "json_schema":
        schema = {"name": "gene_facets", "strict": True, "schema": answer_schema(facets)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    # The raw answer: servers fill these fields as they like, and all of it is to be kept.
    return read_reply(client.chat.completions.with_raw_response.create(**body).text)


def read_reply(body: str) -> Reply:
    """Read the body of an answer, without the key wherever the server repeats it.

    Whatever has the wrong form becomes a reply without text.
    """
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        message = choice["message"]
        usage = document.get("usage") or {}
        content, refusal = message.get("content"), message.get("refusal")
        return Reply(
            text=redacted(content) if isinstance(content, str) else None,
            model=_text(document.get("model")),
            id=_text(document.get("id")),
            finish_reason=_text(choice.get("finish_reason")),
            refusal=_text(refusal),
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return Reply(None, raw=masked(redacted(body)) or " ")


def refuses_format(message: str) -> bool:
    """True if a refusal (status 400 or 422) is about how the answer's form was asked for."""
    lowered = message.lower()
    return any(word in lowered for word in _REFUSAL_WORDS)


def _text(value: object) -> str | None:
    return masked(redacted(value)) if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
