"""Facet texts from GO: each gene's annotation sorted into the eight facets by GO ancestry.

A text is the gene's full name and the names of its GO terms, most specific first. Terms that lie
above another of the gene's terms are left out: they repeat what the more specific one says.
Definitions can be added; embedded by MiniLM they tell K562 genes' functional classes apart no
better than names alone do (0.83 against 0.84, five nearest neighbours) and cost twice the time.

Source: Gene Ontology, doi:10.1093/genetics/iyad031. Loads the shipped gene tables: GO CC BY 4.0,
NCBI Gene public domain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from pydantic import Field

from dygenept.knowledge.genes.corpus import TABLES_SOURCE
from dygenept.knowledge.genes.tables import Evidence, GeneTables, load_gene_tables
from dygenept.plugin import (
    CorpusEntry,
    FacetWriterSpec,
    GeneFacets,
    PluginConfig,
    hookimpl,
)
from dygenept.types import FACETS, Progress, Runtime

# Raised when the same tables and settings give other texts.
TEXT_VERSION = 1
REPORT_EVERY = 1000


class GoConfig(PluginConfig):
    """Options of the GO facet writer.

    Attributes:
        max_terms: Most terms named in one facet.
        max_words: Words after which no term or definition is added.
        evidence: ``all``; ``reviewed`` without electronic annotation (IEA); or ``experimental``.
        include_name: Begin with the gene's full name.
        include_facet: Say which facet the text is about.
        include_definitions: Fill up with the definitions of the most specific terms.
    """

    max_terms: int = Field(default=12, ge=1)
    max_words: int = Field(default=80, ge=1)
    evidence: Evidence = "all"
    include_name: bool = True
    include_facet: bool = False
    include_definitions: bool = False


class GoFacetWriter:
    """Writes facet texts from the shipped gene tables."""

    def __init__(self, config: GoConfig) -> None:
        self._config = config

    @property
    def identity(self) -> str:
        """Text version, hash of the tables and of the settings."""
        settings = hashlib.sha256(self._config.model_dump_json().encode()).hexdigest()
        return f"go-{TEXT_VERSION}-{load_gene_tables().sha256[:16]}-{settings[:16]}"

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene; outdated symbols and Ensembl ids are resolved."""
        tables = load_gene_tables()
        written = (GeneFacets(gene, self._texts(tables, gene)) for gene in genes)
        return _reported(written, len(genes), runtime)

    def write_from(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene from the GO terms of its entry, by id or by name.

        An entry of the shipped tables, or one without a term that they know, is written from the
        tables by its symbol.
        """
        tables = load_gene_tables()

        def texts(entry: CorpusEntry) -> tuple[str | None, ...]:
            own = None if entry.source == TABLES_SOURCE else self._texts_from(tables, entry)
            return own or self._texts(tables, entry.gene)

        written = (GeneFacets(entry.gene, texts(entry)) for entry in corpus)
        return _reported(written, len(corpus), runtime)

    def _texts_from(self, tables: GeneTables, entry: CorpusEntry) -> tuple[str | None, ...] | None:
        found = {go_id for text in entry.go if (go_id := tables.find_term(text)) is not None}
        if not found:
            return None
        go_ids = sorted(found, key=lambda go_id: (tables.n_genes_of_term(go_id), go_id))
        facets_of = {go_id: tables.facets_of_term(go_id) for go_id in go_ids}
        name = (entry.description or entry.symbol or entry.gene).rstrip(".")
        by_facet = (
            tuple(go_id for go_id in go_ids if position in facets_of[go_id])
            for position in range(len(FACETS))
        )
        return self._by_facet(tables, name, by_facet)

    def _texts(self, tables: GeneTables, gene: str) -> tuple[str | None, ...]:
        symbol = tables.resolve(gene)
        if symbol is None:
            return (None,) * len(FACETS)
        by_facet = tables.facet_terms(symbol, evidence=self._config.evidence)
        return self._by_facet(tables, tables.name(symbol), by_facet)

    def _by_facet(
        self, tables: GeneTables, name: str, by_facet: Iterable[tuple[str, ...]]
    ) -> tuple[str | None, ...]:
        return tuple(
            self._text(tables, name, facet, terms) if terms else None
            for facet, terms in zip(FACETS, by_facet, strict=True)
        )

    def _text(self, tables: GeneTables, name: str, facet: str, go_ids: tuple[str, ...]) -> str:
        config = self._config
        above: set[str] = set().union(*(tables.ancestors(go_id) for go_id in go_ids))
        named = [go_id for go_id in go_ids if go_id not in above][: config.max_terms]
        terms = [tables.term(go_id) for go_id in named]
        parts = [name] if config.include_name else []
        if config.include_facet:
            parts.append(facet)
        names = terms[:1]
        n_words = sum(len(part.split()) for part in [*parts, terms[0].name])
        for term in terms[1:]:
            n_words += len(term.name.split())
            if n_words > config.max_words:
                break
            names.append(term)
        parts.append("; ".join(term.name for term in names))
        if config.include_definitions:
            for term in names:
                n_words += len(term.definition.split())
                if n_words > config.max_words:
                    break
                if term.definition:
                    parts.append(term.definition.rstrip("."))
        return f"{'. '.join(parts)}."


def _reported(written: Iterable[GeneFacets], n: int, runtime: Runtime) -> tuple[GeneFacets, ...]:
    """Collect what is written, and report how much is done."""
    facets = []
    for item in written:
        facets.append(item)
        if len(facets) % REPORT_EVERY == 0:
            runtime.report(Progress("write", len(facets), n))
    runtime.report(Progress("write", n, n))
    return tuple(facets)


@hookimpl
def dygenept_facet_writers() -> list[FacetWriterSpec]:
    """Return the facet writer ``go``."""
    return [
        FacetWriterSpec(
            name="go",
            summary="GO annotation sorted into the eight facets by GO ancestry; offline.",
            source="Gene Ontology Consortium 2023, doi:10.1093/genetics/iyad031",
            config=GoConfig,
            factory=GoFacetWriter,
        )
    ]
