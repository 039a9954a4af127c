"""The linear model that DyGenePT starts from: a typical change, and ridge on gene embeddings.

Δ̂ = typical change + Σ_p x_p·W: the typical change is the mean of the train deltas, each weighed by
one over its norm, and counts once however many genes are perturbed; W is ridge regression of what
is left. The penalty is that of the smallest exact leave-one-out error over train and validation
perturbations; with several cell types these errors also choose how far typical change and W are
those of the cell type. It is the readout of ``dygenept.model.start``, fitted to embeddings instead
of a network's features, so that whatever DyGenePT gains over it is not gained by the recipe. Loads
nothing but the embedding that is configured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.reference import TrainView
from dygenept.knowledge.gene_embedding import IDENTITY, GeneEmbedding
from dygenept.machine.table_products import BLOCK_VALUES, add_row
from dygenept.machine.tables import filled, row_parts, rows_of
from dygenept.model.start.readout import PENALTIES, Readout, fit_readout
from dygenept.model.start.typical import IndexArray, Rows
from dygenept.plugin import BaselineSpec, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, FitWork, Task
from dygenept_plugins.baselines._embedding_regression import (
    EmbeddingConfig,
    EmbeddingModel,
    block_values,
    fit_bytes,
    gram_products,
    knowledge_of,
    n_features,
    regression_work,
    width,
)

# Further arrays of all pairs beside those of a regression, where these are small: products of
# targets with each other and with their typical change, and what leaving out makes of them.
PRODUCTS = 6
# Simple operations on each value of which the typical change without a perturbation is found.
TYPICAL_PASSES = 20


class LinearLooConfig(EmbeddingConfig):
    """Options of ``linear_loo``: which embedding of the perturbed genes it reads."""


class LinearLoo(EmbeddingModel[LinearLooConfig]):
    """Typical change plus ridge regression, fitted to all cell types together."""

    def __init__(self, config: LinearLooConfig) -> None:
        super().__init__(config)
        self._readout: Readout | None = None

    def fit(self, task: Task) -> None:
        """Fit on train and validation perturbations of all cell types.

        Raises:
            DygeneptError: If the embedding cannot be opened.
        """
        super().fit(task)
        if not task.known:
            raise PluginError("the task has no train perturbation; use a split with fewer folds")
        # Sorted, so that a sum over rows does not depend on the order of the file.
        order = sorted(range(len(task.known)), key=lambda row: task.known[row])
        conditions = tuple(task.known[row] for row in order)
        codes = self._codes(conditions)
        labels = [condition.label for condition in conditions]
        _, numbers = np.unique(labels, return_inverse=True)
        rows = Rows(numbers.reshape(-1), codes, len(task.cell_types))
        deltas = rows_of(task.means, order)
        for part in row_parts(*deltas.shape):
            deltas[part] -= task.control_means[codes[part]]
        inputs, shared = self._inputs(conditions)
        self._readout = readout = fit_readout(inputs, deltas, shared, rows)
        self.chosen = {"penalty": readout.penalty, **readout.by_type()}

    def standardised(self, embedding: GeneEmbedding, *, by: GeneEmbedding) -> GeneEmbedding:
        """Centre what is an embedding; one-hot codes have no mean to take off."""
        if self.config.embedding == IDENTITY:
            return embedding
        return super().standardised(embedding, by=by)

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        inputs, _ = self._inputs(conditions)
        return add_row(self._fitted.predict(inputs, self._codes(conditions)), view.control)

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the standard deviation of the error of each prediction, (n, G)."""
        inputs, _ = self._inputs(conditions)
        return self._fitted.spread(inputs, self._codes(conditions))

    @property
    def _fitted(self) -> Readout:
        if self._readout is None:
            raise PluginError("linear_loo cannot predict before it is fitted; call fit")
        return self._readout

    def _inputs(self, conditions: Sequence[Condition]) -> tuple[DoubleArray, DoubleArray]:
        """Return the features with a constant one, (n, D + 1), and which of them is constant."""
        features = self.features(conditions)
        shared = np.zeros(features.shape[1] + 1)
        shared[-1] = 1.0
        inputs = filled(
            features,
            (len(features), len(shared)),
            lambda part: np.column_stack([features[part], np.ones(len(features[part]))]),
        )
        return inputs, shared

    def _codes(self, conditions: Sequence[Condition]) -> IndexArray:
        types = {name: code for code, name in enumerate(self.task.cell_types)}
        return np.array([types[condition.cell_type] for condition in conditions], dtype=np.int64)


def linear_loo_bytes(config: LinearLooConfig, size: FitSize) -> int:
    """Bytes of a fit: as a regression's, and more blocks; features and coefficients in memory.

    Pairs that are few enough not to be computed with in blocks have products of their own, by which
    penalties are compared.
    """
    n = size.n_known
    more = 4 * block_values(size)
    if not size.in_files:
        more += n * (2 * n_features(config, size) + size.n_genes)
    elif n * n <= BLOCK_VALUES:
        more += PRODUCTS * n * n
    return fit_bytes(config, size) + 8 * more


def linear_loo_work(config: LinearLooConfig, size: FitSize) -> FitWork:
    """Steps of a fit: one decomposition, products for each penalty, and four with the changes.

    Where all pairs are few, penalties are compared by their products.
    """
    n, n_genes = size.n_known, size.n_genes
    along, n_tried = min(n, n_genes), len(PENALTIES)
    is_large = n * width(config, size) > BLOCK_VALUES
    products = gram_products(n, width(config, size)) + n * n * along + 4 * n * n * n_genes
    passes = TYPICAL_PASSES * n * (3 * along + 2 * n_genes)
    if n * along > BLOCK_VALUES:
        products += n_tried * n * n * along
        passes += n_tried * (TYPICAL_PASSES * n * along + 4 * n * n)
    else:
        products += 3 * n * n * along + n_tried * n**3
        passes += n_tried * 10 * n * n
    own = FitWork(
        products=products,
        # Features that are few are decomposed themselves, which takes about three times as long.
        decompositions=(1 if is_large else 3) * n**3,
        passes=passes,
        are_alike=True,
    )
    return regression_work(config, size, own, n_tried)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="linear_loo",
            summary="Typical change plus ridge on gene embeddings, all chosen by leave-one-out.",
            source="this project: the closed-form start of DyGenePT by itself",
            learns_from=("cells", "effects"),
            config=LinearLooConfig,
            factory=LinearLoo,
            knowledge=knowledge_of,
            fit_bytes=linear_loo_bytes,
            fit_work=linear_loo_work,
        )
    ]
