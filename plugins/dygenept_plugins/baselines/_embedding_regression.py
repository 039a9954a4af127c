"""What regressions on gene embeddings share: features, and choices by leave-one-out error."""

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
from dygenept.machine.table_products import BLOCK_VALUES, add_row, blocks, coordinates
from dygenept.machine.tables import empty_like, filled, mean_row, rows_of
from dygenept.plugin import PluginConfig, PluginError
from dygenept.types import Condition, DoubleArray, FitSize, FitWork, Task, in_cell_type

Choice = Mapping[str, float | int]
# All rows or columns of a table.
ALL = slice(None)
# Of two, what is left to fit to when one is left out is a single one.
MIN_TO_CHOOSE = 3
# Assumed of an embedding that is not opened yet: eight facets of a text encoder of 512, joined.
MOST_FEATURES = 4096
# The same of one facet, or of the mean of several.
MEAN_FEATURES = 512
# Blocks of what is multiplied that are in memory together.
BLOCKS = 4


class EmbeddingConfig(PluginConfig):
    """Where the features come from.

    Attributes:
        embedding: ``identity``, a facet set, a knowledge file, or a file of gene vectors.
        pooling: ``mean`` of a gene's facets, weighted by confidence, or ``concat``.
    """

    embedding: str = IDENTITY
    pooling: Literal["mean", "concat"] = "mean"


class Solver(Protocol):
    """Fitted to features, then to deltas; predicts under any choice of hyper-parameters."""

    def __init__(self, features: DoubleArray) -> None: ...

    def fit(self, deltas: DoubleArray) -> None:
        """Fit to deltas, (n, G), instead of those it was fitted to before."""

    def predict(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Predict deltas, (n, D) to (n, G)."""

    def left_out(self, choice: Choice, *, rows: slice = ALL, columns: slice = ALL) -> DoubleArray:
        """Return what is left of each delta by the fit to all others, exactly, (n, G).

        Of some rows or some columns alone where that is asked for.
        """


class SpreadSolver(Solver, Protocol):
    """A solver that knows the variance of its errors, up to a factor for each gene."""

    def relative_variance(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Return the variance of the error of predictions, (n, D) to (n,)."""

    def left_out_variance(self, choice: Choice) -> DoubleArray:
        """Return that of each condition it was fitted to when that is left out, (n,)."""


def knowledge_of(config: EmbeddingConfig) -> str | None:
    """Name the knowledge that the harness must open for a configuration."""
    return None if config.embedding == IDENTITY else config.embedding


def fit_bytes(config: EmbeddingConfig, size: FitSize) -> int:
    """Bytes of a fit beside the task.

    Three arrays of all pairs of perturbations (the kernel becomes its vectors, and what finds them
    takes two more), or one beside three of predictions by perturbations; and blocks. Where tables
    are in memory, also the features twice, of perturbations and of genes; and the larger of what a
    choice and of what the fit takes: means, deltas and two more of pairs, or means, deltas, centred
    deltas and what these are along the vectors, beside what the choice left.
    """
    n, m, n_genes = size.n_known, size.n_held_out, size.n_genes
    along = n * n + 3 * n * m
    if size.in_files:
        return 8 * (max(3 * n * n, along) + BLOCKS * block_values(size))
    features = n_features(config, size) * (2 * n + 2 * size.n_targets + m)
    steps = (
        5 * n * n + 2 * n * n_genes,
        3 * n * n + 4 * n * n_genes,
        along + (3 * n + 2 * m) * n_genes,
    )
    return 8 * (features + max(steps) + BLOCKS * block_values(size))


def block_values(size: FitSize) -> int:
    """Values of a block of what a fit multiplies."""
    return min(BLOCK_VALUES, size.n_known * max(size.n_known, size.n_held_out, size.n_genes))


def n_features(config: EmbeddingConfig, size: FitSize) -> int:
    """Features of a perturbation: one for each target gene, or those of the largest facet set."""
    return size.n_targets if config.embedding == IDENTITY else MOST_FEATURES


def regression_work(config: EmbeddingConfig, size: FitSize, own: FitWork, tried: int) -> FitWork:
    """Steps of a fit and of predicting: those that all regressions share, and a model's own.

    Args:
        config: The options.
        size: Sizes of the fold.
        own: Steps of the model's own; ``are_alike`` where it predicts the same, bit for bit, from
            codes of unseen genes.
        tried: Choices that are compared by leave-one-out errors.
    """
    n, m, n_genes = size.n_known, size.n_held_out, size.n_genes
    n_features = width(config, size)
    products = own.products + m * n * (n_features + n_genes)
    if tried > 1:
        products += coordinates_products(n, n_genes)
    of_features = n_features * (3 * size.n_targets + n + m)
    # Where each perturbation has a gene of its own, codes say nothing of an unseen one.
    is_blind = config.embedding == IDENTITY and size.n_targets >= n + m
    return replace(
        own,
        products=products,
        passes=own.passes + of_features + 10 * (n + m) * n_genes,
        are_alike=own.are_alike and is_blind,
    )


def width(config: EmbeddingConfig, size: FitSize) -> int:
    """Features of a perturbation, for the number of products with them."""
    if config.embedding == IDENTITY:
        return size.n_targets
    return MEAN_FEATURES if config.pooling == "mean" else MOST_FEATURES


def gram_products(n: int, n_across: int) -> float:
    """Multiplications of ``gram``: a large array is multiplied with itself, half of them."""
    return n * n * n_across / (2 if n * n_across > BLOCK_VALUES else 1)


def coordinates_products(n: int, n_across: int) -> float:
    """Multiplications of ``coordinates``, of (n, c): none where there are no more columns."""
    if n_across <= n:
        return 0.0
    is_large = n * n_across > BLOCK_VALUES
    return gram_products(n, n_across) + (n**3 / 6 if is_large else 0.0)


ConfigT = TypeVar("ConfigT", bound=EmbeddingConfig)


class EmbeddingModel(ClosedFormModel, Generic[ConfigT]):
    """Reads the sum of the target genes' embeddings.

    Attributes:
        config: The options.
        notes: Which genes have no vector, and what could not be chosen.
        chosen: What leave-one-out errors chose.
    """

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config
        self._found: GeneEmbedding | None = None
        self._embedding: GeneEmbedding | None = None
        self.notes: list[str] = []
        self.chosen: dict[str, float | int | str] = {}

    def fit(self, task: Task) -> None:
        """Open the embedding.

        Raises:
            DygeneptError: If the embedding cannot be opened.
        """
        super().fit(task)
        config = self.config
        genes = sorted({*task.target_genes, *(gene for item in task.known for gene in item.genes)})
        found = gene_embedding(
            config.embedding, genes, task.runtime, pooling=config.pooling, like=task.means
        )
        self._found, self._embedding = found, self.standardised(found, by=found)
        self.chosen, self.notes = {}, []
        self._note_unknown(found)

    def standardised(self, embedding: GeneEmbedding, *, by: GeneEmbedding) -> GeneEmbedding:
        """Centre vectors at the mean of the known ones of ``by``, and scale them alike."""
        return _standardised(embedding, by=by)

    def features(self, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the features of conditions, (n, D), opening vectors of genes never met.

        What the model was fitted to stays as it is.
        """
        found, embedding = self._found, self._embedding
        if found is None or embedding is None:
            raise PluginError(f"{type(self).__name__} cannot predict before it is fitted; call fit")
        if new := embedding.new_in(conditions):
            name, pooling = self.config.embedding, self.config.pooling
            more = further_embedding(name, new, self.task.runtime, like=found, pooling=pooling)
            self._note_unknown(more)
            self._embedding = embedding = embedding.joined(self.standardised(more, by=found))
        return embedding.of(conditions)

    def _note_unknown(self, found: GeneEmbedding) -> None:
        if unknown := found.unknown():
            self.notes.append(
                f"{len(unknown)} target gene(s) have no vector in {self.config.embedding} and "
                "count as an average gene: "
                f"{', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}"
            )


class EmbeddingRegression(EmbeddingModel[ConfigT]):
    """Δ̂ from the sum of the target genes' embeddings.

    Hyper-parameters are those with the smallest mean squared leave-one-out error of Δ over the
    train and validation perturbations of the cell type. With fewer than three the defaults are
    used, and noted.

    Attributes:
        solver: Is fitted to features (n, D) and deltas (n, G).
    """

    solver: ClassVar[type[Solver]]

    def __init__(self, config: ConfigT) -> None:
        super().__init__(config)
        self._fitted: dict[str, tuple[Solver, Choice]] = {}

    @abstractmethod
    def choices(self) -> Sequence[Choice]:
        """Return what is tried, the plainest first: it wins a tie."""

    def choices_among(self, n_perturbations: int) -> Sequence[Choice]:
        """Return what is tried with so many perturbations to learn from."""
        return self.choices()

    @abstractmethod
    def default(self) -> Choice:
        """Return what is used where nothing can be compared."""

    def fit(self, task: Task) -> None:
        """Open the embedding, choose hyper-parameters, fit on train and validation.

        Raises:
            DygeneptError: If the embedding cannot be opened.
        """
        super().fit(task)
        self._fitted = {}
        for cell_type in task.cell_types:
            view = train_view(task, cell_type)
            deltas = view.deltas
            choices = self.choices_among(len(deltas))
            compares = len(choices) > 1 and len(deltas) >= MIN_TO_CHOOSE
            # Every prediction lies in the span of the deltas, and so does what is left of one.
            # Before the solver: what finds this would be in memory beside what the solver keeps.
            along = coordinates(deltas) if compares else deltas
            solver = self.solver(self.features(view.conditions))
            choice = choices[0]
            if compares:
                choice = self._best(choices, solver, along)
            elif len(choices) > 1:
                choice = self._assumed(cell_type)
            del along
            solver.fit(deltas)
            self._fitted[cell_type] = solver, choice
            suffix = f" ({cell_type})" if len(task.cell_types) > 1 else ""
            self.chosen.update({f"{name}{suffix}": value for name, value in choice.items()})

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        features = self.features(conditions)
        solver, choice = self._fitted[conditions[0].cell_type]
        return add_row(solver.predict(features, choice), view.control)

    def decomposition_of(self, choice: Choice) -> float:
        """Return a number that choices share which need the same decomposition."""
        return 0.0

    def _assumed(self, cell_type: str) -> Choice:
        """Return the defaults, and note why."""
        self.notes.append(
            f"too few perturbations{in_cell_type(cell_type)} to choose by, so defaults are used: "
            + ", ".join(f"{name} {value}" for name, value in self.default().items())
        )
        return self.default()

    def _best(self, choices: Sequence[Choice], solver: Solver, along: DoubleArray) -> Choice:
        """Return the choice with the smallest leave-one-out error, of deltas or coordinates."""
        solver.fit(along)
        errors = np.empty(len(choices))
        # Those of one decomposition after each other, since only the last one is kept.
        order = sorted(range(len(choices)), key=lambda place: self.decomposition_of(choices[place]))
        for place in order:
            errors[place] = _mean_squared_error(solver, choices[place], along.shape)
        return choices[int(np.argmin(errors))]


class SpreadRegression(EmbeddingRegression[ConfigT]):
    """A regression that returns the spread of its predictions, in closed form.

    The variance of an error is that of the solver (it grows with the distance from what was fitted)
    times a factor for each gene: the mean of its squared leave-one-out residuals, each over its own
    variance.
    """

    solver: ClassVar[type[SpreadSolver]]

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the standard deviation of the error of each prediction, (n, G)."""
        n_genes = len(self.task.gene_ids)
        spread = empty_like(self.task.means, (len(conditions), n_genes), np.float64)
        for cell_type in sorted({condition.cell_type for condition in conditions}):
            rows = [row for row, item in enumerate(conditions) if item.cell_type == cell_type]
            solver, choice = self._fitted[cell_type]
            assert isinstance(solver, self.solver)
            own = solver.left_out_variance(choice)[:, None]
            variance = np.empty(n_genes)
            for columns in blocks(n_genes, len(own)):
                residuals = solver.left_out(choice, columns=columns)  # (n_train, …)
                variance[columns] = np.mean(np.square(residuals) / own, 0)
            features = self.features([conditions[row] for row in rows])
            relative = solver.relative_variance(features, choice)
            for part in blocks(len(rows), n_genes):
                spread[rows[part]] = np.sqrt(np.outer(relative[part], variance))
        return spread


def _mean_squared_error(solver: Solver, choice: Choice, shape: tuple[int, int]) -> float:
    """Return the mean squared leave-one-out error, some rows at a time."""
    squares = [
        np.square(solver.left_out(choice, rows=rows)).sum() for rows in blocks(shape[0], max(shape))
    ]
    return float(np.sum(squares) / (shape[0] * shape[1]))


def _standardised(embedding: GeneEmbedding, *, by: GeneEmbedding) -> GeneEmbedding:
    """Centre vectors at the mean of the known ones of ``by``; these get a mean square norm of 1.

    An unknown gene keeps its zeros, which is then the average gene.
    """
    if not by.is_known.any():
        return replace(embedding, values=np.zeros_like(embedding.values))
    mean = mean_row(by.values if by.is_known.all() else rows_of(by.values, by.is_known))
    squares = [(_centred(by, mean, rows) ** 2).sum() for rows in blocks(*by.values.shape)]
    norm = np.sqrt(np.sum(squares) / by.is_known.sum())
    scale = norm if norm > 0 else 1.0
    values = filled(
        embedding.values,
        embedding.values.shape,
        lambda part: _centred(embedding, mean, part) / scale,
    )
    return replace(embedding, values=values)


def _centred(embedding: GeneEmbedding, mean: DoubleArray, rows: slice) -> DoubleArray:
    return np.where(embedding.is_known[rows, None], embedding.values[rows] - mean, 0.0)
