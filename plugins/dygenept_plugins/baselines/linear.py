"""The linear model that deep learning did not beat: Y ≈ G·W·Pᵀ + b.

Y is expression of genes × train perturbations, b its row means, G the genes' first principal
components (genes as observations, columns centred), P the rows of G of the target genes, or a
given embedding; W by ridge on both sides. A combination's row of P is the sum of its genes', and
a target gene without a row adds nothing.
Source: Ahlmann-Eltze et al. 2025, equations 1 and 2. Loads nothing but the embedding that is
configured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView, train_view
from dygenept.knowledge.gene_embedding import GeneEmbedding, further_embedding, gene_embedding
from dygenept.machine.table_products import BLOCK_VALUES, blocks, gram, leading_vectors
from dygenept.machine.tables import empty_like, filled
from dygenept.plugin import BaselineSpec, PluginConfig, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, FitWork, Task
from dygenept_plugins.baselines._embedding_regression import (
    MOST_FEATURES,
    block_values,
    gram_products,
)


class LinearConfig(PluginConfig):
    """Options of ``linear``.

    Attributes:
        embedding: Embedding P of the perturbed genes: None takes their rows of G; else
            ``identity``, a facet set, a knowledge file, or a file of gene vectors.
        pooling: ``mean`` of a gene's facets, weighted by confidence, or ``concat``.
        n_components: Principal components in G; no more than there are train perturbations.
        penalty: Ridge penalty on both sides.
    """

    embedding: str | None = None
    pooling: Literal["mean", "concat"] = "mean"
    n_components: int = Field(default=10, gt=0)
    penalty: float = Field(default=0.1, gt=0)


class Linear(ClosedFormModel):
    """ŷ = G·W·p + b."""

    def __init__(self, config: LinearConfig) -> None:
        super().__init__()
        self._config = config
        self._fitted: dict[str, tuple[GeneEmbedding, DoubleArray, DoubleArray]] = {}
        self.notes: list[str] = []

    def fit(self, task: Task) -> None:
        """Fit W in every cell type, on train and validation perturbations.

        Raises:
            DygeneptError: If the embedding cannot be opened.
        """
        super().fit(task)
        config = self._config
        given = None
        if config.embedding is not None:
            given = gene_embedding(
                config.embedding, task.target_genes, task.runtime, pooling=config.pooling
            )
        self._fitted, self.notes = {}, []
        for cell_type in task.cell_types:
            view = train_view(task, cell_type)
            genes = principal_components(view.means, config.n_components)
            embedding = given or GeneEmbedding(
                genes=tuple(dict.fromkeys(task.gene_symbols)),
                values=genes[_first_rows(task.gene_symbols)],
                is_known=np.ones(len(set(task.gene_symbols)), dtype=np.bool_),
            )
            mean = view.mean
            weights = bilinear_ridge(
                view.means,
                mean,
                genes,
                embedding.of(view.conditions),
                penalty=config.penalty,
            )
            self._fitted[cell_type] = embedding, genes @ weights, mean

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        if not self._fitted:
            raise PluginError("linear cannot predict before it is fitted; call fit")
        embedding, loadings, mean = self._fitted[conditions[0].cell_type]
        embedding = self._with_new_genes(embedding, conditions)
        expression = empty_like(view.means, (len(conditions), len(mean)), np.float64)
        factors = embedding.of(conditions)
        for rows in blocks(*expression.shape):
            expression[rows] = mean + factors[rows] @ loadings.T
        return expression

    def _with_new_genes(
        self, embedding: GeneEmbedding, conditions: Sequence[Condition]
    ) -> GeneEmbedding:
        """Add genes that the data set lacks; rows of G there are none for them."""
        name, pooling = self._config.embedding, self._config.pooling
        new = embedding.new_in(conditions)
        if new and name is not None:
            more = further_embedding(name, new, self.task.runtime, like=embedding, pooling=pooling)
            embedding, new = embedding.joined(more), more.unknown()
        note = f"no vector for {', '.join(new)}, which add(s) nothing to the average"
        if new and note not in self.notes:
            self.notes.append(note)
        return embedding


def principal_components(means: DoubleArray, n_components: int) -> DoubleArray:
    """Scores of the genes on the first principal components, (n, G) to (G, min(n, k)).

    Genes are the observations: what is taken off is the mean over genes of each condition.
    """
    centred = filled(
        means, means.shape, lambda part: means[part] - means[part].mean(axis=1, keepdims=True)
    )
    vectors = leading_vectors(gram(centred), n_components)
    scores = np.empty((means.shape[1], vectors.shape[1]))
    for genes in blocks(means.shape[1], len(means)):
        scores[genes] = centred[:, genes].T @ vectors
    return scores


def bilinear_ridge(
    means: DoubleArray, mean: DoubleArray, left: DoubleArray, right: DoubleArray, *, penalty: float
) -> DoubleArray:
    """Solve (means - mean)ᵀ ≈ left·W·rightᵀ with a ridge penalty on both sides.

    Args:
        means: Expression of the train perturbations, (n, G).
        mean: What is taken off of each, (G,).
        left: Gene embeddings, (G, k).
        right: Perturbation embeddings, (n, d).
        penalty: Added to the diagonal of both Gram matrices.

    Returns:
        W, (k, d).
    """
    left_gram = left.T @ left + np.diag(np.full(left.shape[1], penalty))
    right_gram = right.T @ right + np.diag(np.full(right.shape[1], penalty))
    along = np.empty((left.shape[1], len(means)))
    for rows in blocks(*means.shape):
        along[:, rows] = left.T @ (means[rows] - mean).T
    by_gene = np.linalg.solve(left_gram, along)
    return np.asarray(np.linalg.solve(right_gram, (by_gene @ right).T).T, dtype=np.float64)


def _first_rows(symbols: Sequence[str]) -> list[int]:
    rows: dict[str, int] = {}
    for row, symbol in enumerate(symbols):
        rows.setdefault(symbol, row)
    return list(rows.values())


def linear_bytes(config: LinearConfig, size: FitSize) -> int:
    """Bytes of a fit: all pairs of perturbations, and blocks; expression twice where in memory."""
    n, n_genes = size.n_known, size.n_genes
    pairs = n * n + 4 * block_values(size)
    if not size.in_files:
        pairs += 3 * n * n_genes + 2 * size.n_held_out * n_genes
    if config.embedding is not None:
        pairs += (size.n_targets + n + size.n_held_out) * MOST_FEATURES + 2 * MOST_FEATURES**2
    return 8 * pairs


def linear_work(config: LinearConfig, size: FitSize) -> FitWork:
    """Steps of a fit: products of all pairs, their first vectors, and products with these."""
    n, m, n_genes, k = size.n_known, size.n_held_out, size.n_genes, config.n_components
    n_features = k if config.embedding is None else MOST_FEATURES
    of_vectors = n * (2 * k * n_genes + k * n_features + n_features**2)
    return FitWork(
        products=gram_products(n, n_genes) + of_vectors + m * n_features * n_genes,
        # The first vectors of a large array take a fifth of what all of them take.
        decompositions=n**3 * (0.2 if n * n > BLOCK_VALUES else 1.0),
        passes=(10 * n + 4 * m) * n_genes,
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="linear",
            summary="Linear model on principal gene embeddings, or on given ones.",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            config=LinearConfig,
            factory=Linear,
            knowledge=lambda config: None if config.embedding == "identity" else config.embedding,
            fit_bytes=linear_bytes,
            fit_work=linear_work,
        )
    ]
