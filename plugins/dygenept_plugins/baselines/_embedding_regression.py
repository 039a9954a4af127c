"""What ridge, knn and gp share: features from gene embeddings, choices made on validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView, train_view
from dygenept.knowledge.gene_embedding import (
    IDENTITY,
    GeneEmbedding,
    further_embedding,
    gene_embedding,
)
from dygenept.plugin import PluginConfig, PluginError
from dygenept.types import Condition, DoubleArray, Task

Choice = Mapping[str, float | int]


class EmbeddingConfig(PluginConfig):
    """Where the features come from.

    Attributes:
        embedding: ``identity``, a facet set, a knowledge file, or a file of gene vectors.
        pooling: ``mean`` of a gene's facets, weighted by confidence, or ``concat``.
    """

    embedding: str = IDENTITY
    pooling: Literal["mean", "concat"] = "mean"


class Solver(Protocol):
    """Fitted to features and deltas; predicts under any choice of hyper-parameters."""

    def __init__(self, features: DoubleArray, deltas: DoubleArray) -> None: ...

    def predict(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Predict deltas, (n, D) to (n, G)."""
        ...


def knowledge_of(config: EmbeddingConfig) -> str | None:
    """Name the knowledge that the harness must open for a configuration."""
    return None if config.embedding == IDENTITY else config.embedding


ConfigT = TypeVar("ConfigT", bound=EmbeddingConfig)


class EmbeddingRegression(ClosedFormModel, Generic[ConfigT]):
    """Δ̂ from the sum of the target genes' embeddings.

    Hyper-parameters are those with the smallest mean squared error of Δ over the validation
    perturbations of the cell type when fitted on its train perturbations; the model is then
    fitted on both. Without validation perturbations the defaults are used, and noted.

    Attributes:
        solver: Is fitted to features (n, D) and deltas (n, G).
        config: The options.
    """

    solver: ClassVar[type[Solver]]

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config
        self._found: GeneEmbedding | None = None
        self._embedding: GeneEmbedding | None = None
        self._fitted: dict[str, tuple[Solver, Choice]] = {}
        self.notes: list[str] = []
        self.chosen: dict[str, float | int] = {}

    @abstractmethod
    def choices(self) -> Sequence[Choice]:
        """Return what is tried, the plainest first: it wins a tie."""

    @abstractmethod
    def default(self) -> Choice:
        """Return what is used where nothing can be compared."""

    def fit(self, task: Task) -> None:
        """Open the embedding, choose hyper-parameters on validation, fit on train and validation.

        Raises:
            DygeneptError: If the embedding cannot be opened.
        """
        super().fit(task)
        config = self.config
        genes = sorted({*task.target_genes, *(gene for item in task.known for gene in item.genes)})
        found = gene_embedding(config.embedding, genes, task.runtime, pooling=config.pooling)
        self._found, self._embedding = found, _standardised(found, by=found)
        self._fitted, self.chosen, self.notes = {}, {}, []
        self._note_unknown(found)
        for cell_type in task.cell_types:
            view = train_view(task, cell_type)
            features, deltas = self._embedding.of(view.conditions), view.means - view.control
            choice = self._choose(view, features, deltas, set(task.val), cell_type)
            self._fitted[cell_type] = self.solver(features, deltas), choice
            suffix = f" ({cell_type})" if len(task.cell_types) > 1 else ""
            self.chosen.update({f"{name}{suffix}": value for name, value in choice.items()})

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        if self._found is None or self._embedding is None:
            raise PluginError(f"{type(self).__name__} predicts before it was fitted; call fit")
        embedding = self._with_new_genes(self._found, self._embedding, conditions)
        solver, choice = self._fitted[conditions[0].cell_type]
        return view.control + solver.predict(embedding.of(conditions), choice)

    def _with_new_genes(
        self, found: GeneEmbedding, embedding: GeneEmbedding, conditions: Sequence[Condition]
    ) -> GeneEmbedding:
        """Add genes that the data set lacks; what it was fitted to stays as it is."""
        if new := embedding.new_in(conditions):
            name, pooling = self.config.embedding, self.config.pooling
            more = further_embedding(name, new, self.task.runtime, like=found, pooling=pooling)
            self._note_unknown(more)
            self._embedding = embedding = embedding.joined(_standardised(more, by=found))
        return embedding

    def _note_unknown(self, found: GeneEmbedding) -> None:
        if unknown := found.unknown():
            self.notes.append(
                f"{len(unknown)} target gene(s) have no vector in {self.config.embedding} and "
                "count as an average gene: "
                f"{', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}"
            )

    def _choose(
        self,
        view: TrainView,
        features: DoubleArray,
        deltas: DoubleArray,
        val: set[Condition],
        cell_type: str,
    ) -> Choice:
        choices = self.choices()
        if len(choices) == 1:
            return choices[0]
        is_val = np.array([condition in val for condition in view.conditions])
        if not is_val.any() or is_val.all():
            self.notes.append(
                f"no validation perturbation in {cell_type} to choose by, so defaults are used: "
                + ", ".join(f"{name} {value}" for name, value in self.default().items())
            )
            return self.default()
        train, held = deltas[~is_val], deltas[is_val]
        if train.shape[1] > train.shape[0]:
            # Every prediction lies in the span of the train deltas; what of the truth lies outside
            # it adds the same to every error. So n coordinates tell as much as G genes do.
            basis, _ = np.linalg.qr(train.T)  # (G, n)
            train, held = train @ basis, held @ basis
        solver = self.solver(features[~is_val], train)
        errors = [
            float(np.mean((solver.predict(features[is_val], choice) - held) ** 2))
            for choice in choices
        ]
        return choices[int(np.argmin(errors))]


def _standardised(embedding: GeneEmbedding, *, by: GeneEmbedding) -> GeneEmbedding:
    """Centre vectors at the mean of the known ones of ``by``; these get a mean square norm of 1.

    An unknown gene keeps its zeros, which is then the average gene.
    """
    if not by.is_known.any():
        return replace(embedding, values=np.zeros_like(embedding.values))
    mean = by.values[by.is_known].mean(axis=0)
    centred = np.where(by.is_known[:, None], by.values - mean, 0.0)
    norm = np.sqrt((centred**2).sum() / by.is_known.sum())
    values = np.where(embedding.is_known[:, None], embedding.values - mean, 0.0)
    return replace(embedding, values=values / norm if norm > 0 else values)
