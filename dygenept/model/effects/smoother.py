"""DyGenePT on a table of effects: what like perturbations do to like genes, in closed form.

A perturbation's effect on a gene is predicted as the gene's mean and the weighed changes that like
train perturbations bring about in it and in genes like it. Likeness comes from facets, each by
itself, and from graphs; which count, how sharply, and how much the output gene's own knowledge
adds is chosen by the exact predictions of left-out train perturbations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from dygenept.errors import DataError
from dygenept.knowledge.likeness import Likeness
from dygenept.model.effects.fitted_start import (
    FittedStart,
    Start,
    condition_kernels,
    mixed,
    output_kernel,
    shares_by_kind,
    source_shares,
)
from dygenept.model.effects.left_out import Measured, left_out_changes, scale_of
from dygenept.model.effects.recipe import Chooser, Recipe, solved_of
from dygenept.types import Condition, FloatArray, IntArray, Predictions, Task

LikenessReader = Callable[[Sequence[str], Task], Likeness]
PRIOR = 2.0


class EffectSmoother:
    """Fitted to the task of a table."""

    def __init__(self, likeness: LikenessReader) -> None:
        """Keep what tells how alike genes are.

        Args:
            likeness: Gives the likeness of genes for a task.
        """
        self._likeness_of = likeness
        self._fitted: FittedStart | None = None
        self._left_out: Start | None = None
        self.chosen: dict[str, float | int | str] = {}
        self.notes: tuple[str, ...] = ()

    def fit(self, task: Task) -> None:
        """Choose the recipe by left-out train perturbations (validation ones among them).

        Raises:
            DataError: If the task is not that of a table.
        """
        if task.effects is None:
            raise DataError("this model learns from tables of effects, and the task has cells")
        targets = {gene for condition in task.known for gene in condition.genes}
        genes = sorted({*task.gene_symbols, *targets, *task.target_genes})
        likeness = self._likeness_of(genes, task)
        self._measured = _measured(task)
        kernels = condition_kernels(likeness, task.known, task.known)
        types = np.array([task.cell_types.index(item.cell_type) for item in task.known])
        several = len(set(types.tolist())) > 1
        chooser = Chooser(
            kernels=kernels,
            same_type=types[:, None] == types if several else None,
            measured=self._measured,
            gene_kernel=partial(output_kernel, likeness, task.gene_symbols),
        )
        recipe = chooser.choose()
        changes = left_out_changes(chooser.operator(recipe), self._measured)
        # In the units in which conditions are predicted, which is not that of left-out ones.
        weights = self._solved(chooser.kernel(recipe), recipe)
        changes = mixed(changes, recipe, likeness, task.gene_symbols)
        scale = scale_of(changes, self._measured)
        self._fitted = FittedStart(
            known=task.known,
            cell_types=task.cell_types,
            gene_symbols=task.gene_symbols,
            gene_means=task.effects.gene_means,
            likeness=likeness,
            recipe=recipe,
            weights=weights,
            scale=scale,
        )
        # The same mean throughout: without a condition's own value it would tell that value.
        self._left_out = Start(task.effects.gene_means[types], scale * changes.astype(np.float64))
        groups = self._measured.groups
        shares = source_shares(kernels, recipe, groups[:, None] != groups[None, :])
        self.chosen = {
            **recipe.chosen(),
            **chooser.errors,
            **shares_by_kind(shares),
            **{f"share of {name}": share for name, share in shares.items()},
        }
        unknown = sorted(targets - likeness.known_genes())
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
        return Predictions(tuple(conditions), self.fitted.of(conditions).prediction)

    @property
    def fitted(self) -> FittedStart:
        """What it predicts from.

        Raises:
            DataError: If it is not fitted.
        """
        if self._fitted is None:
            raise DataError("the model is not trained yet; call fit first")
        return self._fitted

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
