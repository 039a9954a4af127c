"""Builds the knowledge of a run's genes: written, embedded, and its gaps filled from graphs.

Which facets get filled, and from which neighbours, depends on what is known and not on what it
says. So that is found out first over all genes, from texts only; then only the facets that
matter are embedded, and imputed in the same way.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dygenept.errors import DataError
from dygenept.knowledge.facets.imputation import VERSION, Imputed, impute
from dygenept.knowledge.facets.origins import NATIVE, REGENERATED, UNKNOWN
from dygenept.knowledge.facets.texts import written_facets
from dygenept.knowledge.genes.matching import gene_universe, select_genes, with_genes
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.knowledge.graph.combined import CombinedGraph
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.store.embedding import digest_of, embed_facets, embedding_identity, texts_of
from dygenept.knowledge.store.knowledge_files import (
    FORMAT,
    read_header,
    read_knowledge,
    read_origins,
    write_knowledge,
)
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.interfaces import FacetWriter, GeneFacets, PlansCalls, TextEncoder
from dygenept.plugin.manager import PluginManager
from dygenept.types import FACETS, BoolArray, GeneKnowledge, Runtime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImputationPlan:
    """What would be imputed, found out without a single vector.

    Attributes:
        texts: Facet texts of every gene that may inform, the genes asked for first.
        graph: Graph over these genes, in this order.
        imputed: Rounds, confidence and neighbours; its values mean nothing.
    """

    texts: tuple[GeneFacets, ...]
    graph: CombinedGraph
    imputed: Imputed


@dataclass(frozen=True, slots=True)
class FacetSource:
    """What a facet set is written and embedded by.

    Attributes:
        name: Name of the facet set.
        writer: Facet writer.
        encoder: Text encoder.
    """

    name: str
    writer: FacetWriter
    encoder: TextEncoder


def build_knowledge(source: FacetSource, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
    """Write the facets of genes and embed them; a text embedded before is read from the cache.

    The vectors of a corpus-dependent encoder depend on the genes asked for, and so does their
    place in the cache.

    Args:
        source: Facet set, writer and encoder.
        genes: Gene symbols; repeated ones count once.
        runtime: Device, progress, and ``cache_dir`` (None computes everything again).

    Returns:
        Knowledge of every gene asked for; confidence 1 where there is a text, 0 elsewhere.

    Raises:
        PluginError: If the writer or the encoder returns what it must not.
    """
    asked = tuple(dict.fromkeys(genes))
    written = written_facets(source.writer, asked, runtime, name=source.name)
    identity = embedding_identity(source.encoder, texts_of(written))
    sha256 = digest_of([FORMAT, source.writer.identity, identity, *asked])
    vectors = embed_facets(source.encoder, written, runtime)
    return vectors.knowledge(name=source.name, sha256=sha256)


def recorded_imputation(path: Path) -> object:
    """Return what a knowledge file says of its imputation; None where it says nothing."""
    header = read_header(path)
    return None if header is None else header.get("imputed_with")


def plan_imputation(
    writer: FacetWriter,
    genes: Sequence[str],
    *,
    kg: KgChoice,
    manager: PluginManager,
    runtime: Runtime,
) -> ImputationPlan:
    """Find out which facets of some genes are imputed, and from whom.

    Every gene of the shipped tables may inform, but where a writer pays for its calls: then only
    the genes asked for.
    """
    asked = tuple(dict.fromkeys(genes))
    universe = asked if isinstance(writer, PlansCalls) else gene_universe(asked)
    texts = written_facets(writer, universe, runtime, name=writer.identity)
    known = np.array([[text is not None for text in item.texts] for item in texts], dtype=bool)
    known = known.reshape(len(universe), len(FACETS))
    graph = kg.open(universe, manager, runtime)
    knowledge = GeneKnowledge(
        name="plan",
        sha256="",
        genes=universe,
        facet_names=FACETS,
        values=known[:, :, None].astype(np.float32),
        confidence=np.array([item.confidences for item in texts], np.float32).reshape(known.shape),
    )
    imputed = impute(knowledge, graph.weights, options=kg.imputation_options())
    return ImputationPlan(texts, graph, imputed)


def build_imputed(
    source: FacetSource,
    genes: Sequence[str],
    *,
    kg: KgChoice,
    manager: PluginManager,
    runtime: Runtime,
) -> GeneKnowledge:
    """Write, embed and impute the facets of some genes; the outcome is cached.

    The vectors are those of an imputation over all genes, as long as the encoder's have one
    length; where they have not, an imputed vector takes the mean length of those that were
    embedded.
    """
    asked = tuple(dict.fromkeys(genes))
    parts = [source.name, source.writer.identity, source.encoder.identity, *asked]
    cached = _Cached(parts, kg=kg, manager=manager, runtime=runtime)
    if (found := cached.read()) is not None:
        return found
    plan = plan_imputation(source.writer, asked, kg=kg, manager=manager, runtime=runtime)
    needed = _needed(plan.imputed, len(asked))
    rows = np.flatnonzero(needed.any(axis=1) | (np.arange(len(needed)) < len(asked)))
    chosen = [
        GeneFacets(
            plan.graph.genes[row],
            tuple(
                text if needed[row, facet] else None
                for facet, text in enumerate(plan.texts[row].texts)
            ),
            plan.texts[row].confidence,
        )
        for row in rows
    ]
    logger.info("texts of %d genes inform %d genes", len(rows), len(asked))
    vectors = embed_facets(source.encoder, chosen, runtime)
    knowledge = vectors.knowledge(name=source.name, sha256=cached.key)
    # Rows ascend, so that of equally strong neighbours the same come first as over all genes.
    weights = plan.graph.weights[rows][:, rows]
    whole = impute(knowledge, weights, options=kg.imputation_options()).knowledge
    return cached.write(replace(select_genes(whole, asked), sha256=cached.key))


def impute_file(
    path: Path,
    *,
    genes: Sequence[str],
    kg: KgChoice,
    manager: PluginManager,
    runtime: Runtime,
) -> GeneKnowledge:
    """Impute the gaps of a knowledge file and return some genes; the outcome is cached.

    Facets that the file imputed from other graphs are taken out first. Only genes of the file can
    inform; the genes asked for need not be among them.

    Raises:
        DataError: If the file is damaged.
    """
    asked = tuple(dict.fromkeys(genes))
    parts = [file_sha256(path), *asked]
    cached = _Cached(parts, kg=kg, manager=manager, runtime=runtime)
    if (found := cached.read()) is not None:
        return found
    knowledge = with_genes(_without_imputed(read_knowledge(path), path), asked)
    graph = kg.open(knowledge.genes, manager, runtime)
    weights = graph.aligned(knowledge.genes)
    whole = impute(knowledge, weights, options=kg.imputation_options()).knowledge
    return cached.write(replace(select_genes(whole, asked), sha256=cached.key))


class _Cached:
    """The place of one imputed outcome in the cache."""

    def __init__(
        self, parts: Sequence[str], *, kg: KgChoice, manager: PluginManager, runtime: Runtime
    ) -> None:
        determined = {
            "parts": list(parts),
            "version": VERSION,
            "tables": load_gene_tables().sha256,
            "graphs": kg.identities(manager, runtime),
            "record": kg.record(),
        }
        self.key = hashlib.sha256(json.dumps(determined).encode()).hexdigest()
        self._record = kg.record()
        self._path = None
        if runtime.cache_dir is not None:
            self._path = runtime.cache_dir / "imputed" / f"{self.key[:32]}.safetensors"

    def read(self) -> GeneKnowledge | None:
        if self._path is None or not self._path.is_file():
            return None
        try:
            return read_knowledge(self._path)
        except DataError as error:
            logger.warning("cached knowledge is computed again: %s", error)
            return None

    def write(self, knowledge: GeneKnowledge) -> GeneKnowledge:
        if self._path is not None:
            try:
                write_knowledge(knowledge, self._path, imputed_with=self._record)
            except OSError as error:
                logger.warning("imputed knowledge is not cached in %s: %s", self._path, error)
        return knowledge


def _needed(imputed: Imputed, n_asked: int) -> BoolArray:
    """Return which native facets the first ``n_asked`` genes depend on, (n_genes, K)."""
    rounds, found = imputed.rounds, imputed.neighbours
    needed = np.zeros(rounds.shape, dtype=bool)
    needed[:n_asked] = rounds[:n_asked] != UNKNOWN
    stack = [(int(row), int(facet)) for row, facet in np.argwhere(needed)]
    while stack:
        row, facet = stack.pop()
        if rounds[row, facet] == NATIVE:
            continue
        for neighbour in found.of(row, facet)[0]:
            if not needed[neighbour, facet]:
                needed[neighbour, facet] = True
                stack.append((int(neighbour), facet))
    native: BoolArray = needed & (rounds == NATIVE)
    return native


def _without_imputed(knowledge: GeneKnowledge, path: Path) -> GeneKnowledge:
    origins = read_origins(path)
    if origins is None:
        return knowledge
    is_imputed = (origins.codes > NATIVE) & (origins.codes < REGENERATED)
    values, confidence = knowledge.values.copy(), knowledge.confidence.copy()
    values[is_imputed], confidence[is_imputed] = 0.0, 0.0
    return replace(knowledge, values=values, confidence=confidence)
