"""One vector per gene: a facet set pooled, a file of vectors, or one-hot codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from dygenept.errors import DataUnavailableError
from dygenept.knowledge.genes.matching import select_genes
from dygenept.knowledge.store.formats.gene_vectors import read_gene_vectors
from dygenept.machine.tables import empty_like, filled, in_file, row_parts
from dygenept.types import BoolArray, Condition, DoubleArray, GeneKnowledge, Runtime

IDENTITY = "identity"
MATRIX_SUFFIXES = (".npz", ".parquet", ".csv", ".tsv")
Pooling = Literal["mean", "concat"]


@dataclass(frozen=True, slots=True)
class GeneEmbedding:
    """Vectors of genes.

    Attributes:
        genes: Gene symbols, (n,), unique.
        values: One vector per gene, (n, D), float64; zeros where unknown.
        is_known: True where there is a vector, (n,).
    """

    genes: tuple[str, ...]
    values: DoubleArray
    is_known: BoolArray

    def unknown(self) -> tuple[str, ...]:
        """Genes without a vector."""
        return tuple(
            gene for gene, known in zip(self.genes, self.is_known, strict=True) if not known
        )

    def new_in(self, conditions: Sequence[Condition]) -> tuple[str, ...]:
        """Target genes of conditions that are not among the genes, sorted."""
        asked = {gene for condition in conditions for gene in condition.genes}
        return tuple(sorted(asked.difference(self.genes)))

    def joined(self, more: GeneEmbedding) -> GeneEmbedding:
        """Add the vectors of further genes."""
        return GeneEmbedding(
            self.genes + more.genes,
            np.concatenate([self.values, more.values]),
            np.concatenate([self.is_known, more.is_known]),
        )

    def of(self, conditions: Sequence[Condition]) -> DoubleArray:
        """Sum the vectors of each condition's target genes, (n_conditions, D).

        A target gene that is unknown, or not among the genes, adds nothing. The sums are in a file
        where the vectors are.
        """
        from dygenept.types.gene_sets import gene_membership

        rows = {gene: row for row, gene in enumerate(self.genes)}
        members = gene_membership(conditions, rows)
        shape = len(conditions), self.values.shape[1]
        return filled(self.values, shape, lambda part: members[part] @ self.values)


def gene_embedding(
    name: str,
    genes: Sequence[str],
    runtime: Runtime,
    *,
    pooling: Pooling = "mean",
    like: DoubleArray | None = None,
) -> GeneEmbedding:
    """Return one vector per gene.

    Args:
        name: ``identity`` (one-hot codes), a facet set of the registry, a knowledge file
            (safetensors), or a file of vectors (npz, parquet, csv, tsv; see ``read_gene_vectors``).
        genes: Gene symbols; repeated ones count once.
        runtime: Opens facet sets.
        pooling: How the facets of a gene become one vector: their ``mean``, weighted by
            confidence, or all of them side by side (``concat``, unknown ones as zeros).
        like: A table; vectors are in a file where it is in one.

    Raises:
        ConfigError: If the facet set is unknown.
        DataUnavailableError: If a file is not there.
        DataError: If a file is damaged.
    """
    asked = tuple(dict.fromkeys(genes))
    if name == IDENTITY:
        codes = (
            np.eye(len(asked)) if like is None or not in_file(like) else _codes(like, len(asked))
        )
        return GeneEmbedding(asked, codes, np.ones(len(asked), dtype=np.bool_))
    if is_vector_file(name):
        knowledge = select_genes(read_vectors(Path(name).expanduser()), asked)
    else:
        knowledge = runtime.open_knowledge(name, asked)
    found = pooled(knowledge, pooling=pooling)
    if like is None or not in_file(like):
        return found
    values = empty_like(like, found.values.shape, np.float64)
    values[:] = found.values
    return replace(found, values=values)


def _codes(like: DoubleArray, n_genes: int) -> DoubleArray:
    """Return one-hot codes in a file like that of a table, (n_genes, n_genes)."""
    codes = empty_like(like, (n_genes, n_genes), np.float64)
    for rows in row_parts(n_genes, n_genes):
        codes[rows] = 0.0
        codes[rows, rows] = np.eye(rows.stop - rows.start)
    return codes


def further_embedding(
    name: str, genes: Sequence[str], runtime: Runtime, *, like: GeneEmbedding, pooling: Pooling
) -> GeneEmbedding:
    """Return vectors of genes that an embedding was not opened for, of the same width.

    One-hot codes have none for a further gene.
    """
    if name == IDENTITY:
        none = np.zeros(len(genes), dtype=np.bool_)
        return GeneEmbedding(tuple(genes), np.zeros((len(genes), like.values.shape[1])), none)
    return gene_embedding(name, genes, runtime, pooling=pooling)


def pooled(knowledge: GeneKnowledge, *, pooling: Pooling = "mean") -> GeneEmbedding:
    """Make one vector per gene from its facets, (n_genes, K, D_text) to (n_genes, D)."""
    weights = knowledge.confidence.astype(np.float64)[..., None]
    weighted = knowledge.values.astype(np.float64) * weights
    if pooling == "concat":
        values = weighted.reshape(len(weighted), -1)
    else:
        values = weighted.sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)
    return GeneEmbedding(knowledge.genes, values, knowledge.confidence.sum(axis=1) > 0)


def is_vector_file(name: str) -> bool:
    """True if a name has the ending of a file of vectors."""
    return Path(name).suffix in MATRIX_SUFFIXES


def read_vectors(path: Path) -> GeneKnowledge:
    """Read a file of gene vectors as knowledge of one facet; a vector of zeros is known too.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it has another layout (see ``read_gene_vectors``), names a gene twice, or
            contains a value that is not finite.
    """
    if not path.is_file():
        raise DataUnavailableError(
            f"no file of gene vectors {path}; give the path of a {', '.join(MATRIX_SUFFIXES)} file"
        )
    knowledge = read_gene_vectors(path)
    return replace(knowledge, confidence=np.ones_like(knowledge.confidence))
