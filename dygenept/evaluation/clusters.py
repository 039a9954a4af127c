"""Which values belong together: one perturbation in several cell types is not several of them.

Values of one perturbation resemble each other, and so do values of one cell type. A mean over all
of them is as uncertain as the number of perturbations and of cell types makes it, not as their
product does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.types import DoubleArray, IntArray


@dataclass(frozen=True, slots=True)
class CellTypeSpread:
    """What cell types tell of a mean over them, as standard errors of it, (K,) each.

    Attributes:
        beyond_chance: The spread of the cell types' sums, less what perturbations give it by
            chance; 0 where that is more.
        whole: The same spread with that: each cell type is one observation.
    """

    beyond_chance: DoubleArray
    whole: DoubleArray


@dataclass(frozen=True, slots=True)
class Clusters:
    """The perturbation and the cell type of each of n values.

    Attributes:
        perturbations: Codes from 0, each in use, (n,).
        cell_types: Codes from 0, each in use, (n,).
    """

    perturbations: IntArray
    cell_types: IntArray

    @classmethod
    def of(cls, perturbations: Sequence[str], cell_types: Sequence[str]) -> Clusters:
        """Sort values by the names of their perturbation and cell type."""
        return cls(_codes(perturbations), _codes(cell_types))

    @classmethod
    def independent(cls, n_values: int) -> Clusters:
        """Take every value for a perturbation of its own, all in one cell type."""
        return cls(np.arange(n_values, dtype=np.int32), np.zeros(n_values, dtype=np.int32))

    @property
    def n_perturbations(self) -> int:
        """Different perturbations."""
        return int(self.perturbations.max(initial=-1)) + 1

    @property
    def n_cell_types(self) -> int:
        """Different cell types."""
        return int(self.cell_types.max(initial=-1)) + 1

    def by_perturbation(self, values: DoubleArray) -> DoubleArray:
        """Return one value per perturbation with the same mean.

        Where all perturbations have as many values, it is the mean of each one's. Elsewhere the
        mean of all values is a ratio of sums, and this is what each perturbation adds to it.

        Args:
            values: (n, K).

        Returns:
            (n_perturbations, K).
        """
        n_values, n_perturbations = len(values), self.n_perturbations
        if n_perturbations == n_values:
            return values
        mean = values.mean(axis=0)
        sums = _sums(values - mean, self.perturbations)  # (P, K)
        found: DoubleArray = mean + sums * (n_perturbations / n_values)
        return found

    def cell_type_errors(self, values: DoubleArray) -> DoubleArray:
        """Return how far the choice of cell types alone moves the mean, as a standard error.

        The spread of the cell types' sums, less what perturbations would give it by chance.

        Args:
            values: (n, K).

        Returns:
            (K,); 0 where cell types differ no more than chance has it, and for one cell type.
        """
        return self.cell_type_spread(values).beyond_chance

    def cell_type_spread(self, values: DoubleArray) -> CellTypeSpread:
        """Return how far apart cell types are, with and without what chance gives.

        Args:
            values: (n, K).
        """
        n_types = self.n_cell_types
        if n_types < 2:
            nothing = np.zeros(values.shape[1])
            return CellTypeSpread(nothing, nothing)
        # What a perturbation does in all of its cell types is not a difference between these.
        n_each = np.bincount(self.perturbations)
        own = _sums(values, self.perturbations) / n_each[:, None]
        shared = np.where(n_each[:, None] > 1, own, values.mean(axis=0))
        rest = values - shared[self.perturbations]  # (n, K)
        counts = np.bincount(self.cell_types)[:, None]  # (C, 1)
        sums = _sums(rest, self.cell_types)  # (C, K)
        within = _sums((rest - (sums / counts)[self.cell_types]) ** 2, self.cell_types)
        chance = within * counts / np.maximum(counts - 1, 1)  # variance of each sum, (C, K)
        excess = np.maximum((sums**2 - chance).sum(axis=0), 0.0) * n_types / (n_types - 1)
        whole = (sums**2).sum(axis=0) * n_types / (n_types - 1)
        return CellTypeSpread(np.sqrt(excess) / len(values), np.sqrt(whole) / len(values))


def _codes(names: Sequence[str]) -> IntArray:
    _, codes = np.unique(np.asarray(names, dtype=str), return_inverse=True)
    return codes.astype(np.int32)


def _sums(values: DoubleArray, codes: IntArray) -> DoubleArray:
    """Add the rows of each code, (n_codes, K)."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    found: DoubleArray = np.add.reduceat(values[order], starts, axis=0)
    return found
