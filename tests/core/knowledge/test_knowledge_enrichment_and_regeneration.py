"""Neighbours in a graph, and what steps 1.5 and 2.5 make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import PluginError
from dygenept.knowledge.facets.regeneration import (
    RegenerationOptions,
    regenerate,
    regeneration_requests,
)
from dygenept.knowledge.facets.texts import FacetTexts
from dygenept.knowledge.genes.matching import gene_universe
from dygenept.knowledge.graph.combined import CombinedGraph, Neighbours
from dygenept.knowledge.graph.enrichment import EnrichmentOptions, enrich
from dygenept.knowledge.graph.joining import combine_graphs
from dygenept.plugin.interfaces import CorpusEntry, FacetRequest, GeneFacets, KnowledgeGraph
from dygenept.types import FACETS, Runtime

RUNTIME = Runtime()
GENES = ("KLF1", "GATA1", "TAL1", "XHUB", "NO_TEXT", "LONELY")
EDGES = {
    "string": {
        ("KLF1", "GATA1"): 1.0,
        ("KLF1", "XHUB"): 1.0,
        ("KLF1", "NO_TEXT"): 0.8,
        ("XHUB", "TAL1"): 1.0,
        ("XHUB", "NO_TEXT"): 1.0,
    },
    "go": {("KLF1", "TAL1"): 0.3, ("KLF1", "GATA1"): 0.3},
}
CORPUS = (
    CorpusEntry("KLF1", description="Kruppel", source="mine"),
    CorpusEntry("GATA1", description="Binds GATA", summary="Makes blood. And more.", source="mine"),
    CorpusEntry("TAL1", description="Tal", source="mine"),
    CorpusEntry("XHUB", description="Knows everyone", source="mine"),
    CorpusEntry("NO_TEXT"),
    CorpusEntry("LONELY", description="Alone", source="mine"),
)


@pytest.fixture(scope="module")
def graph() -> CombinedGraph:
    graphs = {}
    for name, edges in EDGES.items():
        dense = np.zeros((len(GENES), len(GENES)), dtype=np.float32)
        for pair, weight in edges.items():
            first, second = (GENES.index(gene) for gene in pair)
            dense[first, second] = dense[second, first] = weight
        graphs[name] = KnowledgeGraph(GENES, sparse.csr_matrix(dense))
    return combine_graphs(graphs, genes=GENES)


def test_of_equally_strong_neighbours_the_one_with_fewer_comes_first(graph: CombinedGraph) -> None:
    found = Neighbours(graph).strongest("KLF1")
    assert [item.gene for item in found] == ["GATA1", "XHUB", "NO_TEXT", "TAL1"]
    assert [item.source for item in found] == ["string", "string", "string", "go"]
    assert found[2].weight == pytest.approx(0.8)


def test_weak_neighbours_are_filtered_and_a_foreign_gene_has_none(graph: CombinedGraph) -> None:
    neighbours = Neighbours(graph)
    assert [item.gene for item in neighbours.strongest("KLF1", n=1, min_weight=0.9)] == ["GATA1"]
    assert neighbours.strongest("TAL1", min_weight=1.1) == ()
    assert neighbours.strongest("ELSEWHERE") == ()
    assert neighbours.strongest("LONELY") == ()


def test_enrichment_describes_the_strongest_partners_of_which_something_is_known(
    graph: CombinedGraph,
) -> None:
    options = EnrichmentOptions(max_neighbors=2)
    klf1, *_, lonely = enrich(CORPUS, graph, options=options, runtime=RUNTIME)
    assert [(p.gene, p.text, p.source) for p in klf1.partners] == [
        ("GATA1", "Binds GATA. Makes blood", "string"),
        ("XHUB", "Knows everyone", "string"),
    ]
    assert lonely.partners == ()
    assert klf1.description == "Kruppel"


def test_enrichment_leaves_weak_evidence_out_and_reads_other_genes_from_the_tables(
    graph: CombinedGraph,
) -> None:
    (klf1,) = enrich(CORPUS[:1], graph, options=EnrichmentOptions(), runtime=RUNTIME)
    assert [partner.gene for partner in klf1.partners] == ["GATA1"]
    assert klf1.partners[0].text.startswith("GATA binding protein 1. ")
    weak = EnrichmentOptions(min_weight=0.1)
    (klf1,) = enrich(CORPUS[:1], graph, options=weak, runtime=RUNTIME)
    assert [partner.gene for partner in klf1.partners] == ["GATA1", "TAL1"]


def test_universe_holds_a_gene_once_under_the_name_it_is_asked_for() -> None:
    universe = gene_universe(("KIAA1804", "MINE"))
    assert universe[:2] == ("KIAA1804", "MINE")
    assert "MAP3K21" not in universe
    assert "KLF1" in universe
    assert len(set(universe)) == len(universe)


def texts_of(**known: Sequence[int]) -> FacetTexts:
    """Facets of GENES that are known, by gene."""
    return FacetTexts(
        tuple(
            GeneFacets(
                gene,
                tuple(
                    f"{gene} does {facet}." if position in known.get(gene, ()) else None
                    for position, facet in enumerate(FACETS)
                ),
            )
            for gene in GENES
        )
    )


def requests_of(
    facets: FacetTexts, graph: CombinedGraph, options: RegenerationOptions
) -> tuple[FacetRequest, ...]:
    corpus = {entry.gene: entry for entry in CORPUS}
    return regeneration_requests(facets, corpus, graph, options=options, runtime=RUNTIME)


class WritesNothing:
    """A writer without a way to regenerate."""

    identity = "nothing"

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        return ()


class Regenerates(WritesNothing):
    """A writer that answers each request in turn."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = answers

    def regenerate(
        self, requests: Sequence[FacetRequest], runtime: Runtime
    ) -> tuple[str | None, ...]:
        return self.answers


def test_unknown_facet_is_regenerated_from_the_partners_that_know_it(graph: CombinedGraph) -> None:
    facets = texts_of(KLF1=(0,), GATA1=(0, 2), XHUB=(0, 2), NO_TEXT=(2,), TAL1=(2, 3))
    options = RegenerationOptions(max_partners=2)
    requests = requests_of(facets, graph, options)
    (request,) = (item for item in requests if item.entry.gene == "KLF1")
    assert request.facet == FACETS[2]
    assert [partner.gene for partner in request.partners] == ["GATA1", "XHUB"]
    whole = regenerate(facets, requests, writer=WritesNothing(), options=options, runtime=RUNTIME)
    klf1 = whole.genes[0]
    assert klf1.texts[0] == facets.genes[0].texts[0]
    assert klf1.texts[2] == (
        f"Kruppel. Partners: GATA1: GATA1 does {FACETS[2]}. XHUB: XHUB does {FACETS[2]}."
    )
    assert klf1.texts[3] is None
    partners = whole.regenerated["KLF1", 2]
    assert [(item.gene, item.source) for item in partners] == [
        ("GATA1", "string"),
        ("XHUB", "string"),
    ]


def test_too_few_or_too_weak_partners_regenerate_nothing(graph: CombinedGraph) -> None:
    facets = texts_of(GATA1=(2,), TAL1=(2,))
    assert not requests_of(facets, graph, RegenerationOptions())
    weak = requests_of(facets, graph, RegenerationOptions(min_weight=0.1))
    assert [(item.entry.gene, item.facet) for item in weak] == [("KLF1", FACETS[2])]


def test_composed_text_shares_its_words_between_partners(graph: CombinedGraph) -> None:
    facets = texts_of(GATA1=(2,), XHUB=(2,))
    options = RegenerationOptions(max_words=2)
    requests = requests_of(facets, graph, options)
    whole = regenerate(facets, requests, writer=WritesNothing(), options=options, runtime=RUNTIME)
    assert whole.genes[0].texts[2] == "Kruppel. Partners: GATA1: GATA1. XHUB: XHUB."


def test_writer_that_regenerates_is_asked_and_may_decline(graph: CombinedGraph) -> None:
    facets = texts_of(GATA1=(2, 4), XHUB=(2, 4))
    options = RegenerationOptions()
    requests = [item for item in requests_of(facets, graph, options) if item.entry.gene == "KLF1"]
    writer = Regenerates(None, "Written anew.")
    whole = regenerate(facets, requests, writer=writer, options=options, runtime=RUNTIME)
    assert whole.genes[0].texts[2] is None
    assert whole.genes[0].texts[4] == "Written anew."
    assert set(whole.regenerated) == {("KLF1", 4)}
    with pytest.raises(PluginError, match="2 requests gave 1 texts"):
        regenerate(facets, requests, writer=Regenerates("x"), options=options, runtime=RUNTIME)
