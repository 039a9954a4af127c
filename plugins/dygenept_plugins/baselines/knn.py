"""Averages the deltas of the perturbations with the most similar embeddings (cosine).

Source: Fix and Hodges 1951; on gene embeddings as in LangPert (Märtens et al. 2025). Loads
nothing but the embedding that is configured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dygenept.machine.table_products import blocks, gram, product
from dygenept.machine.tables import filled
from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import DoubleArray, FitSize, FitWork
from dygenept_plugins.baselines._embedding_regression import (
    ALL,
    Choice,
    EmbeddingConfig,
    EmbeddingRegression,
    fit_bytes,
    gram_products,
    knowledge_of,
    regression_work,
    width,
)

NEIGHBORS: tuple[int, ...] = (100, 50, 30, 20, 12, 8, 5, 3, 2, 1)
# Similarities closer than this are the same: they differ only by rounding.
TIE = 1e-9
# Simple operations on each of a row's likenesses that finding its neighbours takes.
PASSES = 20


class KnnConfig(EmbeddingConfig):
    """Options of ``knn``.

    Attributes:
        n_neighbors: Neighbours to average; None chooses one of 10 from 1 to 100 by leave-one-out
            error, fewer than there are perturbations.
    """

    n_neighbors: int | None = Field(default=None, gt=0)


class KnnSolver:
    """Δ̂ = mean of the deltas of the k most similar perturbations."""

    def __init__(self, features: DoubleArray) -> None:
        self._directions = unit_rows(features)
        self._similarity: DoubleArray | None = None

    def fit(self, deltas: DoubleArray) -> None:
        """Fit to deltas, (n, G)."""
        self._deltas = deltas

    def predict(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Predict deltas, (n, D) to (n, G)."""
        similarity = unit_rows(features) @ self._directions.T
        for rows in blocks(*similarity.shape):
            similarity[rows] = neighbor_weights(similarity[rows], int(choice["n_neighbors"]))
        return product(similarity, self._deltas)

    def left_out(self, choice: Choice, *, rows: slice = ALL, columns: slice = ALL) -> DoubleArray:
        """Return what is left of each delta by the mean of its neighbours, (n, G)."""
        n_known = len(self._directions)
        if self._similarity is None:
            self._similarity = similarity = gram(self._directions)
            # No perturbation is its own neighbour.
            np.fill_diagonal(similarity, -np.inf)
        n_neighbors = min(int(choice["n_neighbors"]), n_known - 1)
        weights = neighbor_weights(self._similarity[rows], n_neighbors)
        return self._deltas[rows, columns] - weights @ self._deltas[:, columns]


def unit_rows(values: DoubleArray) -> DoubleArray:
    """Scale rows to length 1; a row of zeros stays, and is similar to nothing."""

    def units(rows: slice) -> DoubleArray:
        norms = np.linalg.norm(values[rows], axis=1, keepdims=True)
        scaled: DoubleArray = np.divide(
            values[rows], norms, out=np.zeros_like(values[rows]), where=norms > TIE
        )
        return scaled

    return filled(values, values.shape, units)


def neighbor_weights(similarity: DoubleArray, n_neighbors: int) -> DoubleArray:
    """Give 1/k to each of the k most similar columns of a row, (n, n_known).

    Columns that tie for the last places share them, so that their order decides nothing.
    """
    n_neighbors = min(n_neighbors, similarity.shape[1])
    last = np.partition(similarity, -n_neighbors, axis=1)[:, [-n_neighbors]]
    is_above = similarity > last + TIE
    is_tied = (similarity >= last - TIE) & ~is_above
    places = n_neighbors - is_above.sum(axis=1, keepdims=True)
    weights: DoubleArray = is_above + is_tied * (places / is_tied.sum(axis=1, keepdims=True))
    weights /= n_neighbors
    return weights


class Knn(EmbeddingRegression[KnnConfig]):
    """Nearest neighbours by the sum of the target genes' embeddings."""

    solver = KnnSolver

    def choices(self) -> Sequence[Choice]:
        """Return the numbers of neighbours to try, the largest first."""
        tried = NEIGHBORS if self.config.n_neighbors is None else [self.config.n_neighbors]
        return [{"n_neighbors": number} for number in tried]

    def choices_among(self, n_perturbations: int) -> Sequence[Choice]:
        """Return those that leave some perturbation out.

        With all others as neighbours the prediction is their mean, whatever the embedding says,
        and unseen genes could not be told apart.
        """
        choices = self.choices()
        return [of for of in choices if of["n_neighbors"] < n_perturbations - 1] or choices

    def default(self) -> Choice:
        """Return five neighbours."""
        return {"n_neighbors": 5}


def knn_work(config: KnnConfig, size: FitSize) -> FitWork:
    """Steps of a fit: neighbours of all pairs and a product for each number of them."""
    n, m = size.n_known, size.n_held_out
    tried = len(NEIGHBORS) if config.n_neighbors is None else 0
    along = min(n, size.n_genes)
    products = 0.0
    if tried:
        products = gram_products(n, width(config, size)) + tried * n * n * along
    passes = PASSES * n * (tried * n + m) + tried * 3 * n * along
    return regression_work(
        config, size, FitWork(products=products, passes=passes, are_alike=True), tried
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="knn",
            summary="Mean delta of the perturbations with the most similar embeddings.",
            source="Fix and Hodges 1951; as in Märtens et al. 2025 (LangPert)",
            config=KnnConfig,
            factory=Knn,
            knowledge=knowledge_of,
            fit_bytes=fit_bytes,
            fit_work=knn_work,
            learns_from=("cells", "effects"),
        )
    ]
