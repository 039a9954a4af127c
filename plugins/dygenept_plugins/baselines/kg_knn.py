"""Averages the deltas of the train perturbations that are nearest in a graph of genes.

Near are perturbed genes that share links: the cosine of their links, each weighed by how few genes
have it. The number of neighbours is that of the smallest exact leave-one-out error over train and
validation perturbations. A gene without links is predicted as the mean.
Source: arXiv:2606.08816, where it beats almost every published method. Loads the shipped tables of
STRING (CC BY 4.0), BioGRID (MIT), Reactome (CC0) or GO (CC BY 4.0), or the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field
from scipy import sparse

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.knowledge.graph.links import links_of
from dygenept.machine.table_products import add_row, blocks, gram, product
from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, FitWork, Task
from dygenept.types.effects import GraphName
from dygenept.types.gene_sets import gene_membership
from dygenept_plugins.baselines._embedding_regression import block_values, gram_products
from dygenept_plugins.baselines.knn import PASSES, neighbor_weights

# Simple operations on each pair of perturbations that counting their common links takes.
LINK_PASSES = 50
NEIGHBORS: tuple[int, ...] = (100, 50, 30, 20, 12, 8, 5, 3, 2, 1)


class KgKnnConfig(PluginConfig):
    """Options of ``kg_knn``.

    Attributes:
        graph: ``string``, ``biogrid``, ``reactome`` or ``go``.
        n_neighbors: Neighbours to average; None chooses one of 10 from 1 to 100.
    """

    graph: GraphName = "string"
    n_neighbors: int | None = Field(default=None, gt=0)


class KgKnn(ClosedFormModel):
    """Δ̂ = mean of the deltas of the k perturbations with the most alike links."""

    def __init__(self, config: KgKnnConfig) -> None:
        super().__init__()
        self._config = config
        self.chosen: dict[str, float | int] = {}
        self._n_neighbors: dict[str, int] = {}

    def fit(self, task: Task) -> None:
        """Keep the task; neighbours are counted when a cell type is first predicted."""
        super().fit(task)
        self.chosen, self._n_neighbors = {}, {}

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        cell_type = conditions[0].cell_type
        deltas = view.deltas
        if cell_type not in self._n_neighbors:
            self._n_neighbors[cell_type] = self._chosen(
                self._likeness(view.conditions, view), deltas
            )
            suffix = f" ({cell_type})" if len(self.task.cell_types) > 1 else ""
            self.chosen[f"n_neighbors{suffix}"] = self._n_neighbors[cell_type]
        weights = self._likeness(conditions, view)
        # What is linked like nothing has no neighbour.
        is_alone = ~(weights > 0).any(axis=1)
        for rows in blocks(*weights.shape):
            weights[rows] = neighbor_weights(weights[rows], self._n_neighbors[cell_type])
        predicted = add_row(product(weights, deltas), view.control)
        predicted[is_alone] = view.mean
        return predicted

    def _likeness(self, conditions: Sequence[Condition], view: TrainView) -> DoubleArray:
        likeness: DoubleArray = (self._links(conditions) @ self._links(view.conditions).T).toarray()
        return likeness

    def _links(self, conditions: Sequence[Condition]) -> sparse.csr_matrix:
        genes = sorted({gene for condition in conditions for gene in condition.genes})
        rows = {gene: row for row, gene in enumerate(genes)}
        links = links_of(self._config.graph, genes, self.task.runtime.data_dir)
        summed = gene_membership(conditions, rows) @ links
        norms = np.sqrt(np.asarray(summed.multiply(summed).sum(axis=1)).ravel())
        return (sparse.diags(1.0 / np.where(norms > 0, norms, 1.0)) @ summed).tocsr()

    def _chosen(self, likeness: DoubleArray, deltas: DoubleArray) -> int:
        """Return the number of neighbours with the smallest leave-one-out error.

        Args:
            likeness: Of all pairs, (n, n); its diagonal is overwritten.
            deltas: (n, G).
        """
        n_known = len(deltas)
        if self._config.n_neighbors is not None or n_known < 3:
            return self._config.n_neighbors or 1
        np.fill_diagonal(likeness, -1.0)
        pairs = gram(deltas)
        errors = []
        options = [number for number in NEIGHBORS if number < n_known]
        for number in options:
            error = 0.0
            for rows in blocks(n_known, n_known):
                weights = neighbor_weights(likeness[rows], number)
                weights[:, rows] -= np.eye(len(weights))
                error += float(np.einsum("ij,ij->", weights @ pairs, weights))
            errors.append(error)
        return options[int(np.argmin(errors))]


def kg_knn_bytes(config: KgKnnConfig, size: FitSize) -> int:
    """Bytes of a fit: likenesses and products of all pairs, and blocks; deltas where in memory."""
    n, m = size.n_known, size.n_held_out
    pairs = max(3 * n * n, 2 * m * n) + 4 * block_values(size)
    if not size.in_files:
        pairs += size.n_genes * (3 * n + 2 * m)
    return 8 * pairs


def kg_knn_work(config: KgKnnConfig, size: FitSize) -> FitWork:
    """Steps of a fit: likenesses of all pairs, and products of all pairs for each number tried."""
    n, m, n_genes = size.n_known, size.n_held_out, size.n_genes
    tried = len(NEIGHBORS) if config.n_neighbors is None else 0
    products = float(m * n * n_genes)
    if tried:
        products += gram_products(n, n_genes) + float(tried * n**3)
    return FitWork(
        products=products,
        passes=PASSES * n * (tried * n + m) + LINK_PASSES * n * (n + m) + 10 * (n + m) * n_genes,
    )


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="kg_knn",
            summary="Mean of the train perturbations nearest in a knowledge graph.",
            source="arXiv:2606.08816",
            config=KgKnnConfig,
            factory=KgKnn,
            learns_from=("cells", "effects"),
            closed_form=False,
            fit_bytes=kg_knn_bytes,
            fit_work=kg_knn_work,
        )
    ]
