"""What perturbations have in common: a typical change, pooled over cell types or by cell type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dygenept.machine.table_products import blocks, of_rows
from dygenept.model.start.beyond_chance import ROUNDING, best_on_path
from dygenept.types import DoubleArray

IndexArray = npt.NDArray[np.int64]

# How many conditions of a cell type the pooled change counts as there: infinity pools all types.
POOLED = float("inf")
PRIORS = (POOLED, 30.0, 10.0, 3.0, 1.0, 0.0)
# Powers of its norm that a change may be divided by before the mean: from 1, which counts strong
# and weak ones alike and so the noise of those that do nothing, to 0, the plain mean.
EXPONENTS = (1.0, 0.5, 0.0)
# Of the median norm: below it one over a norm would let a change of next to nothing decide alone.
LEAST_NORM = 0.1


@dataclass(frozen=True, slots=True)
class Rows:
    """Which perturbation and cell type each row of a fit is.

    A perturbation is left out of all its cell types at once, as a test perturbation is.

    Attributes:
        perturbations: Numbered from 0 without a gap, (n,).
        cell_types: Numbered from 0, (n,).
        n_types: Number of cell types, those without a row included.
    """

    perturbations: IndexArray
    cell_types: IndexArray
    n_types: int = 1

    @classmethod
    def single(cls, n: int) -> Rows:
        """Return n perturbations of one cell type."""
        return cls(np.arange(n), np.zeros(n, dtype=np.int64))

    @property
    def has_several_types(self) -> bool:
        """True if the rows are of more than one cell type."""
        return len(np.unique(self.cell_types)) > 1

    @property
    def n_perturbations(self) -> int:
        """Number of perturbations."""
        return int(self.perturbations.max()) + 1 if len(self.perturbations) else 0

    def groups(self) -> list[IndexArray]:
        """Return the rows of each perturbation, (n_groups, size), one array per size."""
        order = np.argsort(self.perturbations, kind="stable")
        sizes = np.bincount(self.perturbations)
        firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return [order[firsts[sizes == n][:, None] + np.arange(n)] for n in np.unique(sizes)]

    def of_type(self, cell_type: int) -> DoubleArray:
        """Return 1 where a row is of a cell type, (n,)."""
        here: DoubleArray = (self.cell_types == cell_type).astype(np.float64)
        return here

    def summed(self, values: DoubleArray) -> DoubleArray:
        """Sum the rows of each perturbation, (n, …) to (n_perturbations, …)."""
        if np.ndim(values) == 1:
            return np.bincount(self.perturbations, weights=values).astype(np.float64, copy=False)
        n = len(self.perturbations)
        if np.array_equal(self.perturbations, np.arange(n)):
            # Adding 0 makes a zero positive, as a sum of several is.
            alone: DoubleArray = np.add(values, 0.0, dtype=np.float64)
            return alone
        member = sparse.csr_matrix(
            (np.ones(n), (self.perturbations, np.arange(n))), shape=(self.n_perturbations, n)
        )
        summed: DoubleArray = np.asarray(member @ values, dtype=np.float64)
        return summed

    def mean(self, values: DoubleArray) -> DoubleArray:
        """Average a value over the rows of each perturbation, (n,) to (n_perturbations,)."""
        mean: DoubleArray = self.summed(values) / np.bincount(self.perturbations)
        return mean


class TypicalChange:
    """Means of changes, weighed by their norms or evenly (see ``Weighing``).

    In cell type t it is (n_t · own + prior · pooled) / (n_t + prior), with n_t conditions there.
    """

    def __init__(
        self, targets: DoubleArray, counts: DoubleArray, divisors: DoubleArray, rows: Rows
    ) -> None:
        """Sum up the changes.

        Args:
            targets: Changes, (n, G), or coordinates of them, (n, c).
            counts: How often a condition has the typical change, (n,).
            divisors: What each change is divided by, (n,), above 0; infinity leaves it out.
            rows: What the conditions are.
        """
        given = counts / divisors
        self._of_each: list[_Sums] = []
        for cell_type in range(rows.n_types):
            here = rows.of_type(cell_type)
            self._of_each.append(
                _Sums(
                    rows.summed((here * given)[:, None] * targets),
                    rows.summed(here * given * counts),
                    rows.summed(here),
                )
            )

    def whole(self, prior: float) -> DoubleArray:
        """Return the typical change of each cell type, (n_types, G)."""
        totals = [each.total() for each in self._of_each]
        pooled = _pooled(totals)
        return np.stack([_shrunk(total, pooled, prior) for total in totals])

    def without(self, cell_type: int, prior: float) -> DoubleArray:
        """Return a cell type's typical change without each perturbation, (n_perturbations, G)."""
        left = [each.total().less(each) for each in self._of_each]
        return _shrunk(left[cell_type], _pooled(left), prior)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Weighted changes, (…, G), their weights and their number, (…,)."""

    changes: DoubleArray
    mass: DoubleArray
    size: DoubleArray

    def total(self) -> _Sums:
        return _Sums(self.changes.sum(axis=0), self.mass.sum(axis=0), self.size.sum(axis=0))

    def less(self, other: _Sums) -> _Sums:
        return _Sums(self.changes - other.changes, self.mass - other.mass, self.size - other.size)

    def mean(self) -> DoubleArray:
        mean: DoubleArray = self.changes / np.maximum(self.mass, 1e-12)[..., None]
        return mean


def _pooled(sums: Sequence[_Sums]) -> DoubleArray:
    return _Sums(
        np.sum([each.changes for each in sums], axis=0),
        np.sum([each.mass for each in sums], axis=0),
        np.sum([each.size for each in sums], axis=0),
    ).mean()


def _shrunk(own: _Sums, pooled: DoubleArray, prior: float) -> DoubleArray:
    if prior == POOLED:
        return pooled
    # A type with no condition left is the pooled one whatever the prior.
    share = np.where(own.size > 0.5, own.size / np.maximum(own.size + prior, 1e-12), 0.0)
    shrunk: DoubleArray = share[..., None] * own.mean() + (1 - share[..., None]) * pooled
    return shrunk


def faded(sizes: DoubleArray, least: float) -> DoubleArray:
    """Return what changes are divided by: their sizes, but more below a share of the median.

    Args:
        sizes: Norms, or squares of them, at least 0, (n,).
        least: That share. Where it is l, a size s below l counts as l² / s, infinity for zero.

    Returns:
        (n,), above 0; ones where all sizes are zero. Zeros, and what is zero but for rounding, do
        not count towards the median.
    """
    largest = float(sizes.max(initial=0.0))
    if largest == 0:
        return np.ones_like(sizes)
    bound = least * float(np.median(sizes[sizes > ROUNDING * largest]))
    with np.errstate(divide="ignore", over="ignore"):
        divisors: DoubleArray = np.where(sizes < bound, bound**2 / sizes, sizes)
    return divisors


@dataclass(frozen=True, slots=True)
class Weighing:
    """How changes are weighed in their typical change, in all cell types alike.

    Attributes:
        exponent: The power of its norm that each change is divided by: 1 for the mean weighed by
            inverse norms, 0 for the plain mean.
        divisors: That power of each norm, (n,), of norms as ``faded`` has them.
    """

    exponent: float
    divisors: DoubleArray

    @classmethod
    def chosen(cls, changes: DoubleArray, rows: Rows, exponents: Sequence[float]) -> Weighing:
        """Choose between exponents by how well the others' mean predicts left-out perturbations.

        The first one stays unless another has a smaller squared error beyond chance. Where many
        perturbations are weak, that of the plain mean can be: inverse norms weigh up their noise.
        Weights rise down to a tenth of the median norm and fade below it, to none for a change of
        zero, which has no direction; the plain mean counts all changes.

        Args:
            changes: (n, G), or coordinates of them, (n, c).
            rows: What the conditions are; a perturbation is left out of all its cell types.
            exponents: Those that compete, from the reference away.
        """
        norms = faded(of_rows(changes, lambda part: np.linalg.norm(part, axis=1)), LEAST_NORM)
        tried = [cls(exponent, norms**exponent) for exponent in exponents]
        if rows.n_perturbations < 2:
            return tried[0]
        errors = [each.left_out_errors(changes, rows) for each in tried]
        return tried[best_on_path(np.stack(errors, axis=1))]

    def left_out_errors(self, changes: DoubleArray, rows: Rows) -> DoubleArray:
        """Return each perturbation's squared distance to what the others have in common, pooled.

        Args:
            changes: (n, G), or coordinates of them, (n, c).
            rows: What the conditions are.

        Returns:
            The mean over a perturbation's conditions, (n_perturbations,).
        """
        squares, ones = np.zeros(len(changes)), np.ones(len(changes))
        for columns in blocks(changes.shape[1], len(changes)):
            left = changes[:, columns].copy()
            typical = TypicalChange(left, ones, self.divisors, rows)
            for code in np.unique(rows.cell_types).tolist():
                here = rows.cell_types == code
                left[here] -= typical.without(code, POOLED)[rows.perturbations[here]]
            squares += np.einsum("ij,ij->i", left, left)
        return rows.mean(squares)
