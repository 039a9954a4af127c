"""Knowledge of a run's genes, its gaps filled from knowledge graphs, with the least embedding.

Which facets get filled, and from which neighbours, depends on what is known and not on what it
says. So that is found out first over all genes, with texts alone; then only the facets that
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
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.knowledge.graph.choice import KgChoice
from dygenept.knowledge.graph.enrichment import graph_universe
from dygenept.knowledge.graph.merged import CombinedGraph
from dygenept.knowledge.store.store import (
    check_written,
    embed_texts,
    read_header,
    read_knowledge,
    read_origins,
    select_genes,
    write_knowledge,
)
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.faults import plugin_code
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
    universe = asked if isinstance(writer, PlansCalls) else graph_universe(asked)
    with plugin_code(f"facet writer {writer.identity}"):
        texts = writer.write(universe, runtime)
    check_written(texts, universe, writer.identity)
    known = np.array([[text is not None for text in item.texts] for item in texts], dtype=bool)
    known = known.reshape(len(universe), len(FACETS))
    graph = kg.open(universe, manager, runtime)
    knowledge = GeneKnowledge(
        name="plan",
        sha256="",
        genes=universe,
        facet_names=FACETS,
        values=known[:, :, None].astype(np.float32),
        confidence=known.astype(np.float32),
    )
    imputed = impute(knowledge, graph.weights, options=kg.imputation_options())
    return ImputationPlan(texts, graph, imputed)


def imputed_set(
    name: str,
    *,
    writer: FacetWriter,
    encoder: TextEncoder,
    genes: Sequence[str],
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
    parts = [name, writer.identity, encoder.identity, *asked]
    cached = _Cached(parts, kg=kg, manager=manager, runtime=runtime)
    if (found := cached.read()) is not None:
        return found
    plan = plan_imputation(writer, asked, kg=kg, manager=manager, runtime=runtime)
    needed = _needed(plan.imputed, len(asked))
    rows = np.flatnonzero(needed.any(axis=1) | (np.arange(len(needed)) < len(asked)))
    chosen = [
        [text if needed[row, facet] else None for facet, text in enumerate(plan.texts[row].texts)]
        for row in rows
    ]
    texts = sorted({text for item in chosen for text in item if text is not None})
    logger.info("%d texts of %d genes inform %d genes", len(texts), len(rows), len(asked))
    vectors = embed_texts(encoder, texts, runtime)
    place = {text: position for position, text in enumerate(texts)}
    values = np.zeros((len(rows), len(FACETS), vectors.shape[1]), dtype=np.float32)
    confidence = np.zeros((len(rows), len(FACETS)), dtype=np.float32)
    for row, item in enumerate(chosen):
        for facet, text in enumerate(item):
            if text is not None:
                values[row, facet], confidence[row, facet] = vectors[place[text]], 1.0
    knowledge = GeneKnowledge(
        name=name,
        sha256=cached.key,
        genes=tuple(plan.graph.genes[row] for row in rows),
        facet_names=FACETS,
        values=values,
        confidence=confidence,
    )
    # Rows ascend, so that of equally strong neighbours the same come first as over all genes.
    weights = plan.graph.weights[rows][:, rows]
    whole = impute(knowledge, weights, options=kg.imputation_options()).knowledge
    return cached.write(replace(select_genes(whole, asked), sha256=cached.key))


def imputed_file(
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
    knowledge = _with_genes(_without_imputed(read_knowledge(path), path), asked)
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
            logger.warning("cached knowledge is computed anew: %s", error)
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


def _with_genes(knowledge: GeneKnowledge, asked: Sequence[str]) -> GeneKnowledge:
    """Add empty rows for genes that a file lacks under every name."""
    resolve = load_gene_tables().resolve
    known = {name for gene in knowledge.genes for name in (gene, resolve(gene) or gene)}
    new = tuple(gene for gene in asked if not {gene, resolve(gene) or gene} & known)
    if not new:
        return knowledge
    values = np.zeros((len(new), *knowledge.values.shape[1:]), dtype=np.float32)
    confidence = np.zeros((len(new), len(knowledge.facet_names)), dtype=np.float32)
    return replace(
        knowledge,
        genes=knowledge.genes + new,
        values=np.concatenate([knowledge.values, values]),
        confidence=np.concatenate([knowledge.confidence, confidence]),
    )
