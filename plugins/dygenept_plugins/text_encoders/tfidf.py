"""Text encoder ``tfidf``: tf-idf and a truncated SVD, fitted on the shipped GO terms; offline.

The corpus is fixed: one document per protein-coding gene (its name and its GO terms' names) and one
per GO term that annotates a gene (its name and definition). So a text's vector depends neither on
the data set nor on the texts beside it, and words that are used for the same genes lie close
(latent semantic analysis, Deerwester et al. 1990). scikit-learn, BSD-3-Clause; GO CC BY 4.0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dygenept.plugin import PluginConfig, TextEncoderSpec, hookimpl
from dygenept.types import DoubleArray, FloatArray, Progress, Runtime

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer


# Raised when the same tables and settings give other vectors.
FIT_VERSION = 1
FIT_SEED = 0


class TfidfConfig(PluginConfig):
    """Options of ``tfidf``.

    Attributes:
        dim: Width of the vectors.
        min_documents: Words in fewer documents of the corpus are left out.
    """

    dim: int = Field(default=256, ge=2, le=2048)
    min_documents: int = Field(default=3, ge=1)


class TfidfEncoder:
    """Embeds texts by their words; fitted on the first call of ``encode``."""

    corpus_dependent = False

    def __init__(self, config: TfidfConfig) -> None:
        self._config = config

    @property
    def identity(self) -> str:
        """Fit version, settings and the hash of the gene tables."""
        from dygenept.knowledge.genes.tables import load_gene_tables

        config = self._config
        tables = load_gene_tables().sha256[:16]
        return f"tfidf-{FIT_VERSION}-{config.dim}-{config.min_documents}-{tables}"

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Return unit vectors, (n_texts, dim), float32; zeros for a text of unknown words."""
        if not texts:
            return np.zeros((0, self._config.dim), dtype=np.float32)
        vectorizer, components = _fitted(self._config)
        projected = vectorizer.transform(texts) @ components.T  # (n_texts, dim)
        norms = np.linalg.norm(projected, axis=1, keepdims=True)
        runtime.report(Progress("embed", len(texts), len(texts)))
        vectors: FloatArray = (projected / np.maximum(norms, 1e-12)).astype(np.float32)
        return vectors


@functools.lru_cache(maxsize=2)
def _fitted(config: TfidfConfig) -> tuple[TfidfVectorizer, DoubleArray]:
    """Return the fitted vectorizer and the axes, (dim, n_words)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, stop_words="english", min_df=config.min_documents, dtype=np.float64
    )
    weights = vectorizer.fit_transform(_corpus())
    svd = TruncatedSVD(n_components=config.dim, n_iter=4, random_state=FIT_SEED)
    # One thread: sums in one order wherever it runs, and no contention beside other jobs.
    with threadpool_limits(limits=1):
        svd.fit(weights)
    return vectorizer, svd.components_


def _corpus() -> list[str]:
    from dygenept.knowledge.genes.tables import load_gene_tables

    tables = load_gene_tables()
    documents = []
    used: set[str] = set()
    for symbol in tables.protein_coding:
        go_ids = tables.terms_of(symbol)
        used.update(go_ids)
        names = [tables.term(go_id).name for go_id in go_ids]
        documents.append("; ".join([tables.name(symbol), *names]))
    for go_id in sorted(used):
        term = tables.term(go_id)
        documents.append(f"{term.name}. {term.definition}")
    return documents


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``tfidf``."""
    return [
        TextEncoderSpec(
            name="tfidf",
            summary="Tf-idf and truncated SVD fitted on GO terms: fast, offline, no network.",
            source=("Deerwester et al. 1990, J. Am. Soc. Inf. Sci. 41:391"),
            config=TfidfConfig,
            factory=TfidfEncoder,
        )
    ]
