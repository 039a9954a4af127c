"""Facet texts from GO: each gene's annotation sorted into the eight facets by GO ancestry.

A text is the gene's full name and the names of its GO terms, most specific first. Terms that lie
above another of the gene's terms are left out: they repeat what the more specific one says. So are
all but one of "X" and "positive", "negative" or plain "regulation of X": the one with the best
evidence stays, of equal ones one that names a direction, then the most specific. Definitions can
be added; embedded by MiniLM they tell K562 genes' functional classes apart no better than names
alone do (0.83 against 0.84, five nearest neighbours) and cost twice the time.

Source: Gene Ontology, doi:10.1093/genetics/iyad031. Loads the shipped gene tables: GO CC BY 4.0,
NCBI Gene public domain.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from dygenept.knowledge.genes.corpus import TABLES_SOURCE
from dygenept.knowledge.genes.tables import Evidence, GeneTables, load_gene_tables
from dygenept.plugin import CorpusEntry, FacetWriterSpec, GeneFacets, PluginConfig, hookimpl
from dygenept.types import FACETS, Progress, Runtime

# Raised when the same tables and settings give other texts.
TEXT_VERSION = 2
REPORT_EVERY = 1000
REGULATION = re.compile(r"^(positive |negative )?regulation of ")
# How far a term can be relied on: from electronic annotation, a curator, an experiment.
EVIDENCE_WEIGHTS = (0.5, 0.8, 1.0)
REVIEWED = 1
LEAST_CONFIDENCE = 0.1


class GoConfig(PluginConfig):
    """Options of the GO facet writer.

    Attributes:
        max_terms: Most terms named in one facet.
        max_words: Words after which no term or definition is added.
        evidence: ``all``; ``reviewed`` without electronic annotation (IEA); or ``experimental``.
        include_name: Begin with the gene's full name.
        include_facet: Say which facet the text is about.
        include_definitions: Fill up with the definitions of the most specific terms.
        confidence: ``full`` (1 for every text), or ``evidence``: of terms of information content i
            in [0, 1] and evidence e (0.5 electronic, 0.8 reviewed, 1 experimental), 1 - Π(1 - e i),
            at least 0.1.
    """

    max_terms: int = Field(default=12, ge=1)
    max_words: int = Field(default=80, ge=1)
    evidence: Evidence = "all"
    include_name: bool = True
    include_facet: bool = False
    include_definitions: bool = False
    confidence: Literal["full", "evidence"] = "full"


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
        written = (self._facets_of(tables, gene, gene) for gene in genes)
        return _reported(written, len(genes), runtime)

    def write_from(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene from the GO terms of its entry, by id or by name.

        An entry of the shipped tables, or one without a term that they know, is written from the
        tables by its symbol. Terms of an entry count as reviewed.
        """
        tables = load_gene_tables()

        def facets(entry: CorpusEntry) -> GeneFacets:
            own = None if entry.source == TABLES_SOURCE else self._facets_from(tables, entry)
            return own or self._facets_of(tables, entry.gene, entry.gene)

        return _reported((facets(entry) for entry in corpus), len(corpus), runtime)

    def _facets_from(self, tables: GeneTables, entry: CorpusEntry) -> GeneFacets | None:
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
        ranks = dict.fromkeys(go_ids, REVIEWED)
        return self._by_facet(_Gene(tables, entry.gene, name, ranks), by_facet)

    def _facets_of(self, tables: GeneTables, gene: str, asked: str) -> GeneFacets:
        symbol = tables.resolve(gene)
        if symbol is None:
            return GeneFacets(asked, (None,) * len(FACETS))
        by_facet = tables.facet_terms(symbol, evidence=self._config.evidence)
        known = _Gene(tables, asked, tables.name(symbol), tables.evidence_of(symbol))
        return self._by_facet(known, by_facet)

    def _by_facet(self, gene: _Gene, by_facet: Iterable[tuple[str, ...]]) -> GeneFacets:
        named = [gene.distinct(terms)[: self._config.max_terms] for terms in by_facet]
        texts = tuple(
            self._text(gene, facet, terms) if terms else None
            for facet, terms in zip(FACETS, named, strict=True)
        )
        if self._config.confidence == "full":
            return GeneFacets(gene.asked, texts)
        return GeneFacets(gene.asked, texts, tuple(gene.confidence(terms) for terms in named))

    def _text(self, gene: _Gene, facet: str, go_ids: Sequence[str]) -> str:
        config = self._config
        names = [gene.tables.term_name(go_id) for go_id in go_ids]
        parts = [gene.name] if config.include_name else []
        if config.include_facet:
            parts.append(facet)
        n_words = sum(len(part.split()) for part in [*parts, names[0]])
        n_named = 1
        for name in names[1:]:
            n_words += len(name.split())
            if n_words > config.max_words:
                break
            n_named += 1
        parts.append("; ".join(names[:n_named]))
        if config.include_definitions:
            for go_id in go_ids[:n_named]:
                definition = gene.tables.term(go_id).definition
                n_words += len(definition.split())
                if n_words > config.max_words:
                    break
                if definition:
                    parts.append(definition.rstrip("."))
        return f"{'. '.join(parts)}."


@dataclass(frozen=True, slots=True)
class _Gene:
    """A gene to be written of.

    Attributes:
        tables: The gene tables.
        asked: What it was asked for as.
        name: Its full name.
        ranks: Evidence behind each of its terms.
    """

    tables: GeneTables
    asked: str
    name: str
    ranks: Mapping[str, int]

    def distinct(self, go_ids: Sequence[str]) -> list[str]:
        """Leave out terms that others of the gene repeat; the order stays."""
        own = frozenset(go_ids)
        # The other way round, all ancestors of all terms would be put together: ten times the work.
        above = {go_id for below in own for go_id in own & self.tables.ancestors(below)}
        best: dict[str, str] = {}
        for go_id in go_ids:
            if go_id in above:
                continue
            core = _unregulated(self.tables.term_name(go_id))
            if core not in best or self._counts_more(go_id, best[core]):
                best[core] = go_id
        kept = set(best.values())
        return [go_id for go_id in go_ids if go_id in kept]

    def _counts_more(self, go_id: str, other: str) -> bool:
        def rank(term: str) -> tuple[int, bool]:
            found = REGULATION.match(self.tables.term_name(term))
            return self.ranks.get(term, 0), found is not None and found.group(1) is not None

        return rank(go_id) > rank(other)

    def confidence(self, go_ids: Sequence[str]) -> float:
        """Return how far a text of some terms can be relied on."""
        doubt = 1.0
        for go_id in go_ids:
            weight = EVIDENCE_WEIGHTS[self.ranks.get(go_id, 0)]
            doubt *= 1.0 - weight * self.tables.information_content(go_id)
        return max(LEAST_CONFIDENCE, round(1.0 - doubt, 4))


@functools.lru_cache(maxsize=65536)
def _unregulated(name: str) -> str:
    """Return a term's name without what it says of regulation."""
    return REGULATION.sub("", name)


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
