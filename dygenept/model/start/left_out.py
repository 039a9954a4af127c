"""Exact leave-one-out errors of a typical change and ridge regression, without a refit.

With kept = I - K (K + λ)⁻¹, the residuals of the conditions of a perturbation that is left out
are (kept_gg)⁻¹ · kept_g · (targets - what the others have in common): a division where it has one
condition, a small solve where it was measured in several cell types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from dygenept.machine.table_products import (
    blocks,
    coordinates,
    eigen,
    gram,
    is_large,
    of_rows,
    product,
)
from dygenept.machine.tables import filled
from dygenept.model.start.typical import (
    EXPONENTS,
    POOLED,
    IndexArray,
    Rows,
    TypicalChange,
    Weighing,
)
from dygenept.types import DoubleArray

# From so many perturbations on, sums of squares are found without what is squared.
MANY_PERTURBATIONS = 200


@dataclass(frozen=True, slots=True)
class Targets:
    """Changes to fit.

    Attributes:
        values: (n, G).
        coordinates: The same in an orthonormal basis of their span, (n, min(n, G)): squared
            errors of what lies in the span are the same there.
        weighing: How each is weighed in the typical change.
        rows: What the rows are.
    """

    values: DoubleArray
    coordinates: DoubleArray
    weighing: Weighing
    rows: Rows

    @classmethod
    def of(cls, values: DoubleArray, rows: Rows, exponents: Sequence[float] = EXPONENTS) -> Targets:
        """Find the coordinates once, for every fit to the same targets.

        Args:
            values: (n, G).
            rows: What the rows are.
            exponents: Of weighings that compete (see ``Weighing``).
        """
        along = coordinates(values)
        return cls(values, along, Weighing.chosen(along, rows, exponents), rows)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The kernel of features over conditions, K = U diag(v) Uᵀ.

    K is f·fᵀ within a cell type, and 1 - ``type_share`` of that between types.

    Attributes:
        features: f, (n, F).
        rows: What the conditions are.
        type_share: In [0, 1].
        vectors: U, (n, r).
        values: v, (r,).
        scale: Mean squared norm of the features.
    """

    features: DoubleArray
    rows: Rows
    type_share: float
    vectors: DoubleArray
    values: DoubleArray
    scale: float

    @classmethod
    def of(cls, features: DoubleArray, rows: Rows) -> Spectrum:
        """Decompose the features alike for all cell types."""
        scale = max(float(_squares(features).mean()), 1e-12)
        if is_large(features):
            values, vectors = eigen(gram(features))
            return cls(features, rows, 0.0, vectors, np.maximum(values, 0.0), scale)
        vectors, roots, _ = np.linalg.svd(features, full_matrices=False)
        return cls(features, rows, 0.0, vectors, roots**2, scale)

    def by_type(self, share: float) -> Spectrum:
        """Decompose them with a share that each cell type reads by itself."""
        features, rows = self.features, self.rows
        kernel = gram(features)
        for part in blocks(*kernel.shape):
            kernel[part] *= _between(rows.cell_types[part], rows.cell_types, share)
        values, vectors = eigen(kernel)
        return Spectrum(features, rows, share, vectors, np.maximum(values, 0.0), self.scale)

    def kernel(self, features: DoubleArray, cell_types: IndexArray) -> DoubleArray:
        """Return the kernel between other conditions and these, (m, F) to (m, n)."""
        kernel: DoubleArray = features @ self.features.T
        if self.type_share:
            kernel = kernel * _between(cell_types, self.rows.cell_types, self.type_share)
        return kernel

    def leverage(
        self, features: DoubleArray, cell_types: IndexArray, penalty: float
    ) -> DoubleArray:
        """Return xᵀ (fᵀf + λ)⁻¹ x of other conditions, (m, F) to (m,), 0 where x is."""
        ridge = penalty * self.scale
        explained = np.square(self.kernel(features, cell_types) @ self.vectors) / (
            self.values + ridge
        )
        own = _squares(features)
        leverage: DoubleArray = np.maximum(own - explained.sum(axis=1), 0.0) / ridge
        return leverage


def _squares(features: DoubleArray) -> DoubleArray:
    """Squared norm of each row, (n, F) to (n,)."""
    return of_rows(features, lambda part: np.square(part).sum(axis=1))


def _between(first: IndexArray, second: IndexArray, share: float) -> DoubleArray:
    between: DoubleArray = 1 - share + share * (first[:, None] == second)
    return between


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Residuals of left-out perturbations under any penalty.

    Attributes:
        spectrum: The features' kernel.
        targets: What is fitted.
        counts: How often each condition has the typical change, (n,).
    """

    spectrum: Spectrum
    targets: Targets
    counts: DoubleArray
    _typical: list[TypicalChange] = field(init=False, repr=False)
    _projected: DoubleArray = field(init=False, repr=False)
    _left: dict[tuple[int, float], DoubleArray] = field(init=False, repr=False)
    _alone: _Products | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sum up what the penalties share."""
        along = self.targets.coordinates
        # Of large targets it is computed anew, some columns at a time.
        object.__setattr__(self, "_typical", [] if is_large(along) else [self._typical_of(along)])
        object.__setattr__(self, "_left", {})
        object.__setattr__(self, "_projected", product(self.spectrum.vectors.T, along))
        rows = self.targets.rows
        has_many = len(along) >= MANY_PERTURBATIONS and not is_large(along)
        is_alone = rows.n_types == 1 and rows.n_perturbations == len(along)
        alone = None
        if has_many and is_alone:
            typical = self._without(0, POOLED)
            alone = _Products.of(along, typical[rows.perturbations], self._projected)
        object.__setattr__(self, "_alone", alone)

    def errors(self, penalty: float, prior: float) -> DoubleArray:
        """Return the mean squared error of each left-out perturbation, (n_perturbations,)."""
        targets = self.targets
        if self._alone is not None:
            # With one cell type no prior changes anything.
            squares = self._alone.squares(self._shrunk(penalty), self.spectrum, self.counts)
            return targets.rows.summed(squares / targets.values.shape[1])
        along, n_genes = targets.coordinates, targets.values.shape[1]
        squares = np.zeros(len(along))
        for columns in blocks(along.shape[1], len(along)):
            values = along[:, columns]
            typical = self._without if self._typical else self._typical_of(values).without
            residuals, _ = self._residuals(
                values, self._projected[:, columns], typical, (penalty, prior)
            )
            squares += np.einsum("ij,ij->i", residuals, residuals)
        squares /= n_genes
        return targets.rows.mean(squares)

    def _without(self, cell_type: int, prior: float) -> DoubleArray:
        """Return what penalties share: the typical change without each perturbation."""
        if any(known != prior for _, known in self._left):
            self._left.clear()
        key = (cell_type, prior)
        if key not in self._left:
            self._left[key] = self._typical[0].without(cell_type, prior)
        return self._left[key]

    def squares(self, penalty: float, prior: float) -> tuple[DoubleArray, DoubleArray]:
        """Return the mean of each gene's squared left-out residuals, (G,), whole and per leverage.

        The second is that of each residual over 1 + its leverage.
        """
        whole = np.empty(self.targets.values.shape[1])
        variance = np.empty_like(whole)
        for columns in blocks(len(variance), len(self.targets.values)):
            values = self.targets.values[:, columns]
            residuals, kept = self._residuals(
                values,
                self.spectrum.vectors.T @ values,
                self._typical_of(values).without,
                (penalty, prior),
            )
            squares = np.square(residuals)
            whole[columns] = np.mean(squares, axis=0)
            variance[columns] = np.mean(squares * kept[:, None], axis=0)
        return whole, variance

    def solved(self, penalty: float, prior: float) -> tuple[DoubleArray, DoubleArray]:
        """Return the typical change by cell type, (n_types, G), and kernel coefficients, (n, G)."""
        spectrum, targets = self.spectrum, self.targets
        values, types = targets.values, targets.rows.cell_types
        typical = np.empty((targets.rows.n_types, values.shape[1]))
        for columns in blocks(values.shape[1], len(values)):
            typical[:, columns] = self._typical_of(values[:, columns]).whole(prior)
        left = filled(
            values,
            values.shape,
            lambda part: values[part] - self.counts[part, None] * typical[types[part]],
        )
        gain = 1 / (spectrum.values + penalty * spectrum.scale)
        coefficients = product(spectrum.vectors * gain, product(spectrum.vectors.T, left))
        return typical, coefficients

    def _shrunk(self, penalty: float) -> DoubleArray:
        """Return K (K + λ)⁻¹ U, (n, r)."""
        values = self.spectrum.values
        shrunk: DoubleArray = self.spectrum.vectors * (
            values / (values + penalty * self.spectrum.scale)
        )
        return shrunk

    def _typical_of(self, values: DoubleArray) -> TypicalChange:
        return TypicalChange(values, self.counts, self.targets.weighing.divisors, self.targets.rows)

    def _residuals(
        self,
        values: DoubleArray,
        projected: DoubleArray,
        typical: Callable[[int, float], DoubleArray],
        setting: tuple[float, float],
    ) -> tuple[DoubleArray, DoubleArray]:
        """Return residuals, (n, c), and 1 / (1 + leverage) of each when left out, (n,).

        That is kept_ii of a perturbation with one condition; in general one over the diagonal of
        (kept_gg)⁻¹.
        """
        penalty, prior = setting
        vectors, rows = self.spectrum.vectors, self.targets.rows
        shrunk = self._shrunk(penalty)  # (n, r)
        residuals = values - shrunk @ projected
        for code in range(rows.n_types):
            counts = self.counts * rows.of_type(code)
            if not counts.any():
                continue
            kept_counts = counts - shrunk @ (vectors.T @ counts)  # (n,)
            # With one cell type no prior changes anything.
            residuals -= kept_counts[:, None] * typical(code, prior)[rows.perturbations]
        kept = np.maximum(1 - np.einsum("ir,ir->i", shrunk, vectors), 1e-9)
        for group in rows.groups():  # (n_groups, size)
            if group.shape[1] == 1:
                alone = group[:, 0]
                residuals[alone] /= kept[alone, None]
                continue
            block = np.eye(group.shape[1]) - shrunk[group] @ vectors[group].transpose(0, 2, 1)
            residuals[group] = np.linalg.solve(block, residuals[group])
            kept[group] = 1 / np.diagonal(np.linalg.inv(block), axis1=1, axis2=2)
        return residuals, kept


@dataclass(frozen=True, slots=True)
class _Products:
    """Inner products by which squared residuals of many perturbations follow without residuals.

    A residual is T_i - s_i U·T - c_i t_i before its division, where s_i depends on the penalty.

    Attributes:
        sizes: Squared norms of T_i and of t_i, and their products, (3, n).
        of_targets: (U·T) T_i, (r, n).
        of_typical: (U·T) t_i, (r, n).
        projected: (U·T)(U·T)ᵀ, (r, r).
    """

    sizes: DoubleArray
    of_targets: DoubleArray
    of_typical: DoubleArray
    projected: DoubleArray

    @classmethod
    def of(cls, targets: DoubleArray, typical: DoubleArray, projected: DoubleArray) -> _Products:
        """Multiply.

        Args:
            targets: T, (n, c).
            typical: t, what the others have in common, (n, c).
            projected: U·T, (r, c).
        """
        pairs = ((targets, targets), (typical, typical), (targets, typical))
        sizes = np.stack([np.einsum("ij,ij->i", one, other) for one, other in pairs])
        return cls(sizes, projected @ targets.T, projected @ typical.T, projected @ projected.T)

    def squares(self, shrunk: DoubleArray, spectrum: Spectrum, counts: DoubleArray) -> DoubleArray:
        """Return the squared norms of left-out residuals, (n,).

        Args:
            shrunk: s, (n, r).
            spectrum: Of the features.
            counts: How often each has the typical change, (n,).
        """
        own, common, across = self.sizes
        kept_counts = counts - shrunk @ (spectrum.vectors.T @ counts)  # c, (n,)
        # Of the part that the features explain: with itself, with T_i and with t_i.
        explained = np.einsum("ir,ir->i", shrunk @ self.projected, shrunk)
        with_targets = np.einsum("ir,ri->i", shrunk, self.of_targets)
        with_typical = np.einsum("ir,ri->i", shrunk, self.of_typical)
        squares = own + explained - 2 * with_targets
        squares += kept_counts * (kept_counts * common - 2 * across + 2 * with_typical)
        kept = np.maximum(1 - np.einsum("ir,ir->i", shrunk, spectrum.vectors), 1e-9)
        found: DoubleArray = np.maximum(squares, 0.0) / np.square(kept)
        return found
