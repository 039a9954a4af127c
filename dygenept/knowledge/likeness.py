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

from dygenept.knowledge.graph.links import GRAPHS, links_of
from dygenept.types import BoolArray, FloatArray, GeneKnowledge, Runtime
from dygenept.types.effects import GraphName

FACETS_NAME = "facets"
IDENTITY_NAME = "identity"
Control = Literal["shuffled", "identity"]
Rows = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class FacetCentre:
    """What was taken from a facet's vectors to make rows of them.

    Attributes:
        name: The facet.
        mean: Mean of its known vectors, (F,).
    """

    name: str
    mean: FloatArray


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike some genes are.

    Attributes:
        genes: The genes, (n,).
        sources: By name, matrices of rows of unit length, (n, F) each; their cosines are averaged.
        centres: Of each matrix of facets, in order.
    """

    genes: tuple[str, ...]
    sources: Mapping[str, tuple[FloatArray | sparse.csr_matrix, ...]]
    centres: tuple[FacetCentre, ...] = ()

    @property
    def of_outputs(self) -> tuple[str, ...]:
        """Sources that know of output genes too: facets are opened for perturbed genes alone."""
        return tuple(name for name in self.sources if name != FACETS_NAME)

    def rows(self, genes: Sequence[str]) -> Rows:
        """Return the rows of genes, each of which it has."""
        place = {gene: row for row, gene in enumerate(self.genes)}
        return np.array([place[gene] for gene in genes], dtype=np.int64)

    def known_genes(self) -> set[str]:
        """Return the genes of which any source knows something."""
        known = np.zeros(len(self.genes), dtype=np.bool_)
        for name in self.sources:
            known |= self.knows(name)
        return {self.genes[row] for row in np.flatnonzero(known)}

    @property
    def facet_names(self) -> tuple[str, ...]:
        """Names of all matrices: those of facets, and of graphs."""
        return tuple(
            self._name_of(name, number)
            for name, matrices in self.sources.items()
            for number in range(1, len(matrices) + 1)
        )

    @property
    def confidence(self) -> FloatArray:
        """How far each matrix knows each gene: its row's squared length, (n, K)."""
        squares = [
            np.asarray(_squares(matrix).sum(axis=1)).ravel()
            for matrices in self.sources.values()
            for matrix in matrices
        ]
        found: FloatArray = np.minimum(np.stack(squares, axis=1), 1.0).astype(np.float32)
        return found

    def first(self, n: int) -> Likeness:
        """Return its first genes."""
        sources = {
            name: tuple(matrix[:n] for matrix in matrices)
            for name, matrices in self.sources.items()
        }
        return Likeness(self.genes[:n], sources, self.centres)

    def followed_by(self, other: Likeness) -> Likeness:
        """Return it with the genes of another one, of the same sources, after its own."""
        return Likeness(
            (*self.genes, *other.genes),
            {
                name: tuple(
                    _stacked(first, second)
                    for first, second in zip(matrices, other.sources[name], strict=True)
                )
                for name, matrices in self.sources.items()
            },
            self.centres,
        )

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
        named = [(name, matrix) for name, matrices in self.sources.items() for matrix in matrices]
        dense = [m.shape[1] for _, m in named if not isinstance(m, sparse.csr_matrix)]
        width = max([width, *dense])
        values = np.zeros((len(self.genes), len(named), width), dtype=np.float32)
        for facet, (_, matrix) in enumerate(named):
            if isinstance(matrix, sparse.csr_matrix):
                rng = np.random.default_rng(0)
                shape = (matrix.shape[1], width)
                values[:, facet] = matrix @ (
                    rng.standard_normal(shape, dtype=np.float32) / np.float32(width**0.5)
                )
            else:
                values[:, facet, : matrix.shape[1]] = matrix
        facets = GeneKnowledge(
            name="likeness",
            sha256="",
            genes=self.genes,
            facet_names=self.facet_names,
            values=values,
            confidence=self.confidence,
        )
        return facets, np.array([name != FACETS_NAME for name, _ in named], dtype=np.bool_)

    def _name_of(self, source: str, number: int) -> str:
        """Name one matrix of a source, counted from 1."""
        if source == FACETS_NAME and self.centres:
            return self.centres[number - 1].name
        return source if len(self.sources[source]) == 1 else f"{source} {number}"

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
        return Likeness(names, {IDENTITY_NAME: (itself,)})
    sources: dict[str, tuple[FloatArray | sparse.csr_matrix, ...]] = {
        graph: (links_of(graph, names, runtime.data_dir),) for graph in graphs
    }
    if knowledge is not None:
        place = {gene: row for row, gene in enumerate(names)}
        rows = [place[gene] for gene in knowledge.genes]
        centres = _centres(knowledge)
        sources[FACETS_NAME] = tuple(
            _spread(_facet_rows(knowledge, centre), rows, len(names)) for centre in centres
        )
    if control == "shuffled":
        order = _wrong_genes(len(names), [] if knowledge is None else rows)
        sources = {name: tuple(matrix[order] for matrix in of) for name, of in sources.items()}
    return Likeness(names, sources, () if knowledge is None else centres)


def likeness_of_more(
    like: Likeness, genes: Sequence[str], *, knowledge: GeneKnowledge | None, runtime: Runtime
) -> Likeness:
    """Return the rows of further genes, by which they can be compared with those of another one.

    Args:
        like: Made by ``gene_likeness``; its sources are read, and its centres taken.
        genes: Genes that it does not have.
        knowledge: Facets of them, of the set that ``like`` was made of; None where they do not
            count or none has any.
        runtime: Its data folder may have graphs of the user's.
    """
    names = tuple(genes)
    sources: dict[str, tuple[FloatArray | sparse.csr_matrix, ...]] = {}
    for name, matrices in like.sources.items():
        if name in GRAPHS:
            sources[name] = (links_of(name, names, runtime.data_dir),)
        elif name == FACETS_NAME and knowledge is not None:
            place = {gene: row for row, gene in enumerate(names)}
            rows = [place[gene] for gene in knowledge.genes]
            sources[name] = tuple(
                _spread(_facet_rows(knowledge, centre), rows, len(names)) for centre in like.centres
            )
        else:
            sources[name] = tuple(_nothing(matrix, len(names)) for matrix in matrices)
    return Likeness(names, sources, like.centres)


def nothing_of_more(like: Likeness, genes: Sequence[str]) -> Likeness:
    """Return empty rows for further genes: they are like nothing."""
    return Likeness(
        tuple(genes),
        {
            name: tuple(_nothing(matrix, len(genes)) for matrix in matrices)
            for name, matrices in like.sources.items()
        },
        like.centres,
    )


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


def _nothing(
    matrix: FloatArray | sparse.csr_matrix, n_genes: int
) -> FloatArray | sparse.csr_matrix:
    shape = (n_genes, matrix.shape[1])
    if isinstance(matrix, sparse.csr_matrix):
        return sparse.csr_matrix(shape, dtype=np.float32)
    return np.zeros(shape, dtype=np.float32)


def _stacked(
    first: FloatArray | sparse.csr_matrix, second: FloatArray | sparse.csr_matrix
) -> FloatArray | sparse.csr_matrix:
    if isinstance(first, sparse.csr_matrix):
        return sparse.csr_matrix(sparse.vstack([first, second], format="csr"))
    return np.concatenate([first, second])


def _centres(knowledge: GeneKnowledge) -> tuple[FacetCentre, ...]:
    """Return the mean of each facet that is known of any gene."""
    found = []
    for facet, name in enumerate(knowledge.facet_names):
        known = knowledge.confidence[:, facet] > 0
        if known.any():
            found.append(FacetCentre(name, knowledge.values[known, facet].mean(axis=0)))
    return tuple(found)


def _facet_rows(knowledge: GeneKnowledge, centre: FacetCentre) -> FloatArray:
    """Return the vectors of a facet less its centre, of unit length, times confidence, (n, F)."""
    facet = knowledge.facet_names.index(centre.name)
    confidence = knowledge.confidence[:, facet]
    known = confidence > 0
    centred = np.where(known[:, None], knowledge.values[:, facet] - centre.mean, 0.0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(norms > 0, norms, 1.0)
    return (unit * np.sqrt(confidence)[:, None]).astype(np.float32)
