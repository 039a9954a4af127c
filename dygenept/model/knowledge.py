"""What models know of genes: the registry's facet sets, and what opens them for a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dygenept.knowledge.catalog import (
    FacetSetEntry,
    Widen,
    facet_sets,
    is_imputed_already,
    leaves_of,
    missing_knowledge,
    open_knowledge,
)
from dygenept.knowledge.graph.sources import NO_KG, KgChoice
from dygenept.knowledge.likeness import (
    Control,
    Likeness,
    gene_likeness,
    likeness_of_more,
    nothing_of_more,
)
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.configured import ConfiguredPlugin
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import FacetWriterSpec, TextEncoderSpec
from dygenept.types import GeneKnowledge, Runtime, Task
from dygenept.types.effects import GraphName
from dygenept.types.results import Provenance


@dataclass(frozen=True, slots=True)
class RegistryKnowledge:
    """Opens any facet set of the registry, or a file; a run passes it on in ``Runtime``."""

    environment: Environment

    def __call__(self, name_or_file: str, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        """Return the knowledge of some genes, without imputation."""
        return open_knowledge(name_or_file, genes, environment=self.environment, runtime=runtime)


@dataclass(frozen=True, slots=True)
class AssemblyKnowledge:
    """Opens the facet set of one assembly, imputed from the assembly's knowledge graphs.

    Attributes:
        facets: A facet set of the registry, or a file.
        kg: The knowledge graphs.
        environment: Knows the facet sets and the plugins behind them.
        widen: Adds the gene encoder's own facets; None where it has none.
    """

    facets: str
    kg: KgChoice
    environment: Environment
    widen: Widen | None = None

    def __call__(self, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        """Return the knowledge of some genes."""
        return open_knowledge(
            self.facets,
            genes,
            environment=self.environment,
            runtime=runtime,
            kg=self.kg,
            widen=self.widen,
        )


@dataclass(frozen=True, slots=True)
class TableLikeness:
    """Tells how alike genes are to a model of a table of effects.

    A facet set that is ``shuffled`` or the ``identity`` on purpose makes the graphs so as well.

    Attributes:
        facets: A facet set of the registry, or a file.
        graphs: Graphs that count beside it.
        environment: Knows the facet sets.
    """

    facets: str
    graphs: tuple[GraphName, ...]
    environment: Environment

    def __call__(self, genes: Sequence[str], task: Task) -> Likeness:
        """Return the likeness of genes; facets are opened for perturbed genes alone."""
        entry = facet_sets(self.environment).get(self.facets)
        control: Control | None = None
        facets = self.facets
        if entry is not None and entry.transform == "identity":
            return gene_likeness(
                genes, knowledge=None, graphs=(), runtime=task.runtime, control="identity"
            )
        if entry is not None and entry.transform == "shuffled" and entry.base is not None:
            control, facets = "shuffled", entry.base
        targets = {gene for condition in task.known for gene in condition.genes}
        asked = tuple(sorted({*task.target_genes, *targets} & set(genes)))
        return gene_likeness(
            genes,
            knowledge=task.runtime.open_knowledge(facets, asked),
            graphs=self.graphs,
            runtime=task.runtime,
            control=control,
        )

    def more(self, like: Likeness, genes: Sequence[str], runtime: Runtime) -> Likeness:
        """Return the likeness of genes that are met after training, for ``like.followed_by``.

        With knowledge that is ``shuffled`` or the ``identity`` on purpose they are like nothing.
        """
        entry = facet_sets(self.environment).get(self.facets)
        if entry is not None and entry.transform in ("identity", "shuffled"):
            return nothing_of_more(like, genes)
        open_set = RegistryKnowledge(self.environment)
        knowledge = open_set(self.facets, genes, runtime) if like.centres else None
        return likeness_of_more(like, genes, knowledge=knowledge, runtime=runtime)


def facet_document(name_or_file: str, environment: Environment) -> dict[str, object]:
    """Return what identifies a facet set or a file, for a model's configuration and so its key."""
    entries = facet_sets(environment)
    entry = entries.get(name_or_file)
    if entry is not None:
        document = entry.model_dump(mode="json", exclude={"join"})
        if entry.join:
            document["join"] = [facet_document(part, environment) for part in entry.join]
        return {"facet_set": document}
    path = Path(name_or_file).expanduser()
    return {"knowledge_sha256": file_sha256(path)} if path.is_file() else {}


def facet_plugins(name_or_file: str, environment: Environment) -> tuple[Provenance, ...]:
    """Provenance of the facet writer and text encoder behind a facet set; none for a file."""
    pairs = [
        pair
        for entry in _made_sets(name_or_file, environment)
        for pair in (
            (FacetWriterSpec.kind, entry.writer),
            (TextEncoderSpec.kind, entry.encoder),
        )
    ]
    return tuple(
        environment.manager.provenance(kind, name)
        for kind, name in dict.fromkeys(pairs)
        if name is not None
    )


def missing_facets(
    name_or_file: str, environment: Environment, kg: KgChoice = NO_KG
) -> tuple[str, ...]:
    """Say what a facet set needs that is not on this machine, one sentence each.

    That is its file, the files of its knowledge graphs (unless it was imputed from them already),
    and what its writer and its encoder lack, such as weights or a key.
    """
    runtime = environment.runtime()
    missing: list[str] = []
    without = missing_knowledge(name_or_file, environment=environment, runtime=runtime)
    if without is not None:
        missing.append(without)
    elif not is_imputed_already(name_or_file, environment=environment, runtime=runtime, kg=kg):
        missing.extend(kg.missing(environment.manager, runtime))
    for entry in _made_sets(name_or_file, environment):
        plugins: list[ConfiguredPlugin[FacetWriterSpec] | ConfiguredPlugin[TextEncoderSpec]] = []
        if entry.writer is not None:
            options = entry.writer_options
            plugins.append(environment.configured(FacetWriterSpec, entry.writer, options))
        if entry.encoder is not None:
            options = entry.encoder_options
            plugins.append(environment.configured(TextEncoderSpec, entry.encoder, options))
        missing.extend(lack for plugin in plugins if (lack := plugin.missing()) is not None)
    return tuple(missing)


def _made_sets(name_or_file: str, environment: Environment) -> tuple[FacetSetEntry, ...]:
    """Return the facet sets made by plugins that a derived or joined one comes from."""
    leaves = leaves_of(name_or_file, facet_sets(environment))
    return tuple(entry for _, entry in leaves if entry is not None and entry.encoder is not None)


def joined_knowledge(first: GeneKnowledge, second: GeneKnowledge) -> GeneKnowledge:
    """Add genes to those whose facets are known; of a gene in both the first is kept."""
    kept = [row for row, gene in enumerate(second.genes) if gene not in set(first.genes)]
    return replace(
        first,
        sha256=hashlib.sha256(f"{first.sha256}+{second.sha256}".encode()).hexdigest(),
        genes=first.genes + tuple(second.genes[row] for row in kept),
        values=np.concatenate([first.values, second.values[kept]]),
        confidence=np.concatenate([first.confidence, second.confidence[kept]]),
    )


def unknown_genes(knowledge: GeneKnowledge) -> tuple[str, ...]:
    """Say which genes have no known facet; nothing where all have one."""
    is_known = knowledge.confidence.max(axis=1).tolist()
    unknown = [gene for gene, known in zip(knowledge.genes, is_known, strict=True) if not known]
    if not unknown:
        return ()
    shown = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
    return (
        f"{len(unknown)} of {len(is_known)} target genes have no known facet, and are alike "
        f"wherever facets are read: {shown}.",
    )
