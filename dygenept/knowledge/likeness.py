"""How alike genes are by each source of knowledge: facets kept apart, and graphs.

Every source is a matrix of rows of unit length, whose inner products are cosines. A source that
knows nothing of a gene has zeros for it, which are like nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dygenept.knowledge.graph.links import links_of
from dygenept.types import BoolArray, FloatArray, GeneKnowledge, Runtime
from dygenept.types.effects import GraphName

FACETS_NAME = "facets"
Control = Literal["shuffled", "identity"]
Rows = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike some genes are.

    Attributes:
        genes: The genes, (n,).
        sources: By name, matrices of rows of unit length, (n, F) each; their cosines are averaged.
    """

    genes: tuple[str, ...]
    sources: Mapping[str, tuple[FloatArray | sparse.csr_matrix, ...]]

    @property
    def of_outputs(self) -> tuple[str, ...]:
        """Sources that know of output genes too: facets are opened for perturbed genes alone."""
        return tuple(name for name in self.sources if name != FACETS_NAME)

    def of(self, source: str, rows: Rows, others: Rows) -> FloatArray:
        """Return the cosines of genes by one source, (n_rows, n_others)."""
        found = np.zeros((len(rows), len(others)), dtype=np.float32)
        matrices = self.sources[source]
        for matrix in matrices:
            if isinstance(matrix, sparse.csr_matrix):
                found += (matrix[rows] @ matrix[others].T).toarray()
            else:
                found += matrix[rows] @ matrix[others].T
        return found / np.float32(max(len(matrices), 1))

    def as_facets(self, width: int) -> tuple[GeneKnowledge, BoolArray]:
        """Return what the sources know as facets of all genes, kept apart.

        Sparse rows are brought to few dimensions by a random projection, which leaves their cosines
        about as they are; a facet's confidence is its row's squared length.

        Args:
            width: Least length of a facet's vector; dense rows that are longer stay whole.

        Returns:
            The facets, and which of them tell of output genes, (K,).
        """
        named = [
            (name, number, matrix)
            for name, matrices in self.sources.items()
            for number, matrix in enumerate(matrices, start=1)
        ]
        dense = [m.shape[1] for _, _, m in named if not isinstance(m, sparse.csr_matrix)]
        width = max([width, *dense])
        values = np.zeros((len(self.genes), len(named), width), dtype=np.float32)
        for facet, (_, _, matrix) in enumerate(named):
            if isinstance(matrix, sparse.csr_matrix):
                rng = np.random.default_rng(0)
                shape = (matrix.shape[1], width)
                values[:, facet] = matrix @ (
                    rng.standard_normal(shape, dtype=np.float32) / np.float32(width**0.5)
                )
            else:
                values[:, facet, : matrix.shape[1]] = matrix
        confidence = np.stack(
            [np.asarray(_squares(matrix).sum(axis=1)).ravel() for _, _, matrix in named], axis=1
        )
        facets = GeneKnowledge(
            name="likeness",
            sha256="",
            genes=self.genes,
            facet_names=tuple(f"{name} {number}" for name, number, _ in named),
            values=values,
            confidence=np.minimum(confidence, 1.0).astype(np.float32),
        )
        return facets, np.array([name != FACETS_NAME for name, _, _ in named], dtype=np.bool_)

    def knows(self, source: str) -> BoolArray:
        """True for genes of which a source knows something, (n,)."""
        known = np.zeros(len(self.genes), dtype=np.bool_)
        for matrix in self.sources[source]:
            sizes = abs(matrix).sum(axis=1)
            known |= np.asarray(sizes).ravel() > 0
        return known


def gene_likeness(
    genes: Sequence[str],
    *,
    knowledge: GeneKnowledge | None,
    graphs: Sequence[GraphName],
    runtime: Runtime,
    control: Control | None = None,
) -> Likeness:
    """Return how alike genes are.

    Args:
        genes: Gene symbols, each once.
        knowledge: Facets of some of them; None for none.
        graphs: Which graphs count.
        runtime: Its data folder may have graphs of the user's.
        control: ``shuffled`` gives every gene the knowledge of another one, the same one in every
            source; ``identity`` makes every gene like nothing but itself.
    """
    names = tuple(genes)
    if control == "identity":
        itself = sparse.identity(len(names), dtype=np.float32, format="csr")
        return Likeness(names, {"identity": (itself,)})
    sources: dict[str, tuple[FloatArray | sparse.csr_matrix, ...]] = {
        graph: (links_of(graph, names, runtime.data_dir),) for graph in graphs
    }
    if knowledge is not None:
        place = {gene: row for row, gene in enumerate(names)}
        rows = [place[gene] for gene in knowledge.genes]
        sources[FACETS_NAME] = tuple(
            _spread(matrix, rows, len(names)) for matrix in _facet_rows(knowledge)
        )
    if control == "shuffled":
        order = _wrong_genes(len(names), [] if knowledge is None else rows)
        sources = {name: tuple(matrix[order] for matrix in of) for name, of in sources.items()}
    return Likeness(names, sources)


def _wrong_genes(n_genes: int, with_facets: Sequence[int]) -> Rows:
    """Return another gene for each: one with facets where the gene itself may have some."""
    rng = np.random.default_rng(0)
    order = np.arange(n_genes)
    others = np.setdiff1d(order, np.asarray(with_facets, dtype=np.int64))
    for part in (np.asarray(with_facets, dtype=np.int64), others):
        drawn = rng.permutation(part)
        # A cycle through the genes in random order: nothing maps to itself.
        order[drawn] = np.roll(drawn, 1)
    return order


def _spread(matrix: FloatArray, rows: Sequence[int], n_genes: int) -> FloatArray:
    """Put rows where their genes are, zeros elsewhere, (n_genes, F)."""
    whole = np.zeros((n_genes, matrix.shape[1]), dtype=np.float32)
    whole[list(rows)] = matrix
    return whole


def _squares(matrix: FloatArray | sparse.csr_matrix) -> FloatArray | sparse.csr_matrix:
    return matrix.multiply(matrix) if isinstance(matrix, sparse.csr_matrix) else matrix**2


def _facet_rows(knowledge: GeneKnowledge) -> tuple[FloatArray, ...]:
    """Return one matrix per facet: vectors less their mean over known genes, times confidence."""
    found = []
    for facet in range(len(knowledge.facet_names)):
        confidence = knowledge.confidence[:, facet]
        known = confidence > 0
        if not known.any():
            continue
        values = knowledge.values[:, facet]
        centred = np.where(known[:, None], values - values[known].mean(axis=0), 0.0)
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        unit = centred / np.where(norms > 0, norms, 1.0)
        found.append((unit * np.sqrt(confidence)[:, None]).astype(np.float32))
    return tuple(found)
