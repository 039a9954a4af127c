"""A linear readout in closed form, and the choice between several by their left-out errors.

The readout is a typical change, and ridge regression on what is left. The baseline ``linear_loo``
is this readout of gene embeddings; DyGenePT starts from this readout of its own features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dygenept.machine.table_products import blocks, product
from dygenept.machine.tables import filled
from dygenept.model.start.beyond_chance import ROUNDING, best_beyond_chance
from dygenept.model.start.left_out import LeftOut, Spectrum, Targets
from dygenept.model.start.typical import POOLED, PRIORS, IndexArray, Rows
from dygenept.types import DoubleArray

# Relative to the features' size. Smaller ones would fit the chance likeness of random features; the
# largest leaves hardly more than the typical change, which many perturbations with features that
# say little about them need.
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0, 10000.0)
# Share of what features say that each cell type reads by itself.
TYPE_SHARES = (0.0, 0.5, 1.0)
# The two means that ``linear_loo`` chooses between (see ``Weighing``).
LINEAR_EXPONENTS = (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Readout:
    """The best of several linear maps from features to changes.

    Attributes:
        errors: Mean squared leave-one-out error of each perturbation, (n,).
        penalty: Relative to the mean squared norm of the features.
        exponent: Of the norms by which the typical change weighs changes (see ``Weighing``).
        prior: How many conditions of a cell type the pooled typical change counts as.
        type_share: Share of the features' effects that a cell type reads by itself.
        direction: (F,); features · direction says how often the typical change counts; None
            without one.
        typical: Typical change of each cell type, (n_types, G).
        left_out_squares: Mean squared leave-one-out residual of each gene, (G,).
        variance: The same of residuals in units of their leverage: each square over 1 + leverage.
        spectrum: Features that it was fitted to, decomposed.
        coefficients: What each condition adds by its kernel, (n, G).
    """

    errors: DoubleArray
    penalty: float
    exponent: float
    prior: float
    type_share: float
    direction: DoubleArray | None
    typical: DoubleArray
    left_out_squares: DoubleArray
    variance: DoubleArray
    spectrum: Spectrum
    coefficients: DoubleArray

    @property
    def weights(self) -> DoubleArray:
        """The map that all cell types share, (G, F); the whole of it with one cell type."""
        pooled = self.spectrum.features.T @ self.coefficients  # (F, G)
        weights: DoubleArray = ((1 - self.type_share) * pooled).T
        if self.direction is not None:
            weights = weights + np.outer(self.typical.mean(axis=0), self.direction)
        return weights

    @property
    def type_shifts(self) -> DoubleArray:
        """Typical change of each cell type, relative to the mean that ``weights`` has."""
        shifts: DoubleArray = self.typical - self.typical.mean(axis=0)
        return shifts

    @property
    def type_maps(self) -> DoubleArray | None:
        """What each cell type's map adds to ``weights``, (n_types, G, F); None for nothing."""
        if not self.type_share:
            return None
        spectrum = self.spectrum
        maps = []
        for code in range(len(self.typical)):
            mine = spectrum.rows.cell_types == code
            maps.append(self.type_share * self.coefficients[mine].T @ spectrum.features[mine])
        return np.stack(maps)

    def by_type(self) -> dict[str, float]:
        """Name what was chosen for several cell types, for records; empty with one.

        Returns:
            ``typical_by_type``, the share of the typical change that is a cell type's own, on
            average over the types, and ``readout_by_type``, that of the features' map.
        """
        rows = self.spectrum.rows
        if rows.n_types < 2:
            return {}
        sizes = np.bincount(rows.cell_types, minlength=rows.n_types)
        own = [float(n / (n + self.prior)) if n and self.prior < POOLED else 0.0 for n in sizes]
        return {
            "typical_by_type": float(np.mean(own)),
            "readout_by_type": float(self.type_share),
        }

    def predict(self, features: DoubleArray, cell_types: IndexArray) -> DoubleArray:
        """Predict changes, (m, F) features of conditions of cell types (m,), to (m, G)."""
        counts, across = _split(features, self.direction)
        kernel = self.spectrum.kernel(across, cell_types)
        predicted = product(kernel, self.coefficients)
        for rows in blocks(*predicted.shape):
            predicted[rows] += counts[rows, None] * self.typical[cell_types[rows]]
        return predicted

    def spread(self, features: DoubleArray, cell_types: IndexArray) -> DoubleArray:
        """Return the standard deviation of the error of predictions, (m, F) to (m, G).

        That of Bayesian linear regression, s √(1 + h), with h the leverage of the features and s
        of each gene from the leave-one-out residuals.
        """
        _, across = _split(features, self.direction)
        leverage = self.spectrum.leverage(across, cell_types, self.penalty)  # (m,)
        return filled(
            self.coefficients,
            (len(features), len(self.variance)),
            lambda rows: np.sqrt(np.outer(1 + leverage[rows], self.variance)),
        )


def fit_readout(
    features: DoubleArray,
    targets: DoubleArray | Targets,
    shared: DoubleArray | None = None,
    rows: Rows | None = None,
) -> Readout:
    """Fit a linear readout without intercept: a typical change, then ridge regression.

    What all perturbations have in common is the mean of the train changes, each weighed by one over
    its norm, so that a strong effect counts no more than a weak one; or the plain mean, where that
    predicts left-out perturbations better by more than chance (DyGenePT's own start has a mean
    between the two as well, see ``Weighing``). It is read from the
    direction of the features that all perturbations share, and ridge regression fits what is left
    from the features across it. With several cell types the typical change is shrunk between that
    of the type and the pooled one, and so is the map, as far as left-out errors say.

    Args:
        features: (n, F).
        targets: (n, G), or what ``Targets.of`` made of them, which may weigh them otherwise.
        shared: Features of the shift that all perturbations share, (F,); None fits everything by
            ridge regression.
        rows: Perturbation and cell type of each row; None for n perturbations of one cell type.

    Returns:
        The fit with the smallest exact leave-one-out error among ``PENALTIES``; a perturbation is
        left out of all cell types at once.
    """
    if not isinstance(targets, Targets):
        targets = Targets.of(targets, rows or Rows.single(len(targets)), LINEAR_EXPONENTS)
    return ReadoutChoice.of(features, targets, shared).solved()


@dataclass(frozen=True, slots=True)
class ReadoutChoice:
    """What left-out errors choose for features; solved only where it is wanted.

    Attributes:
        left_out: The features, ready to be left out.
        direction: See ``Readout``.
        errors: See ``Readout``.
        penalty: See ``Readout``.
        prior: See ``Readout``.
        penalties: Those that competed.
    """

    left_out: LeftOut
    direction: DoubleArray | None
    errors: DoubleArray
    penalty: float
    prior: float
    penalties: Sequence[float]

    @classmethod
    def of(
        cls,
        features: DoubleArray,
        targets: Targets,
        shared: DoubleArray | None,
        penalties: Sequence[float] = PENALTIES,
    ) -> ReadoutChoice:
        """Choose among penalties, and with several cell types the typical change's prior."""
        direction = None
        if shared is not None and targets.rows.n_perturbations > 1:
            direction = shared / np.square(shared).sum()
        counts, across = _split(features, direction)
        spectrum = Spectrum.of(across, targets.rows)
        left_out = LeftOut(spectrum, targets, counts)
        return cls._best(left_out, direction, _priors(direction, targets), penalties)

    @classmethod
    def _best(
        cls,
        left_out: LeftOut,
        direction: DoubleArray | None,
        priors: Sequence[float],
        penalties: Sequence[float],
    ) -> ReadoutChoice:
        # The first of several that differ by rounding, on any machine.
        best: ReadoutChoice | None = None
        for prior in priors:
            for penalty in penalties:
                errors = left_out.errors(penalty, prior)
                if best is None or errors.mean() < best.errors.mean() * (1 - ROUNDING):
                    best = cls(left_out, direction, errors, penalty, prior, penalties)
        assert best is not None
        return best

    def typical_alone(self) -> ReadoutChoice:
        """Leave nothing but the typical change: the same under the largest penalty.

        Without a typical change there is nothing to leave, and this choice stays.
        """
        largest = max(self.penalties)
        if self.direction is None or self.penalty == largest:
            return self
        return replace(self, errors=self.left_out.errors(largest, self.prior), penalty=largest)

    def of_nothing(self) -> ReadoutChoice:
        """Read no features: the typical change alone, with the prior that suits it best.

        Left-out errors are then the same under every penalty and say nothing of it. It is the
        smallest one, as ``linear_loo`` has it there, by which most of what is measured is kept.
        """
        whole, rows = self.left_out, self.left_out.targets.rows
        nothing = replace(whole, spectrum=Spectrum.of(np.zeros_like(whole.spectrum.features), rows))
        priors = _priors(self.direction, whole.targets)
        return self._best(nothing, self.direction, priors, (min(self.penalties),))

    def solved(self) -> Readout:
        """Let cell types read features by themselves where that helps, and solve."""
        chosen = self
        spectrum, targets = self.left_out.spectrum, self.left_out.targets
        if targets.rows.has_several_types:
            tried = [self]
            for share in TYPE_SHARES[1:]:
                left_out = replace(self.left_out, spectrum=spectrum.by_type(share))
                tried.append(self._best(left_out, self.direction, (self.prior,), self.penalties))
            errors = np.stack([each.errors for each in tried], axis=1)
            chosen = tried[best_beyond_chance(errors, reference=0, n_spreads=1.0)]
        left_out = chosen.left_out
        typical, coefficients = left_out.solved(chosen.penalty, chosen.prior)
        squares, variance = left_out.squares(chosen.penalty, chosen.prior)
        return Readout(
            errors=chosen.errors,
            penalty=chosen.penalty,
            exponent=targets.weighing.exponent,
            prior=chosen.prior,
            type_share=left_out.spectrum.type_share,
            direction=chosen.direction,
            typical=typical,
            left_out_squares=squares,
            variance=variance,
            spectrum=left_out.spectrum,
            coefficients=coefficients,
        )


def _priors(direction: DoubleArray | None, targets: Targets) -> Sequence[float]:
    """Return the priors that compete: of several cell types, where there is a typical change."""
    several = direction is not None and targets.rows.has_several_types
    return PRIORS if several else (POOLED,)


def _split(features: DoubleArray, direction: DoubleArray | None) -> tuple[DoubleArray, DoubleArray]:
    """Return how often the typical change counts, (n,), and the features across it, (n, F)."""
    if direction is None:
        return np.zeros(len(features)), features
    counts: DoubleArray = features @ direction  # (n,), 1 where the shared shift counts once
    along = direction / np.square(direction).sum()
    return counts, filled(
        features, features.shape, lambda rows: features[rows] - np.outer(counts[rows], along)
    )
