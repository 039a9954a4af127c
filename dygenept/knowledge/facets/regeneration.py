"""Step 2.5: writes unknown facets from the graph partners' texts of the same facet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from dygenept.errors import PluginError
from dygenept.knowledge.facets.texts import FacetTexts
from dygenept.knowledge.graph.combined import CombinedGraph, Neighbour, Neighbours
from dygenept.plugin.interfaces import (
    CorpusEntry,
    FacetRequest,
    FacetWriter,
    GeneFacets,
    PartnerText,
    RegeneratesFacets,
)
from dygenept.types import FACETS, Progress, Runtime

# Raised when the same partners give another text.
TEXT_VERSION = 1
REPORT_EVERY = 1000


class RegenerationOptions(BaseModel):
    """Options of step 2.5.

    Attributes:
        enabled: False leaves the step out of ``--step all``.
        min_partners: Partners that must know the facet.
        max_partners: Most partners read, the strongest.
        min_weight: Evidence filter: weaker edges do not count.
        max_words: Words of a text that is put together by rule.
        confidence: Confidence of a regenerated facet; below 1, which own annotation has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    min_partners: int = Field(default=2, ge=1)
    max_partners: int = Field(default=5, ge=1)
    min_weight: float = Field(default=0.5, ge=0, le=1)
    max_words: int = Field(default=80, ge=1)
    confidence: float = Field(default=0.8, gt=0, le=1)


def regeneration_requests(
    facets: FacetTexts,
    corpus: Mapping[str, CorpusEntry],
    graph: CombinedGraph,
    *,
    options: RegenerationOptions,
    runtime: Runtime,
) -> tuple[FacetRequest, ...]:
    """Return the unknown facets that enough partners know, with the partners' texts.

    Only texts that a writer wrote count; a regenerated text informs no other.
    """
    neighbors = Neighbours(graph)
    texts = {item.gene: item.texts for item in facets.genes}
    requests = []
    for number, item in enumerate(facets.genes, start=1):
        if any(text is None for text in item.texts):
            found = neighbors.strongest(item.gene, min_weight=options.min_weight)
            entry = corpus.get(item.gene, CorpusEntry(item.gene))
            for position, facet in enumerate(FACETS):
                if item.texts[position] is not None:
                    continue
                partners = _partners(found, texts, position, options.max_partners)
                if len(partners) >= options.min_partners:
                    requests.append(FacetRequest(entry, facet, partners))
        if number % REPORT_EVERY == 0:
            runtime.report(Progress("partners", number, len(facets.genes)))
    runtime.report(Progress("partners", len(facets.genes), len(facets.genes)))
    return tuple(requests)


def regenerate(
    facets: FacetTexts,
    requests: Sequence[FacetRequest],
    *,
    writer: FacetWriter,
    options: RegenerationOptions,
    runtime: Runtime,
) -> FacetTexts:
    """Return the facets with the requested ones written; own texts stay as they are.

    A writer that cannot regenerate has its partners' texts put together by rule.

    Raises:
        PluginError: If the writer returns what it must not.
    """
    if isinstance(writer, RegeneratesFacets):
        written = writer.regenerate(requests, runtime)
    else:
        written = tuple(composed(request, options.max_words) for request in requests)
    if len(written) != len(requests):
        raise PluginError(
            f"facet writer {writer.identity}: {len(requests)} requests gave {len(written)} texts; "
            "it must return one per request, in order"
        )
    fresh: dict[tuple[str, int], str] = {}
    partners: dict[tuple[str, int], tuple[Neighbour, ...]] = {}
    for request, text in zip(requests, written, strict=True):
        if text is not None and text.strip():
            key = (request.entry.gene, FACETS.index(request.facet))
            fresh[key] = text
            partners[key] = tuple(
                Neighbour(partner.gene, partner.weight, partner.source)
                for partner in request.partners
            )
    genes = tuple(
        GeneFacets(
            item.gene,
            tuple(
                fresh.get((item.gene, position)) if text is None else text
                for position, text in enumerate(item.texts)
            ),
        )
        for item in facets.genes
    )
    return FacetTexts(genes, partners)


def composed(request: FacetRequest, max_words: int) -> str:
    """Put the partners' texts together: the gene's name, then each partner's share of words."""
    name = request.entry.description or request.entry.symbol or request.entry.gene
    share = max(max_words // len(request.partners), 1)
    parts = [
        f"{partner.gene}: {' '.join(partner.text.split()[:share]).rstrip('.;,')}"
        for partner in request.partners
    ]
    return f"{name.rstrip('.')}. Partners: {'. '.join(parts)}."


def _partners(
    found: Sequence[Neighbour],
    texts: Mapping[str, tuple[str | None, ...]],
    position: int,
    limit: int,
) -> tuple[PartnerText, ...]:
    partners: list[PartnerText] = []
    for item in found:
        known = texts.get(item.gene)
        if known is not None and (text := known[position]) is not None:
            partners.append(PartnerText(item.gene, text, item.weight, item.source))
            if len(partners) == limit:
                break
    return tuple(partners)
