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
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Fold:
    """A mean over what was held out in one fold.

    Attributes:
        spread: The mean in resamples.
        size: Over how many values it is taken, not 0.
        mean: The mean itself.
        number: Which fold it is, the same one for every model.
    """

    spread: TwoWay
    size: int
    mean: float
    number: int


def joined(folds: Sequence[Fold]) -> TwoWay:
    """Return the mean over several folds, which share their genes and no perturbation.

    A fold of two perturbations or more tells by itself how much others would differ. One of a
    single perturbation does not: its distance from the mean of all folds does, as strata of one
    unit are treated in surveys (``_alone``). The noise of pairs is not known there per gene, and
    none is taken off.
    """
    total = sum(fold.size for fold in folds)
    mean = sum(fold.size / total * fold.mean for fold in folds)
    parts = [(fold.size / total, _alone(fold, fold.size / total, mean)) for fold in folds]

    def weighted(name: str) -> DoubleArray:
        return np.asarray(sum(share * getattr(of, name) for share, of in parts), dtype=np.float64)

    return TwoWay(
        genes=weighted("genes"),
        perturbations=weighted("perturbations"),
        pairs=weighted("pairs"),
        n_genes=max(of.n_genes for _, of in parts),
        n_perturbations=sum(of.n_perturbations for _, of in parts),
    )


def _alone(fold: Fold, share: float, mean: float) -> TwoWay:
    """Return a fold's resamples, those of a single perturbation by its distance from the mean.

    The distance counts with one sign or the other in each resample, with the same signs for every
    model. The mean of all folds follows each of them by its share, so that squares of distances
    are too small by that share.

    Args:
        fold: The fold.
        share: Its share of all values; 1 where it is the only one, and nothing is known.
        mean: The mean of all folds.
    """
    spread = fold.spread
    if spread.n_perturbations != 1 or share >= 1.0:
        return spread
    signs = np.random.default_rng(fold.number).choice((-1.0, 1.0), size=len(spread.genes))
    distance = (fold.mean - mean) / (1.0 - share) ** 0.5
    pairs = spread.pairs if np.isfinite(spread.pairs).any() else np.zeros_like(spread.genes)
    return replace(spread, perturbations=fold.mean + distance * signs, pairs=pairs)


def widened(draws: DoubleArray, n: int) -> DoubleArray:
    """Return resamples of n draws whose variance is that of a sample, not n - 1 parts in n of it.

    NaN where ``n`` is one: alone it does not tell by how much others differ.
    """
    if n < 2:
        return np.full_like(draws, np.nan)
    centre = np.nanmean(draws) if np.isfinite(draws).any() else 0.0
    return np.asarray(centre + (draws - centre) * (n / (n - 1)) ** 0.5, dtype=np.float64)


def _variance(draws: DoubleArray) -> float:
    defined = draws[~np.isnan(draws)]
    return float(defined.var(ddof=1)) if len(defined) >= MIN_DRAWS else float("nan")
