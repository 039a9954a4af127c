"""A linear readout in closed form, and the choice between several by their left-out errors.

The readout is a typical change, and ridge regression on what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.types import DoubleArray

# Relative to the features' size. Smaller ones would fit the chance likeness of random features.
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Readout:
    """The best of several linear maps from features to changes.

    Attributes:
        errors: Mean squared leave-one-out error of each condition, (n,).
        penalty: Relative to the mean squared norm of the features.
        weights: (G, F).
    """

    errors: DoubleArray
    penalty: float
    weights: DoubleArray

    @property
    def error(self) -> float:
        """Mean squared leave-one-out error."""
        return float(self.errors.mean())


def fit_readout(
    features: DoubleArray, targets: DoubleArray, shared: DoubleArray | None = None
) -> Readout:
    """Fit a linear readout without intercept: a typical change, then ridge regression.

    What all perturbations have in common is the mean of the train changes, each weighed by one over
    its norm, so that a strong effect counts no more than a weak one. It is read from the
    direction of the features that all perturbations share, and ridge regression fits what is left
    from the features across it.

    Args:
        features: (n, F).
        targets: (n, G).
        shared: Features of the shift that all perturbations share, (F,); None fits everything by
            ridge regression.

    Returns:
        The fit with the smallest exact leave-one-out error among ``PENALTIES``.
    """
    if shared is None or len(targets) < 2:
        return _fit(features, targets)
    direction = shared / np.square(shared).sum()
    counts = features @ direction  # (n,), 1 where the shared shift counts once
    across = features - np.outer(counts, shared)  # (n, F)
    return _fit(across, targets, counts=counts, direction=direction)


def _fit(
    features: DoubleArray,
    targets: DoubleArray,
    *,
    counts: DoubleArray | None = None,
    direction: DoubleArray | None = None,
) -> Readout:
    n = len(features)
    scale = max(float(np.square(features).sum(axis=1).mean()), 1e-12)
    left, values, right = np.linalg.svd(features, full_matrices=False)
    # Errors need only inner products of targets, so no penalty touches all G genes.
    gram = targets @ targets.T  # (n, G) -> (n, n)
    # Without a shared shift the typical change is zero: no weight on any condition.
    weights, others = np.zeros(n), np.zeros((n, n))
    if counts is None:
        counts = np.zeros(n)
    else:
        weights, others = _mean_weights(targets, counts)
    best: tuple[DoubleArray, float] | None = None
    for penalty in PENALTIES:
        shrink = values**2 / (values**2 + penalty * scale)
        kept = np.eye(n) - (left * shrink) @ left.T  # (n, n)
        # Row i of ``out`` times the targets is condition i's error when it is left out.
        out = kept / np.maximum(np.diag(kept), 1e-9)[:, None]
        rows = out - (out @ counts)[:, None] * others
        errors = np.einsum("ij,ij->i", rows @ gram, rows) / targets.shape[1]
        if best is None or errors.mean() < best[0].mean():
            best = (errors, penalty)
    assert best is not None
    errors, penalty = best
    typical = weights @ targets  # (G,)
    gain = values / (values**2 + penalty * scale)
    fitted = ((right.T * gain) @ (left.T @ (targets - np.outer(counts, typical)))).T  # (G, F)
    if direction is not None:
        fitted = fitted + np.outer(typical, direction)
    return Readout(errors=errors, penalty=penalty, weights=fitted)


def _mean_weights(targets: DoubleArray, counts: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return weights of a typical change over conditions, and those without each condition.

    Args:
        targets: (n, G).
        counts: How often a condition has the typical change, (n,).

    Returns:
        The weights, (n,), and in row i those that leave condition i out, (n, n).
    """
    norms = np.maximum(np.linalg.norm(targets, axis=1), 1e-9)
    given = counts / norms
    total = (given * counts).sum()
    others = np.tile(given, (len(given), 1))
    np.fill_diagonal(others, 0.0)
    left = np.maximum(total - given * counts, 1e-12)
    return given / max(total, 1e-12), others / left[:, None]


def best_beyond_chance(errors: DoubleArray, *, reference: int, n_spreads: float = 2.0) -> int:
    """Choose between settings by paired errors: leave the reference only for a clear gain.

    With few conditions the smallest mean error is decided by rounding or by one condition. So the
    reference stays unless the gain exceeds some standard errors of the paired differences, after
    the one-standard-error rule of Breiman et al. 1984, Classification and Regression Trees,
    section 3.4.3.

    Args:
        errors: Error of each condition under each setting, (n, n_settings).
        reference: The setting to stay with.
        n_spreads: Standard errors that the gain must exceed; two where several settings compete
            for it, one of which will look better by chance.

    Returns:
        The setting with the smallest mean error, or the reference where the gain may be chance.
    """
    best = int(errors.mean(axis=0).argmin())
    gains = errors[:, reference] - errors[:, best]  # (n,)
    spread = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    return best if gains.mean() > n_spreads * spread else reference
