"""Conformance of text encoders, facet writers and knowledge-graph sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dygenept.plugin.interfaces import (
    FacetWriter,
    GeneFacets,
    KgSource,
    KnowledgeGraph,
    TextEncoder,
)
from dygenept.plugin.specs import FacetWriterSpec, KgSourceSpec, TextEncoderSpec
from dygenept.testing.rules import Rules, checking, configured
from dygenept.testing.toy import TOY_GENES, TOY_TARGETS
from dygenept.testing.toy_knowledge import UNKNOWN_GENE
from dygenept.types import FACETS, FloatArray, Runtime

TOY_TEXTS: tuple[str, ...] = (
    "KLF1 activates transcription of erythroid genes",
    "MAPK1 phosphorylates proteins in the MAPK cascade",
    "SLC2A1 imports glucose across the plasma membrane",
    "KLF1 activates transcription of erythroid genes",
    "BAX permeabilises the outer mitochondrial membrane in apoptosis",
    "CDK1 drives mitosis as a cyclin-dependent kinase " * 60,
)
# Batching and padding may move the last bits of a float32 vector, and no more.
TOLERANCE = 1e-4


def check_text_encoder(
    spec: TextEncoderSpec, *, options: Mapping[str, object] | None = None
) -> None:
    """Check a text encoder: shape, type, and the same vector for the same text.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options, weights or a package that are not here.
    """
    config = configured(spec, options)
    with checking(spec) as rules:
        encoder, runtime = spec.factory(config), Runtime()
        rules.require(isinstance(encoder, TextEncoder), "it lacks identity, encode or the rest")
        _check_identity(encoder, spec.factory(config), rules)
        vectors = _encode(encoder, TOY_TEXTS, rules)
        rules.require(
            _close(vectors[0], vectors[3]), "the same text twice in a list gives two vectors"
        )
        rules.require(not _close(vectors[0], vectors[1]), "different texts give the same vector")
        rules.require(
            _close(_encode(encoder, TOY_TEXTS, rules), vectors), "a second call gives other vectors"
        )
        reverse = _encode(encoder, TOY_TEXTS[::-1], rules)[::-1]
        rules.require(
            bool(_close(reverse, vectors)) or encoder.corpus_dependent,
            "a text's vector depends on its place in the list",
        )
        if not encoder.corpus_dependent:
            rules.require(
                _close(_encode(encoder, TOY_TEXTS[1:2], rules)[0], vectors[1]),
                "a text by itself gives another vector than beside others; it must say that it is "
                "corpus_dependent",
            )
        empty = encoder.encode([], runtime)
        rules.require(
            empty.ndim == 2 and len(empty) == 0 and empty.dtype == np.float32,
            f"no texts must give a (0, D) float32 array, got {empty.dtype} {empty.shape}",
        )


def check_facet_writer(
    spec: FacetWriterSpec,
    *,
    options: Mapping[str, object] | None = None,
    genes: Sequence[str] = TOY_TARGETS,
) -> None:
    """Check a facet writer: eight slots a gene, in order, and none for an unknown gene.

    Args:
        spec: The plugin.
        options: Its options.
        genes: Genes of which it knows one at least.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options, an endpoint or a package that are not here.
    """
    config = configured(spec, options)
    asked = (*genes, UNKNOWN_GENE)
    with checking(spec) as rules:
        writer = spec.factory(config)
        rules.require(isinstance(writer, FacetWriter), "it lacks identity or write")
        _check_identity(writer, spec.factory(config), rules)
        written = writer.write(asked, Runtime())
        rules.require(
            isinstance(written, tuple) and all(isinstance(item, GeneFacets) for item in written),
            "write must return a tuple of GeneFacets",
        )
        rules.require(
            tuple(item.gene for item in written) == asked,
            "it must return one GeneFacets per gene, in the order and spelling asked for",
        )
        for item in written:
            rules.require(
                len(item.texts) == len(FACETS),
                f"{item.gene}: {len(item.texts)} texts, expected one for each of {len(FACETS)}",
            )
            rules.require(
                all(
                    text is None or (isinstance(text, str) and text.strip()) for text in item.texts
                ),
                f"{item.gene}: a facet must be a text or None, never empty",
            )
        rules.require(
            not any(written[-1].texts), "it writes about a gene that does not exist; give None"
        )
        rules.require(
            any(any(item.texts) for item in written),
            f"it knows none of {', '.join(genes)}; pass genes that it knows",
        )
        rules.require(
            writer.write(asked[::-1], Runtime()) == written[::-1],
            "a gene's texts depend on the order asked for",
        )
        rules.require(
            writer.write(asked[:1], Runtime()) == written[:1],
            "a gene's texts depend on the genes asked for beside it",
        )
        rules.require(writer.write([], Runtime()) == (), "no genes must give an empty tuple")


def check_kg_source(
    spec: KgSourceSpec,
    *,
    options: Mapping[str, object] | None = None,
    genes: Sequence[str] = (*TOY_TARGETS, *TOY_GENES[4:]),
) -> None:
    """Check a knowledge-graph source: symmetric weights in (0, 1] among the genes asked for.

    Args:
        spec: The plugin.
        options: Its options, such as the path of its file.
        genes: Genes of which it connects two at least.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options or a file that are not here.
    """
    config = configured(spec, options)
    asked = (*genes, UNKNOWN_GENE)
    with checking(spec) as rules:
        source = spec.factory(config)
        rules.require(isinstance(source, KgSource), "it lacks identity or graph")
        _check_identity(source, spec.factory(config), rules)
        graph = source.graph(asked, Runtime())
        _check_graph(graph, asked, rules)
        rules.require(
            graph.weights.nnz > 0, "it connects none of the genes; pass some that it does"
        )
        edges = _edges(graph)
        rules.require(
            _edges(source.graph(asked, Runtime())) == edges, "a second call gives another graph"
        )
        half = asked[::2]
        smaller = source.graph(half, Runtime())
        _check_graph(smaller, half, rules)
        inside = {pair: weight for pair, weight in edges.items() if pair <= set(half)}
        rules.require(
            _edges(smaller) == inside, "an edge depends on the other genes that are asked for"
        )
        _check_graph(source.graph([], Runtime()), (), rules)


def _check_graph(graph: KnowledgeGraph, asked: Sequence[str], rules: Rules) -> None:
    rules.require(isinstance(graph, KnowledgeGraph), f"graph must be a KnowledgeGraph: {graph!r}")
    stray = sorted(set(graph.genes) - set(asked))
    rules.require(not stray, f"it returns genes that were not asked for: {stray[:3]}")
    rules.require(len(set(graph.genes)) == len(graph.genes), "it returns a gene twice")
    weights = graph.weights
    size = (len(graph.genes), len(graph.genes))
    rules.require(
        weights.format == "csr" and weights.shape == size,
        f"weights must be CSR of {size}, got {weights.format} of {weights.shape}",
    )
    rules.require(
        bool(((weights.data > 0) & (weights.data <= 1)).all()), "weights must lie in (0, 1]"
    )
    rules.require(not weights.diagonal().any(), "a gene has an edge to itself")
    rules.require(abs(weights - weights.T).nnz == 0, "weights are not symmetric")


def _edges(graph: KnowledgeGraph) -> dict[frozenset[str], float]:
    entries = graph.weights.tocoo()
    return {
        frozenset((graph.genes[row], graph.genes[column])): float(weight)
        for row, column, weight in zip(entries.row, entries.col, entries.data, strict=True)
    }


def _check_identity(
    first: TextEncoder | FacetWriter | KgSource,
    second: TextEncoder | FacetWriter | KgSource,
    rules: Rules,
) -> None:
    rules.require(
        isinstance(first.identity, str) and bool(first.identity), "its identity must be a text"
    )
    rules.require(first.identity == second.identity, "the same configuration has two identities")


def _encode(encoder: TextEncoder, texts: Sequence[str], rules: Rules) -> FloatArray:
    vectors = encoder.encode(texts, Runtime())
    rules.require(
        isinstance(vectors, np.ndarray) and vectors.ndim == 2 and len(vectors) == len(texts),
        f"{len(texts)} texts must give ({len(texts)}, D) vectors, got {np.shape(vectors)}",
    )
    rules.require(vectors.dtype == np.float32, f"vectors must be float32, got {vectors.dtype}")
    rules.require(bool(np.isfinite(vectors).all()), "vectors contain NaN or infinite values")
    return vectors


def _close(first: FloatArray, second: FloatArray) -> bool:
    return first.shape == second.shape and bool(np.abs(first - second).max(initial=0) < TOLERANCE)
