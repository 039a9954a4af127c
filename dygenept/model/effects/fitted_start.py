"""The closed-form start of a table's model, fitted: what like perturbations do to like genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dygenept.knowledge.likeness import FACETS_NAME, IDENTITY_NAME, Likeness
from dygenept.model.effects.recipe import Recipe, combined
from dygenept.types import BoolArray, Condition, DoubleArray, FloatArray

Kernels = Mapping[str, FloatArray]


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


@dataclass(frozen=True, slots=True)
class FittedStart:
    """All that the start predicts from.

    Attributes:
        known: Train and validation conditions, (n,).
        cell_types: Cell types of the table.
        gene_symbols: Output genes, (G,).
        gene_means: Each gene's mean in each cell type, (n_types, G).
        likeness: How alike perturbed and output genes are.
        recipe: What was chosen.
        weights: Weight of each known condition in each gene, (n, G), float32.
        scale: Factor of the changes.
    """

    known: tuple[Condition, ...]
    cell_types: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    gene_means: DoubleArray
    likeness: Likeness
    recipe: Recipe
    weights: FloatArray
    scale: float

    def of(self, conditions: Sequence[Condition]) -> Start:
        """Return the prediction of conditions in its parts."""
        kernel = self._across(
            combined(self.kernels(conditions), self.recipe), conditions, self.recipe.across
        )
        changes = mixed(kernel @ self.weights, self.recipe, self.likeness, self.gene_symbols)
        means: DoubleArray = self.gene_means[self._codes(conditions)]
        return Start(means, self.scale * changes.astype(np.float64))

    def kernels(self, conditions: Sequence[Condition]) -> Kernels:
        """Return the cosines of conditions with the known ones by source, (n, n_known) each."""
        return condition_kernels(self.likeness, conditions, self.known)

    def parts_of_likeness(self, conditions: Sequence[Condition]) -> Kernels:
        """Return what each source adds to the likeness with the known conditions, (n, n_known).

        Their sum is the likeness that weighs the known conditions. One of the same perturbation
        counts as well, as it does in a prediction.
        """
        parts = parts_of_likeness(self.kernels(conditions), self.recipe)
        return {
            name: self._across(part, conditions, self.recipe.across) for name, part in parts.items()
        }

    def _across(
        self, kernel: FloatArray, conditions: Sequence[Condition], across: float
    ) -> FloatArray:
        known = self._codes(self.known)
        if len(set(known.tolist())) < 2:
            return kernel
        same = self._codes(conditions)[:, None] == known
        return np.where(same, kernel, np.float32(across) * kernel)

    def _codes(self, conditions: Sequence[Condition]) -> npt.NDArray[np.int64]:
        codes = [self.cell_types.index(item.cell_type) for item in conditions]
        return np.array(codes, dtype=np.int64)


def mixed(
    changes: FloatArray, recipe: Recipe, likeness: Likeness, outputs: Sequence[str]
) -> FloatArray:
    """Add a share of the changes of like output genes, (n, G)."""
    if not recipe.mixing:
        return changes
    return changes + np.float32(recipe.mixing) * (
        changes @ output_kernel(likeness, outputs, recipe)
    )


def output_kernel(likeness: Likeness, outputs: Sequence[str], recipe: Recipe) -> FloatArray:
    """Return how alike output genes are, zeros on the diagonal, (G, G)."""
    rows = likeness.rows(outputs)
    kernels = {
        name: likeness.of(name, rows, rows) for name in likeness.of_outputs if recipe.weights[name]
    }
    if not kernels:
        return np.zeros((len(rows), len(rows)), dtype=np.float32)
    kernel = combined(kernels, recipe)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def condition_kernels(
    likeness: Likeness, first: Sequence[Condition], second: Sequence[Condition]
) -> Kernels:
    """Return the cosines of conditions by source: the mean over their target genes."""
    have = set(likeness.genes)
    genes = sorted({gene for item in (*first, *second) for gene in item.genes} & have)
    rows = likeness.rows(genes)
    place = {gene: row for row, gene in enumerate(genes)}
    left, right = _shares(first, place), _shares(second, place)
    return {
        name: (left @ (right @ likeness.of(name, rows, rows)).T).astype(np.float32)
        for name in likeness.sources
    }


def parts_of_likeness(kernels: Kernels, recipe: Recipe) -> Kernels:
    """Split a combined kernel into what each source adds to it; unweighted sources are left out.

    The kernel is a power of a weighed mean; its last factor is that mean, a sum over sources.
    """
    total = sum(recipe.weights.values())
    once = combined(kernels, replace(recipe, power=1))
    rest = once ** (recipe.power - 1) * (once > 0)
    return {
        name: np.asarray(rest * kernel * np.float32(recipe.weights[name] / total))
        for name, kernel in kernels.items()
        if recipe.weights[name]
    }


def source_shares(kernels: Kernels, recipe: Recipe, counts: BoolArray) -> dict[str, float]:
    """Return the share of each weighted source in likeness, in [0, 1]; the shares sum to 1.

    Cosines can be negative, and such a source makes two conditions less alike. What it adds or
    takes away counts by its size: with its sign, one source could have a share below 0, and
    another one above 1.

    Args:
        kernels: Cosines of conditions by source, (n, m).
        recipe: How they become likeness.
        counts: Pairs of conditions that count, (n, m).

    Returns:
        Shares of the summed sizes; where no two conditions are alike, of the sources' weights.
    """
    parts = parts_of_likeness(kernels, recipe)
    sizes = {
        name: float(np.abs(part[counts]).sum(dtype=np.float64)) for name, part in parts.items()
    }
    if sum(sizes.values()) <= 0.0:
        sizes = {name: recipe.weights[name] for name in parts}
    return shares_of(sizes)


def shares_of(sizes: Mapping[str, float]) -> dict[str, float]:
    """Divide sizes by their sum; empty where that is 0."""
    total = sum(sizes.values())
    return {name: value / total for name, value in sizes.items()} if total > 0 else {}


def shares_by_kind(shares: Mapping[str, float]) -> dict[str, float]:
    """Sum the shares of sources that are genes' own codes, facets, and graphs."""
    kinds = {IDENTITY_NAME: "identity_share", FACETS_NAME: "knowledge_share"}
    found = {"identity_share": 0.0, "knowledge_share": 0.0, "graph_share": 0.0}
    for name, share in shares.items():
        found[kinds.get(name, "graph_share")] += share
    return found


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
