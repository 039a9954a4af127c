"""Knowledge of genes as files for a model that runs in an environment of its own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dygenept.knowledge.gene_embedding import gene_embedding
from dygenept.plugin.isolated.for_child import GENE_VECTORS
from dygenept.types import Condition, Task

GO_TERMS = "gene2go.json"

WriteFiles = Callable[[Task, Sequence[Condition]], Mapping[str, bytes]]


def gene_vectors(embedding: str, *, of_outputs: bool = False) -> WriteFiles:
    """Return what writes ``gene_vectors.npz``: ``genes`` (n,), ``vectors`` (n, D), ``is_known``.

    Args:
        embedding: A facet set, a knowledge file or a file of gene vectors; see
            ``gene_embedding``.
        of_outputs: Output genes too, and not only target genes.
    """

    def write(task: Task, conditions: Sequence[Condition]) -> Mapping[str, bytes]:
        genes = genes_of(task, conditions, of_outputs=of_outputs)
        found = gene_embedding(embedding, genes, task.runtime)
        content = io.BytesIO()
        np.savez_compressed(
            content,
            genes=np.array(found.genes),
            vectors=found.values.astype(np.float32),
            is_known=found.is_known,
        )
        return {GENE_VECTORS: content.getvalue()}

    return write


def go_terms(task: Task, conditions: Sequence[Condition]) -> Mapping[str, bytes]:
    """Write ``gene2go.json``: GO terms of output and target genes, by the data set's spelling."""
    from dygenept.knowledge.genes.tables import load_gene_tables

    tables = load_gene_tables()
    terms: dict[str, list[str]] = {}
    for gene in genes_of(task, conditions, of_outputs=True):
        symbol = tables.resolve(gene)
        found = () if symbol is None else tables.terms_of(symbol)
        if found:
            terms[gene] = sorted(found)
    return {GO_TERMS: json.dumps(terms).encode()}


def genes_of(task: Task, conditions: Sequence[Condition], *, of_outputs: bool) -> tuple[str, ...]:
    """Return the target genes of a task and of what is asked for, and its output genes; sorted."""
    asked = {gene for condition in conditions for gene in condition.genes}
    known = {gene for condition in task.known for gene in condition.genes}
    outputs = task.gene_symbols if of_outputs else ()
    return tuple(sorted({*task.target_genes, *asked, *known, *outputs}))
