"""Facet texts written by a language model behind any OpenAI-compatible endpoint.

One call per gene asks for all eight facets, each two to four sentences or ``<NULL>``; one further
call per gene can write its unknown facets from its partners' texts. Every answer is kept in a
journal (``llm_journal.jsonl``), so that nothing is paid for twice; what failed is a failure, never
an unknown facet, and is asked again on the next run. The key is read from ``LLM_API_KEY`` only.

Source: this project; the idea of gene text from a language model: Chen & Zou 2024, GenePT,
doi:10.1101/2023.10.16.562533. Loads no weights; the texts' licence is the endpoint's.

Read in this order: ``config`` (options), ``prompt`` (what is asked), ``chat`` (one request and its
reply), ``answer`` (the texts in it), ``journal`` (what is kept), ``calls`` (many requests at once),
``writer`` (the plugin).
"""

from __future__ import annotations

from dygenept.plugin import FacetWriterSpec, hookimpl
from dygenept_plugins.endpoints.connection import missing_key
from dygenept_plugins.facet_writers.llm.config import LlmConfig
from dygenept_plugins.facet_writers.llm.writer import LlmFacetWriter

__all__ = ["LlmConfig", "LlmFacetWriter", "dygenept_facet_writers"]


@hookimpl
def dygenept_facet_writers() -> list[FacetWriterSpec]:
    """Return the facet writer ``llm``."""
    return [
        FacetWriterSpec(
            name="llm",
            summary="A language model behind any OpenAI-compatible endpoint; one call per gene.",
            source="this project; idea: Chen & Zou 2024, doi:10.1101/2023.10.16.562533",
            config=LlmConfig,
            factory=LlmFacetWriter,
            requires=("openai>=3.57",),
            extra="llm",
            missing=lambda config: missing_key(config.base_url),
        )
    ]
