"""How uncertain a mean over pairs of genes and perturbations is: two-way clustered intervals.

A mean over genes is uncertain twice: there are other genes, and other held-out perturbations. Each
is resampled by itself. Noise of single pairs is in both spreads; it is also measured by itself,
with resamples that no two genes share, and counted once. The variance is that of genes, plus that
of perturbations, less that of pairs (Cameron, Gelbach and Miller 2011), and never less than the
larger of the first two. Resampling both at once would count the noise of pairs three times
(Owen 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.types import DoubleArray

# Resamples with fewer defined ones have no spread to go by.
MIN_DRAWS = 20


@dataclass(frozen=True, slots=True)
class TwoWay:
    """A mean in three kinds of resamples, or the difference of two means in the same ones.

    Attributes:
        genes: With other genes, (B,).
        perturbations: With other held-out perturbations, (B,).
        pairs: With other pairs, (B,).
        n_genes: Genes that the mean is of; fewer than two have no spread.
        n_perturbations: Held-out perturbations that it is of.
    """

    genes: DoubleArray
    perturbations: DoubleArray
    pairs: DoubleArray
    n_genes: int
    n_perturbations: int

    def minus(self, other: TwoWay) -> TwoWay:
        """Return the difference from another model's mean, resample by resample."""
        return TwoWay(
            self.genes - other.genes,
            self.perturbations - other.perturbations,
            self.pairs - other.pairs,
            min(self.n_genes, other.n_genes),
            min(self.n_perturbations, other.n_perturbations),
        )

    def standard_error(self) -> float:
        """Return the mean's standard error; NaN where nothing tells it."""
        if min(self.n_genes, self.n_perturbations) < 2:
            return float("nan")
        genes, perturbations, pairs = map(_variance, (self.genes, self.perturbations, self.pairs))
        return float(max(genes + perturbations - pairs, genes, perturbations) ** 0.5)

    def interval(self, mean: float) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean, from Student's t; None where nothing tells it."""
        from scipy.special import stdtrit

        error = self.standard_error()
        if error != error:
            return None
        half = float(stdtrit(self._freedom, 0.975)) * error
        return mean - half, mean + half

    def two_sided_p(self, difference: float) -> float:
        """Return the p value of a difference; 1 where nothing tells its spread."""
        from scipy.special import stdtr

        error = self.standard_error()
        if error != error:
            return 1.0
        if error == 0.0:
            return 1.0 if difference == 0.0 else 0.0
        return float(2.0 * stdtr(self._freedom, -abs(difference) / error))

    @property
    def _freedom(self) -> int:
        return min(self.n_genes, self.n_perturbations) - 1


_NOTHING = np.full(1, np.nan)
UNKNOWN = TwoWay(_NOTHING, _NOTHING, _NOTHING, 0, 0)


def joined(folds: Sequence[tuple[TwoWay, int]]) -> TwoWay:
    """Return the mean over several folds, which share their genes and no perturbation.

    Args:
        folds: Each fold's mean, and over how many values it is taken; none of them 0.
    """
    total = sum(size for _, size in folds)

    def mean(name: str) -> DoubleArray:
        parts = [size / total * getattr(of, name) for of, size in folds]
        return np.asarray(sum(parts), dtype=np.float64)

    return TwoWay(
        genes=mean("genes"),
        perturbations=mean("perturbations"),
        pairs=mean("pairs"),
        n_genes=max(of.n_genes for of, _ in folds),
        n_perturbations=sum(of.n_perturbations for of, _ in folds),
    )


def widened(draws: DoubleArray, n: int) -> DoubleArray:
    """Return resamples of n draws whose variance is that of a sample, not n - 1 parts in n of it.

    NaN where ``n`` is one: other perturbations may differ by anything.
    """
    if n < 2:
        return np.full_like(draws, np.nan)
    centre = np.nanmean(draws) if np.isfinite(draws).any() else 0.0
    return np.asarray(centre + (draws - centre) * (n / (n - 1)) ** 0.5, dtype=np.float64)


def _variance(draws: DoubleArray) -> float:
    defined = draws[~np.isnan(draws)]
    return float(defined.var(ddof=1)) if len(defined) >= MIN_DRAWS else float("nan")
