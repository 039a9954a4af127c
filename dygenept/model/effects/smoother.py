"""DyGenePT on a table of effects: what like perturbations do to like genes, in closed form.

A perturbation's effect on a gene is predicted as the gene's mean and the weighed changes that like
train perturbations bring about in it and in genes like it. Likeness comes from facets, each by
itself, and from graphs; which count, how sharply, and how much the output gene's own knowledge
adds is chosen by the exact predictions of left-out train perturbations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from dygenept.errors import DataError
from dygenept.knowledge.likeness import Likeness
from dygenept.model.effects.left_out import Measured, left_out_changes, scale_of
from dygenept.model.effects.recipe import Chooser, Recipe, combined, solved_of
from dygenept.types import Condition, DoubleArray, FloatArray, IntArray, Predictions, Task

LikenessReader = Callable[[Sequence[str], Task], Likeness]
PRIOR = 2.0


@dataclass(frozen=True, slots=True)
class Start:
    """What is predicted of conditions in closed form: the sum of two parts.

    Attributes:
        means: Each gene's mean, (n, G).
        changes: What like perturbations add to it, (n, G).
    """

    means: DoubleArray
    changes: DoubleArray

    @property
    def prediction(self) -> DoubleArray:
        """The sum, (n, G)."""
        return self.means + self.changes


class EffectSmoother:
    """Fitted to the task of a table."""

    def __init__(self, likeness: LikenessReader) -> None:
        """Keep what tells how alike genes are.

        Args:
            likeness: Gives the likeness of genes for a task.
        """
        self._likeness_of = likeness
        self._task: Task | None = None
        self._scale = 0.0
        self._left_out: Start | None = None
        self.recipe: Recipe | None = None
        self.chosen: dict[str, float | int | str] = {}
        self.notes: tuple[str, ...] = ()

    def fit(self, task: Task) -> None:
        """Choose the recipe by left-out train perturbations (validation ones among them).

        Raises:
            DataError: If the task is not that of a table.
        """
        if task.effects is None:
            raise DataError("this model learns from tables of effects, and the task has cells")
        self._task = task
        targets = {gene for condition in task.known for gene in condition.genes}
        genes = sorted({*task.gene_symbols, *targets, *task.target_genes})
        self._likeness = self._likeness_of(genes, task)
        self._row_of = {gene: row for row, gene in enumerate(self._likeness.genes)}
        self._knows = [self._likeness.knows(name) for name in self._likeness.sources]
        self._measured = _measured(task)
        kernels = self._kernels(task.known, task.known)
        types = np.array([task.cell_types.index(item.cell_type) for item in task.known])
        several = len(set(types.tolist())) > 1
        chooser = Chooser(
            kernels=kernels,
            same_type=types[:, None] == types if several else None,
            measured=self._measured,
            gene_kernel=self._gene_kernel,
        )
        self.recipe = recipe = chooser.choose()
        changes = left_out_changes(chooser.operator(recipe), self._measured)
        # In the units in which conditions are predicted, which is not that of left-out ones.
        self._weights = self._solved(chooser.kernel(recipe), recipe)
        mixed = self._mix(changes, recipe)
        self._scale = scale_of(mixed, self._measured)
        # The same mean throughout: without a condition's own value it would tell that value.
        self._left_out = Start(
            task.effects.gene_means[types], self._scale * mixed.astype(np.float64)
        )
        self.chosen = {**recipe.chosen(), **chooser.errors}
        unknown = [gene for gene in sorted(targets) if not self._is_known(gene)]
        self.notes = ()
        if unknown:
            shown = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
            self.notes = (
                f"nothing is known of {len(unknown)} of {len(targets)} perturbed genes, which are "
                f"predicted as the genes' means: {shown}.",
            )

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict every gene of each condition.

        Raises:
            DataError: If it is not fitted.
        """
        return Predictions(tuple(conditions), self.start_of(conditions).prediction)

    def start_of(self, conditions: Sequence[Condition]) -> Start:
        """Return the prediction of conditions in its parts.

        Raises:
            DataError: If it is not fitted.
        """
        task, recipe = self._task, self.recipe
        if task is None or task.effects is None or recipe is None:
            raise DataError("the model is not trained yet; call fit first")
        kernel = combined(self._kernels(conditions, task.known), recipe)
        types = [task.cell_types.index(item.cell_type) for item in conditions]
        known_types = [task.cell_types.index(item.cell_type) for item in task.known]
        if len(set(known_types)) > 1:
            same = np.array(types)[:, None] == np.array(known_types)
            kernel = np.where(same, kernel, np.float32(recipe.across) * kernel)
        changes = self._mix(kernel @ self._weights, recipe)
        means: DoubleArray = task.effects.gene_means[types]
        return Start(means, self._scale * changes.astype(np.float64))

    @property
    def left_out(self) -> Start:
        """What is predicted of each known condition by the changes of other perturbations alone.

        Raises:
            DataError: If it is not fitted.
        """
        if self._left_out is None:
            raise DataError("the model is not trained yet; call fit first")
        return self._left_out

    @property
    def likeness(self) -> Likeness:
        """What is known of genes."""
        return self._likeness

    @property
    def measured(self) -> Measured:
        """What was measured of the known conditions."""
        return self._measured

    def _solved(self, kernel: FloatArray, recipe: Recipe) -> FloatArray:
        """Return the weights of train conditions in each gene, (n, G)."""
        residuals = self._measured.residuals
        if np.isinf(recipe.penalty):
            return residuals
        values, vectors = solved_of(kernel)
        shrunk = vectors / (values + np.float32(recipe.penalty) * values.mean())
        weights: FloatArray = shrunk @ (vectors.T @ residuals)
        return weights

    def _mix(self, changes: FloatArray, recipe: Recipe) -> FloatArray:
        if not recipe.mixing:
            return changes
        mixed: FloatArray = changes + np.float32(recipe.mixing) * (
            changes @ self._gene_kernel(recipe)
        )
        return mixed

    def _gene_kernel(self, recipe: Recipe) -> FloatArray:
        assert self._task is not None
        rows = np.array([self._row_of[gene] for gene in self._task.gene_symbols])
        kernels = {
            name: self._likeness.of(name, rows, rows)
            for name in self._likeness.of_outputs
            if recipe.weights[name]
        }
        if not kernels:
            return np.zeros((len(rows), len(rows)), dtype=np.float32)
        kernel = combined(kernels, recipe)
        np.fill_diagonal(kernel, 0.0)
        return kernel

    def _kernels(
        self, first: Sequence[Condition], second: Sequence[Condition]
    ) -> Mapping[str, FloatArray]:
        """Return the cosines of conditions by source: the mean over their target genes."""
        genes = sorted(
            {gene for item in (*first, *second) for gene in item.genes} & set(self._row_of)
        )
        rows = np.array([self._row_of[gene] for gene in genes], dtype=np.int64)
        place = {gene: row for row, gene in enumerate(genes)}
        left, right = _shares(first, place), _shares(second, place)
        return {
            name: (left @ (right @ self._likeness.of(name, rows, rows)).T).astype(np.float32)
            for name in self._likeness.sources
        }

    def _is_known(self, gene: str) -> bool:
        row = self._row_of[gene]
        return any(bool(known[row]) for known in self._knows)


def _shares(conditions: Sequence[Condition], place: Mapping[str, int]) -> sparse.csr_matrix:
    """Return the share of each target gene in each condition, (n, n_genes)."""
    rows, columns, values = [], [], []
    for row, condition in enumerate(conditions):
        known = [gene for gene in condition.genes if gene in place]
        rows += [row] * len(known)
        columns += [place[gene] for gene in known]
        values += [1.0 / len(condition.genes)] * len(known)
    shape = (len(conditions), len(place))
    return sparse.csr_matrix((np.array(values, dtype=np.float32), (rows, columns)), shape=shape)


def _measured(task: Task) -> Measured:
    effects = task.effects
    assert effects is not None
    observed = effects.is_observed
    weights = observed.astype(np.float32)
    if effects.weights is not None:
        weights = np.where(observed, effects.weights, 0.0).astype(np.float32)
    # The task's means are moved by weights; undone here, where a weight is not 0.
    types = np.array([task.cell_types.index(item.cell_type) for item in task.known])
    means = effects.gene_means[types]
    share = np.where(weights > 0, weights, 1.0)
    values = np.where(weights > 0, means + (task.means - means) / share, 0.0).astype(np.float32)
    pooled = Measured(effects.kind, values, values, weights, _groups(task), PRIOR, _overall(task))
    offsets = means.astype(np.float32) - pooled.means
    if len(set(types.tolist())) == 1:
        return pooled
    return replace(pooled, values=np.where(weights > 0, values - offsets, np.float32(0.0)))


def _groups(task: Task) -> IntArray:
    _, groups = np.unique([item.label for item in task.known], return_inverse=True)
    return groups.astype(np.int32)


def _overall(task: Task) -> FloatArray:
    """Return the mean of all that was measured, once per gene, (G,)."""
    assert task.effects is not None
    mean = float(task.means[task.effects.is_observed].mean())
    return np.full(task.means.shape[1], mean, dtype=np.float32)
