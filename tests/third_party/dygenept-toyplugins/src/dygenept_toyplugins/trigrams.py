"""Text encoder that counts letter trigrams in hashed bins. Source: this project."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dygenept.plugin import PluginConfig, TextEncoderSpec, hookimpl

if TYPE_CHECKING:
    from dygenept.types import FloatArray, Runtime


class TrigramsConfig(PluginConfig):
    """Options of ``trigrams``.

    Attributes:
        dim: Bins, the width of a vector.
    """

    dim: int = Field(64, ge=1)


class Trigrams:
    """Hashes trigrams; a text's vector has length 1."""

    corpus_dependent = False

    def __init__(self, config: TrigramsConfig) -> None:
        self.dim = config.dim
        self.identity = f"trigrams-{self.dim}"

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Count, then scale to length 1."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            padded = f"  {text.lower()} "
            trigrams = [padded[start : start + 3] for start in range(len(padded) - 2)]
            bins = [zlib.crc32(trigram.encode()) % self.dim for trigram in trigrams]
            vectors[row] = np.bincount(bins, minlength=self.dim)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``trigrams``."""
    return [
        TextEncoderSpec(
            name="trigrams",
            summary="Hashed counts of letter trigrams.",
            source="this project",
            config=TrigramsConfig,
            factory=Trigrams,
        )
    ]
