"""Embeds facet texts, each text once, and lays the vectors out by gene and facet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dygenept.errors import PluginError
from dygenept.knowledge.store.embedding_cache import EmbeddingCache
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import GeneFacets, TextEncoder
from dygenept.types import FACETS, FloatArray, GeneKnowledge, IntArray, Progress, Runtime

# Texts embedded between two writes of the cache: what an interrupted run can lose.
CHUNK = 512


@dataclass(frozen=True, slots=True)
class FacetVectors:
    """Embedded facets, unknown ones taking no space.

    Attributes:
        genes: Gene symbols, (n_genes,).
        index: Row in ``vectors`` of each facet, (n_genes, K); -1 where unknown.
        vectors: Vectors, (n_texts, D_text), float32.
        confidence: In [0, 1], 0 where unknown, (n_genes, K), float32; None means 1 where known.
    """

    genes: tuple[str, ...]
    index: IntArray
    vectors: FloatArray
    confidence: FloatArray | None = None

    def dense(self) -> FloatArray:
        """Return the facet tensor, (n_genes, K, D_text); zeros where unknown."""
        values = np.zeros((*self.index.shape, self.vectors.shape[1]), dtype=np.float32)
        known = self.index >= 0
        values[known] = self.vectors[self.index[known]]
        return values

    def knowledge(self, *, name: str, sha256: str) -> GeneKnowledge:
        """Return the facets as knowledge, as sure as their writer is."""
        known = (self.index >= 0).astype(np.float32)
        return GeneKnowledge(
            name=name,
            sha256=sha256,
            genes=self.genes,
            facet_names=FACETS,
            values=self.dense(),
            confidence=known if self.confidence is None else self.confidence,
        )


def texts_of(facets: Sequence[GeneFacets]) -> list[str]:
    """Return every facet text once, sorted."""
    return sorted({text for item in facets for text in item.texts if text is not None})


def embed_facets(
    encoder: TextEncoder, facets: Sequence[GeneFacets], runtime: Runtime
) -> FacetVectors:
    """Embed the facet texts of some genes; a text embedded before is read from the cache.

    Raises:
        PluginError: If the encoder returns what it must not.
    """
    texts = texts_of(facets)
    rows: dict[str | None, int] = {text: row for row, text in enumerate(texts)}
    index = np.array(
        [[rows.get(text, -1) for text in item.texts] for item in facets], dtype=np.int32
    ).reshape(len(facets), len(FACETS))
    genes = tuple(item.gene for item in facets)
    confidence = np.array([item.confidences for item in facets], dtype=np.float32)
    confidence = confidence.reshape(index.shape)
    return FacetVectors(genes, index, embed_texts(encoder, texts, runtime), confidence)


def embedding_identity(encoder: TextEncoder, texts: Sequence[str]) -> str:
    """Name what determines the vectors of some texts: the encoder, and for some all the texts."""
    if encoder.corpus_dependent:
        return f"{encoder.identity}/{digest_of(texts)}"
    return encoder.identity


def embed_texts(encoder: TextEncoder, texts: Sequence[str], runtime: Runtime) -> FloatArray:
    """Embed texts, reading from the cache those that were embedded before.

    Args:
        encoder: Text encoder.
        texts: Texts, each once.
        runtime: Device, progress, and ``cache_dir`` (None computes everything again).

    Returns:
        One vector per text, (n_texts, D_text), float32.

    Raises:
        PluginError: If the encoder returns what it must not.
    """
    cache = EmbeddingCache(runtime.cache_dir, embedding_identity(encoder, texts))
    found = cache.read(texts)
    missing = [text for text in texts if text not in found]
    # A corpus-dependent encoder must see its whole corpus at once.
    if encoder.corpus_dependent and missing:
        found, missing = {}, list(texts)
    size = max(len(missing), 1) if encoder.corpus_dependent else CHUNK
    for start in range(0, len(missing), size):
        part = missing[start : start + size]
        with plugin_code(f"text encoder {encoder.identity}"):
            given = encoder.encode(part, _counting_on(runtime, start, len(missing)))
            vectors = np.asarray(given, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(part) or not np.isfinite(vectors).all():
            raise PluginError(
                f"text encoder {encoder.identity}: {len(part)} texts gave vectors of shape "
                f"{vectors.shape}; expected ({len(part)}, D), finite"
            )
        cache.write(part, vectors)
        found.update(zip(part, vectors, strict=True))
        runtime.report(Progress("embed", start + len(part), len(missing)))
    if not texts:
        return encoder.encode([], runtime)
    return np.stack([found[text] for text in texts]).astype(np.float32, copy=False)


def digest_of(parts: Sequence[str]) -> str:
    """Return one hash of several texts, in order."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()


def _counting_on(runtime: Runtime, done: int, total: int) -> Runtime:
    def report(progress: Progress) -> None:
        if progress.stage == "embed":
            progress = replace(progress, step=done + progress.step, total=total)
        runtime.report(progress)

    return replace(runtime, report=report)
