"""Step 1.5: adds to each gene's text the descriptions of its strongest graph neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from pydantic import BaseModel, ConfigDict, Field

from dygenept.knowledge.genes.corpus import corpus_from_tables, described
from dygenept.knowledge.graph.combined import CombinedGraph, Neighbours
from dygenept.plugin.interfaces import CorpusEntry, PartnerText
from dygenept.types import Progress, Runtime

REPORT_EVERY = 1000


class EnrichmentOptions(BaseModel):
    """Options of step 1.5.

    Attributes:
        enabled: False leaves the step out of ``--step all``.
        max_neighbors: Most neighbours described.
        min_weight: Evidence filter: weaker edges do not count. The default keeps experiments,
            databases, complexes and shared pathways, and leaves out text mining and shared terms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    max_neighbors: int = Field(default=5, ge=1)
    min_weight: float = Field(default=0.5, ge=0, le=1)


def enrich(
    corpus: Sequence[CorpusEntry],
    graph: CombinedGraph,
    *,
    options: EnrichmentOptions,
    runtime: Runtime,
) -> tuple[CorpusEntry, ...]:
    """Return the corpus with each gene's partners described.

    Args:
        corpus: Step 1's corpus.
        graph: Graph over at least the corpus; partners outside the corpus are described from the
            shipped tables. A partner of which nothing is known is passed over.
        options: How many, and how strong an edge must be.
        runtime: Progress.
    """
    neighbors = Neighbours(graph)
    texts = {entry.gene: described(entry) for entry in corpus}

    def text_of(gene: str) -> str:
        # Partners may lie outside the corpus: the graph covers every gene of the shipped tables.
        if gene not in texts:
            (entry,) = corpus_from_tables([gene])
            texts[gene] = described(entry)
        return texts[gene]

    enriched = []
    for position, entry in enumerate(corpus, start=1):
        found = neighbors.strongest(entry.gene, min_weight=options.min_weight)
        # Filter before cutting, so that a partner without text does not use up a place.
        known = (item for item in found if text_of(item.gene))
        partners = tuple(
            PartnerText(item.gene, text_of(item.gene), item.weight, item.source)
            for item in islice(known, options.max_neighbors)
        )
        enriched.append(replace(entry, partners=partners))
        if position % REPORT_EVERY == 0:
            runtime.report(Progress("enrich", position, len(corpus)))
    runtime.report(Progress("enrich", len(corpus), len(corpus)))
    return tuple(enriched)
