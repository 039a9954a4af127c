"""What the model of a table chooses by left-out perturbations: sources, sharpness, penalty, mixing.

One choice after another, each staying with what there is unless the mean error over genes falls by
more than a standard error of the paired differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from dygenept.model.effects.left_out import (
    Measured,
    gene_errors,
    left_out_changes,
    left_out_operator,
)
from dygenept.types import DoubleArray, FloatArray

INFINITE = float("inf")
POWERS = (1, 2, 3)
PENALTIES: Mapping[str, tuple[float, ...]] = {
    "labels": (30.0, 10.0, 3.0),
    "signs": (30.0, 10.0, 3.0),
    "values": (30.0, 10.0, 3.0, 1.0, 0.3, 0.1),
}
MIXINGS = (0.03, 0.1, 0.3, 1.0)
ACROSS = (0.0, 0.5)
# With more conditions an eigendecomposition takes minutes.
MOST_TO_SOLVE = 3500
# Choices between sources are made on so many genes.
MOST_GENES = 1200


@dataclass(frozen=True, slots=True)
class Recipe:
    """How likeness becomes a prediction.

    Attributes:
        weights: Of each source.
        power: The weighed mean of cosines (negative ones as 0) is raised to it.
        penalty: Of kernel ridge regression; infinite for a plain weighed sum.
        mixing: How much of the change of like output genes is added.
        across: What likeness counts between cell types.
    """

    weights: Mapping[str, float]
    power: int = 2
    penalty: float = INFINITE
    mixing: float = 0.0
    across: float = 1.0

    def chosen(self) -> dict[str, float | int | str]:
        """Return what was chosen, for records."""
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        penalty: float | str = "infinite" if np.isinf(self.penalty) else self.penalty
        return {
            "sources": weights,
            "power": self.power,
            "penalty": penalty,
            "mixing over output genes": self.mixing,
            "likeness across cell types": self.across,
        }


@dataclass(slots=True)
class Chooser:
    """Chooses a recipe.

    Attributes:
        kernels: Cosines of the train conditions by source, (n, n).
        same_type: True where two train conditions share a cell type, (n, n); None for one type.
        measured: What was measured of them.
        gene_kernel: Gives, for a recipe, the likeness of output genes without their own, (G, G).
        errors: Mean left-out error of the recipe, for people; empty where no gene has one.
    """

    kernels: Mapping[str, FloatArray]
    same_type: npt.NDArray[np.bool_] | None
    measured: Measured
    gene_kernel: Callable[[Recipe], FloatArray]
    errors: dict[str, float] = field(default_factory=dict)

    def choose(self) -> Recipe:
        """Return the recipe."""
        recipe = Recipe(dict.fromkeys(self.kernels, 1.0))
        some = self.measured.take_genes(self._some_genes())
        if self.same_type is not None:
            recipe = self._best(recipe, (replace(recipe, across=value) for value in ACROSS), some)
        if len(self.kernels) > 1:
            for name in self.kernels:
                tried = (_weighed(recipe, name, weight) for weight in (0.0, 3.0))
                recipe = self._best(recipe, [item for item in tried if item is not None], some)
        recipe = self._best(recipe, (replace(recipe, power=power) for power in POWERS), some)
        if len(self.measured.values) <= MOST_TO_SOLVE:
            tried_penalties = PENALTIES[self.measured.kind]
            options = [replace(recipe, penalty=value) for value in tried_penalties]
            recipe = self._best(recipe, options, some)
        return self._mixed(recipe)

    def operator(self, recipe: Recipe) -> FloatArray:
        """Return the exact left-out map of a recipe, (n, n)."""
        kernel = self.kernel(recipe)
        solved = None if np.isinf(recipe.penalty) else solved_of(kernel)
        return left_out_operator(kernel, self.measured.groups, solved, recipe.penalty)

    def kernel(self, recipe: Recipe) -> FloatArray:
        """Return the likeness of the train conditions, (n, n)."""
        kernel = combined(self.kernels, recipe)
        if self.same_type is not None:
            kernel = np.where(self.same_type, kernel, np.float32(recipe.across) * kernel)
        return kernel

    def _best(self, now: Recipe, others: Iterable[Recipe], some: Measured) -> Recipe:
        recipes = [now, *(recipe for recipe in others if recipe != now)]
        found = [
            gene_errors(left_out_changes(self.operator(recipe), some), some) for recipe in recipes
        ]
        return recipes[self._winner(found)]

    def _mixed(self, recipe: Recipe) -> Recipe:
        changes = left_out_changes(self.operator(recipe), self.measured)
        more = changes @ self.gene_kernel(recipe)
        found = [gene_errors(changes, self.measured)]
        found += [
            gene_errors(changes + np.float32(value) * more, self.measured) for value in MIXINGS
        ]
        place = self._winner(found)
        mixing = (0.0, *MIXINGS)[place]
        if np.isfinite(found[place]).any():
            self.errors["left-out error"] = float(np.nanmean(found[place]))
        return replace(recipe, mixing=mixing)

    def _winner(self, errors: Sequence[DoubleArray]) -> int:
        """Stay with the first unless another is better beyond a standard error."""
        table = np.stack(errors)
        table = table[:, ~np.isnan(table).any(axis=0)]  # (n_recipes, n_genes)
        if table.shape[1] < 2:
            return 0
        best = int(table.mean(axis=1).argmin())
        gains = table[0] - table[best]
        error = float(gains.std(ddof=1)) / len(gains) ** 0.5
        return best if gains.mean() > error else 0

    def _some_genes(self) -> npt.NDArray[np.intp]:
        n_each = (self.measured.weights > 0).sum(axis=0)
        genes = np.flatnonzero(n_each >= 2)
        if len(genes) > MOST_GENES:
            genes = np.sort(np.random.default_rng(0).choice(genes, MOST_GENES, replace=False))
        return genes


def combined(kernels: Mapping[str, FloatArray], recipe: Recipe) -> FloatArray:
    """Return the weighed mean of cosines, negative ones as 0, to the recipe's power."""
    total = sum(recipe.weights.values())
    first = next(iter(kernels.values()))
    mean = np.zeros(first.shape, dtype=np.float32)
    for name, kernel in kernels.items():
        if recipe.weights[name]:
            mean += np.float32(recipe.weights[name] / total) * kernel
    np.maximum(mean, np.float32(0.0), out=mean)
    return mean**recipe.power if recipe.power > 1 else mean


def solved_of(kernel: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues, negative ones as 0, and eigenvectors."""
    values, vectors = np.linalg.eigh(kernel)
    return np.maximum(values, 0.0), vectors


def _weighed(recipe: Recipe, name: str, weight: float) -> Recipe | None:
    weights = {**recipe.weights, name: weight}
    return replace(recipe, weights=weights) if any(weights.values()) else None
