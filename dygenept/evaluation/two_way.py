"""How uncertain a mean over pairs of genes and perturbations is: two-way clustered intervals.

A mean over genes is uncertain twice: there are other genes, and other held-out perturbations. Each
is resampled by itself. Noise of single pairs is in both spreads; it is also measured by itself,
with resamples that no two genes share, and counted once. The variance is that of genes, plus that
of perturbations, less that of pairs (Cameron, Gelbach and Miller 2011), and never less than the
larger of the first two. Resampling both at once would count the noise of pairs three times
(Owen 2007).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress

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
        drawn_with: True if they were drawn together with those of other folds, which hold out some
            of the same perturbations.
    """

    genes: DoubleArray
    perturbations: DoubleArray
    pairs: DoubleArray
    n_genes: int
    n_perturbations: int
    drawn_with: bool = False

    def minus(self, other: TwoWay) -> TwoWay:
        """Return the difference from another model's mean, resample by resample."""
        return TwoWay(
            self.genes - other.genes,
            self.perturbations - other.perturbations,
            self.pairs - other.pairs,
            min(self.n_genes, other.n_genes),
            min(self.n_perturbations, other.n_perturbations),
            self.drawn_with and other.drawn_with,
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
        held_out: Its held-out perturbations, in whichever cell type; empty where nobody says, and
            then they are taken for others than those of other folds.
    """

    spread: TwoWay
    size: int
    mean: float
    number: int
    held_out: frozenset[str] = frozenset()


def drawn_together(held_out: Sequence[Collection[str]], place: int) -> tuple[str, ...]:
    """Return the perturbations of which a fold's resamples are drawn with those of other folds.

    They are its own, and those of folds that hold out one of them too, as in another cell type, and
    so on. In each resample a perturbation then counts alike in all of these folds: it is one
    perturbation, not as many as there are folds.

    Args:
        held_out: The held-out perturbations of every fold.
        place: Which fold it is.

    Returns:
        Sorted; none where no other fold holds out some of the same ones and some others, so that
        resamples of a fold by itself are those of any fold that shares its perturbations.
    """
    found, left = set(held_out[place]), [set(of) for of in held_out]
    while touching := [of for of in left if not found.isdisjoint(of)]:
        left = [of for of in left if found.isdisjoint(of)]
        found = found.union(*touching)
    are_alike = all(found == set(of) for of in held_out if not found.isdisjoint(of))
    return () if are_alike else tuple(sorted(found))


def joined(folds: Sequence[Fold]) -> TwoWay:
    """Return the mean over several folds, which share their genes.

    Folds may hold out the same perturbations, each in another cell type; these count once. Their
    resamples have to be drawn together then: where they were not, nothing is known.

    A fold of two perturbations or more tells by itself how much others would differ. One of a
    single perturbation does not: its distance from the mean of all folds does, as strata of one
    unit are treated in surveys (``_alone``). The noise of pairs is not known there per gene, and
    none is taken off.
    """
    named = frozenset().union(*(fold.held_out for fold in folds))
    is_shared = len(named) < sum(len(fold.held_out) for fold in folds)
    if is_shared and not _drawn_together(folds):
        return UNKNOWN
    total = sum(fold.size for fold in folds)
    mean = sum(fold.size / total * fold.mean for fold in folds)
    shares = [fold.size / total for fold in folds]
    parts = []
    for share, fold in zip(shares, folds, strict=True):
        alike = [fold.held_out == of.held_out for of in folds] if is_shared else [False]
        own = sum(compress(shares, alike)) if any(alike) else share
        parts.append((share, _alone(fold, own, mean, is_shared=is_shared)))
    n_perturbations = sum(of.n_perturbations for _, of in parts)

    def weighted(name: str) -> DoubleArray:
        return np.asarray(sum(share * getattr(of, name) for share, of in parts), dtype=np.float64)

    return TwoWay(
        genes=weighted("genes"),
        perturbations=weighted("perturbations"),
        pairs=weighted("pairs"),
        n_genes=max(of.n_genes for _, of in parts),
        n_perturbations=min(n_perturbations, len(named)) if is_shared else n_perturbations,
        drawn_with=is_shared,
    )


def _drawn_together(folds: Sequence[Fold]) -> bool:
    """True if a perturbation counts alike in the resamples of all folds that share it."""
    held_out = [fold.held_out for fold in folds]
    return all(
        fold.spread.drawn_with or not drawn_together(held_out, place)
        for place, fold in enumerate(folds)
    )


def _alone(fold: Fold, share: float, mean: float, *, is_shared: bool) -> TwoWay:
    """Return a fold's resamples, those of a single perturbation by its distance from the mean.

    The distance counts with one sign or the other in each resample, with the same signs for every
    model, and for every fold of the same perturbation. The mean of all folds follows each of them
    by its share, so that squares of distances are too small by that share.

    Args:
        fold: The fold.
        share: Its share of all values, with those of other folds of the same perturbation; 1 where
            there are no others, and nothing is known.
        mean: The mean of all folds.
        is_shared: True if folds may hold out the same perturbation.
    """
    spread = fold.spread
    if spread.n_perturbations != 1 or share >= 1.0:
        return spread
    named = list("\0".join(sorted(fold.held_out)).encode())
    rng = np.random.default_rng(named if is_shared else fold.number)
    signs = rng.choice((-1.0, 1.0), size=len(spread.genes))
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
