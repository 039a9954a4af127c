"""Text encoder ``api``: embeddings of any OpenAI-compatible server (``/v1/embeddings``).

The key is read from ``LLM_API_KEY`` only; a server on this machine needs none. Vectors that were
paid for are kept in the embedding cache, as those of every encoder. Source: this project; the
licence of the vectors is the endpoint's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dygenept.plugin import DataUnavailableError, TextEncoderSpec, hookimpl
from dygenept.types import FloatArray, Progress, Runtime
from dygenept_plugins.endpoints.asking import (
    EndpointConfig,
    GivenUpError,
    Pace,
    WrongAnswerError,
    ask,
)
from dygenept_plugins.endpoints.connection import checked_base_url, missing_key, open_client

if TYPE_CHECKING:
    from openai import OpenAI


class ApiConfig(EndpointConfig):
    """Options of ``api``; the key is not one of them.

    Attributes:
        dimensions: Width to ask for; None takes the model's own.
        is_normalized: Give each vector unit length.
        max_chars: Texts are cut here.
        batch_size: Texts in one request.
        concurrency: Requests at once.
        timeout_s: Longest wait for the next bytes of an answer.
        max_answer_mib: Largest answer.
    """

    dimensions: int | None = Field(default=None, ge=1)
    is_normalized: bool = True
    max_chars: int = Field(default=8000, ge=1)
    batch_size: int = Field(default=64, ge=1, le=2048)
    concurrency: int = Field(default=4, ge=1, le=64)
    timeout_s: float = Field(default=60.0, gt=0)
    max_answer_mib: int = Field(default=64, ge=1)


class ApiEncoder:
    """Embeds texts by asking a server."""

    corpus_dependent = False

    def __init__(self, config: ApiConfig) -> None:
        self._config = config
        self._base_url = checked_base_url(config.base_url)

    @property
    def identity(self) -> str:
        """Endpoint, model and the settings that change vectors."""
        config = self._config
        shaping = (self._base_url, config.dimensions, config.is_normalized, config.max_chars)
        digest = hashlib.sha256(repr(shaping).encode()).hexdigest()
        return f"api-{config.model}-{digest[:16]}"

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Return vectors, (n_texts, D), float32.

        Raises:
            DataUnavailableError: If the key is missing, or a request fails for good.
        """
        config = self._config
        if not texts:
            return np.zeros((0, config.dimensions or 0), dtype=np.float32)
        starts = range(0, len(texts), config.batch_size)
        batches = [texts[start : start + config.batch_size] for start in starts]
        pace = Pace(config.requests_per_minute)
        client = open_client(
            self._base_url, timeout_s=config.timeout_s, max_answer_mib=config.max_answer_mib
        )
        parts: list[FloatArray] = []
        with client, ThreadPoolExecutor(config.concurrency, thread_name_prefix="api") as executor:
            try:
                done = 0
                for part in executor.map(lambda batch: self._ask(client, batch, pace), batches):
                    parts.append(part)
                    done += len(part)
                    runtime.report(Progress("embed", done, len(texts)))
            except GivenUpError as error:
                raise DataUnavailableError(
                    f"the embedding model {config.model!r} at {self._base_url} failed: "
                    f"{error}; run the same command again, vectors embedded before are kept"
                ) from error
            finally:
                pace.stop()
        widths = {part.shape[1] for part in parts}
        if len(widths) != 1:
            raise DataUnavailableError(
                f"the embedding model {config.model!r} at {self._base_url} gave vectors of "
                f"{sorted(widths)} numbers; the server must answer with one model"
            )
        return np.concatenate(parts)

    def _ask(self, client: OpenAI, batch: Sequence[str], pace: Pace) -> FloatArray:
        config = self._config
        body: dict[str, Any] = {
            "model": config.model,
            "input": [_sendable(text, config.max_chars) for text in batch],
            "encoding_format": "float",
        }
        if config.dimensions is not None:
            body["dimensions"] = config.dimensions

        def send() -> FloatArray:
            answer = client.embeddings.with_raw_response.create(**body).text
            return read_vectors(answer, len(batch), config.dimensions)

        try:
            vectors = ask(send, policy=config.policy, pace=pace)
        except GivenUpError as error:
            # One batch that fails ends the run; the others are not asked for in vain.
            pace.stop(str(error))
            raise
        if config.is_normalized:
            norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
            vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        return vectors


def read_vectors(body: str, n_texts: int, dimensions: int | None) -> FloatArray:
    """Read the vectors of an answer, in the order of the texts.

    Raises:
        WrongAnswerError: If there is not one finite vector of one width for each text.
    """
    try:
        items = json.loads(body)["data"]
        by_index = {int(item["index"]): item["embedding"] for item in items}
        if len(items) != n_texts or set(by_index) != set(range(n_texts)):
            raise WrongAnswerError(f"{n_texts} texts were sent, and {len(items)} vectors came back")
        vectors = np.array([by_index[index] for index in range(n_texts)], dtype=np.float64)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongAnswerError("the server's answer has no vectors of numbers") from error
    if vectors.ndim != 2 or vectors.shape[1] != (dimensions or vectors.shape[1]):
        raise WrongAnswerError(
            f"the vectors have the shape {vectors.shape}, expected ({n_texts}, {dimensions or 'D'})"
        )
    if vectors.shape[1] == 0 or not (np.abs(vectors) < np.finfo(np.float32).max).all():
        raise WrongAnswerError("the vectors contain no numbers, or NaN or infinite ones")
    return vectors.astype(np.float32)


def _sendable(text: str, max_chars: int) -> str:
    # A lone surrogate cannot be sent.
    return text[:max_chars].encode(errors="replace").decode()


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``api``."""
    return [
        TextEncoderSpec(
            name="api",
            summary="Embeddings of any OpenAI-compatible server; costs a call per batch of texts.",
            source="this project",
            config=ApiConfig,
            factory=ApiEncoder,
            requires=("openai>=3.57",),
            extra="llm",
            missing=lambda config: missing_key(config.base_url),
        )
    ]
