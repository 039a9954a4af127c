"""Wrong knowledge on purpose: the controls that show whether a model reads what it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.types import FACETS, GeneKnowledge


def shuffle_knowledge(knowledge: GeneKnowledge, *, rng: np.random.Generator) -> GeneKnowledge:
    """Give each gene that knows something the knowledge of another one.

    Same shape, same vectors, same number of known facets over all; no gene keeps its own row. A
    gene that alone knows something loses it, since there is no wrong knowledge to give.
    """
    known = np.flatnonzero(knowledge.confidence.sum(axis=1) > 0)
    values, confidence = knowledge.values.copy(), knowledge.confidence.copy()
    # A cycle through the genes in random order: nothing maps to itself.
    order = rng.permutation(known)
    donors = np.roll(order, 1)
    values[order], confidence[order] = knowledge.values[donors], knowledge.confidence[donors]
    if len(known) == 1:
        values[known], confidence[known] = 0.0, 0.0
    return replace(
        knowledge,
        name=f"{knowledge.name}_shuffled",
        sha256=_derived(knowledge, "shuffled", order),
        values=values,
        confidence=confidence,
    )


def random_knowledge(knowledge: GeneKnowledge, *, rng: np.random.Generator) -> GeneKnowledge:
    """Replace each known facet by a Gaussian vector of the same norm, at the same confidence."""
    drawn = rng.standard_normal(knowledge.values.shape)
    norms = np.linalg.norm(knowledge.values.astype(np.float64), axis=-1, keepdims=True)
    drawn *= norms / np.linalg.norm(drawn, axis=-1, keepdims=True)
    values = drawn.astype(np.float32)
    return replace(
        knowledge,
        name=f"{knowledge.name}_random",
        sha256=_derived(knowledge, "random", values),
        values=values,
    )


def identity_knowledge(
    genes: Sequence[str], *, name: str, dim: int, seed: int = 0
) -> GeneKnowledge:
    """Give each gene one facet that says nothing but which gene it is.

    A gene's vector is a Gaussian one of unit length drawn from its current symbol only: whatever
    other genes are asked for, it is the same, and two genes' vectors are orthogonal but for
    1/sqrt(dim). Other seeds draw other vectors.
    """
    return _drawn_per_gene("identity", ("Identity",), genes, name=name, dim=dim, seed=seed)


def gaussian_knowledge(
    genes: Sequence[str], *, name: str, dim: int, seed: int = 0
) -> GeneKnowledge:
    """Give each gene eight known facets of Gaussian vectors: the shape of knowledge, no content.

    A gene's vectors, each of unit length, are drawn from its current symbol only, so they are the
    same whatever other genes are asked for. Other seeds draw other vectors.
    """
    return _drawn_per_gene("gaussian", FACETS, genes, name=name, dim=dim, seed=seed)


def _drawn_per_gene(
    kind: str,
    facet_names: tuple[str, ...],
    genes: Sequence[str],
    *,
    name: str,
    dim: int,
    seed: int,
) -> GeneKnowledge:
    """Draw unit vectors from each gene's current symbol, whatever other genes are asked for."""
    resolve = load_gene_tables().resolve
    asked = tuple(dict.fromkeys(genes))
    values = np.zeros((len(asked), len(facet_names), dim), dtype=np.float32)
    for row, gene in enumerate(asked):
        digest = hashlib.sha256(f"{kind}/{seed}/{resolve(gene) or gene}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        drawn = rng.standard_normal((len(facet_names), dim))
        # A lone vector's length is a dot product, whose last bit may differ from a sum of squares.
        axis = 1 if len(facet_names) > 1 else None
        values[row] = drawn / np.linalg.norm(drawn, axis=axis, keepdims=True)
    return GeneKnowledge(
        name=name,
        sha256=hashlib.sha256(f"{kind}/{seed}/{dim}/{'/'.join(asked)}".encode()).hexdigest(),
        genes=asked,
        facet_names=facet_names,
        values=values,
        confidence=np.ones((len(asked), len(facet_names)), dtype=np.float32),
    )


def _derived(knowledge: GeneKnowledge, how: str, draws: npt.NDArray[np.generic]) -> str:
    digest = hashlib.sha256(f"{knowledge.sha256}/{how}/".encode())
    digest.update(np.ascontiguousarray(draws).tobytes())
    return digest.hexdigest()
