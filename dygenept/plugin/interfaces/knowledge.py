"""Plugin kinds that gather gene knowledge: facet writers, text encoders, knowledge graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.types import FloatArray, GeneKnowledge, Runtime


@runtime_checkable
class TextEncoder(Protocol):
    """Embeds texts."""

    @property
    def identity(self) -> str:
        """Names weights and settings; the same identity always gives the same vectors."""

    @property
    def corpus_dependent(self) -> bool:
        """True if a text's vector depends on the texts beside it (tf-idf)."""

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Return one vector per text, (n_texts, D_text), float32."""


@runtime_checkable
class EncodesGenes(Protocol):
    """A text encoder that has facets of genes itself: a facet set may name it without a writer."""

    def facets(self, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        """Return facets of genes, each once; what is unknown has confidence 0."""


@dataclass(frozen=True, slots=True)
class GeneFacets:
    """The facet texts of one gene.

    Attributes:
        gene: Gene symbol as asked for.
        texts: One text per facet, in the order of ``FACETS``; None where nothing is known.
        confidence: How far each text can be relied on, in (0, 1]; read only where there is a text.
            None stands for 1 throughout.
    """

    gene: str
    texts: tuple[str | None, ...]
    confidence: tuple[float, ...] | None = None

    @property
    def confidences(self) -> tuple[float, ...]:
        """Confidence of each facet in [0, 1]: 0 where there is no text."""
        given = self.confidence or (1.0,) * len(self.texts)
        return tuple(
            0.0 if text is None else value for text, value in zip(self.texts, given, strict=True)
        )


@runtime_checkable
class FacetWriter(Protocol):
    """Writes the eight facet texts of genes."""

    @property
    def identity(self) -> str:
        """Names sources and settings; the same identity always gives the same texts."""

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene, in order; an unknown gene has none."""


@dataclass(frozen=True, slots=True)
class PartnerText:
    """What a neighbour in a knowledge graph says about a gene.

    Attributes:
        gene: Symbol of the neighbour.
        text: Its description, or its text of one facet.
        weight: Evidence weight of the edge, in (0, 1].
        source: Knowledge-graph source of that weight.
    """

    gene: str
    text: str
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """Everything known about one gene as text: one line of ``corpus.jsonl``.

    Attributes:
        gene: Gene symbol as asked for.
        symbol: Current symbol; None where the shipped tables do not know the gene.
        description: Full name or one-line description; empty where there is none.
        summary: Free text on the gene's function; empty where there is none.
        go: Names of GO terms, most specific first where the source says so.
        pathways: Names of pathways.
        partners: Descriptions of the strongest neighbours (step 1.5), strongest first.
        source: Where the text is from, such as ``gene tables`` or a file's name.
    """

    gene: str
    symbol: str | None = None
    description: str = ""
    summary: str = ""
    go: tuple[str, ...] = ()
    pathways: tuple[str, ...] = ()
    partners: tuple[PartnerText, ...] = ()
    source: str = ""

    @property
    def is_empty(self) -> bool:
        """True if nothing is known of the gene itself; partners do not count."""
        return not (self.description or self.summary or self.go or self.pathways)


@runtime_checkable
class ReadsCorpus(Protocol):
    """A facet writer that writes from the corpus of steps 1 and 1.5, not only from symbols.

    ``dygenept precompute`` calls ``write_from`` instead of ``write`` where there is one. Like
    ``write``, it keeps what it has done in ``runtime.checkpoint_dir`` (``runtime.cache_dir`` where
    that is None), so that an interrupted or failed call loses nothing.
    """

    def write_from(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene of the corpus, in order.

        Raises:
            DygeneptError: If a gene failed, after all others are done and kept; a failure is never
                returned as None.
        """


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """One unknown facet that step 2.5 wants written from the partners' texts.

    Attributes:
        entry: The gene's corpus entry.
        facet: Name of the facet, one of ``FACETS``.
        partners: The partners' own texts of that facet, strongest first; never empty.
    """

    entry: CorpusEntry
    facet: str
    partners: tuple[PartnerText, ...]


@runtime_checkable
class RegeneratesFacets(Protocol):
    """A facet writer that can write an unknown facet from the partners' texts of that facet.

    For a writer that lacks it, the partners' texts are combined by rule.
    """

    def regenerate(
        self, requests: Sequence[FacetRequest], runtime: Runtime
    ) -> tuple[str | None, ...]:
        """Return one text per request, in order; None where the partners do not suffice.

        Raises:
            DygeneptError: As ``ReadsCorpus.write_from``.
        """


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What writing would cost.

    Attributes:
        n_calls: Calls still to be made; those kept already are not counted.
        n_done: Calls that are kept already.
        input_tokens: Estimated tokens sent.
        output_tokens: Estimated tokens received.
        cost: Estimated cost in US dollars; None where no price is known.
        prompt: The first prompt in full.
    """

    n_calls: int
    n_done: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    prompt: str


@runtime_checkable
class PlansCalls(Protocol):
    """A facet writer that pays for calls and can say how many, without making one."""

    def plan(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> CallPlan:
        """Return what ``write_from`` would do; nothing is sent."""


@dataclass(frozen=True, slots=True)
class GraphReport:
    """What a knowledge-graph source read, kept and dropped.

    Attributes:
        source: Name of the source.
        layout: Layout that its files were found to have.
        files: What was read.
        n_records: Rows, pairs or memberships in the files.
        dropped: Records left out, by reason.
        n_genes: Genes with an edge in the whole graph.
        n_edges: Edges of the whole graph, each once.
        n_renamed: Names whose gene has a different current symbol.
        n_unknown: Names that the gene tables do not know, kept as they are.
        n_asked: Genes asked for.
        n_genes_kept: Genes asked for that have an edge among them.
        n_edges_kept: Edges between genes asked for, each once.
    """

    source: str
    layout: str
    files: tuple[str, ...]
    n_records: int
    dropped: Mapping[str, int]
    n_genes: int
    n_edges: int
    n_renamed: int
    n_unknown: int
    n_asked: int
    n_genes_kept: int
    n_edges_kept: int

    @property
    def sentence(self) -> str:
        """Say it in one line."""
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        return (
            f"{self.source} ({self.layout}): {self.n_edges_kept:,} of {self.n_edges:,} edges kept, "
            f"{self.n_genes_kept:,} of {self.n_asked:,} genes asked for have one "
            f"({self.n_genes:,} in the source, {self.n_asked - self.n_genes_kept:,} dropped); "
            f"{self.n_records:,} records read, dropped: {dropped or 'none'}; "
            f"{self.n_renamed:,} names renamed, {self.n_unknown:,} not in the gene tables"
        )


@dataclass(frozen=True, slots=True)
class KnowledgeGraph:
    """A weighted graph between genes.

    Attributes:
        genes: Gene symbols, as they were asked for.
        weights: Evidence weights in (0, 1], symmetric CSR without diagonal, (n, n).
        report: What was read, kept and dropped; None where the source does not say.
    """

    genes: tuple[str, ...]
    weights: sparse.csr_matrix
    report: GraphReport | None = None


@runtime_checkable
class KgSource(Protocol):
    """Reads a knowledge graph."""

    @property
    def identity(self) -> str:
        """Names files (by hash) and settings."""

    def graph(self, genes: Sequence[str], runtime: Runtime) -> KnowledgeGraph:
        """Return the graph among these genes."""
