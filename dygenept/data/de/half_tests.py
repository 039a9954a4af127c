"""One half of each condition's cells, tested against all other perturbed cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dygenept.data.de.tests import unbiased_variance
from dygenept.data.pseudobulk import cell_sums, half_codes
from dygenept.types import Condition, DoubleArray, PerturbationData, TestedHalves

_Sums = tuple[DoubleArray, DoubleArray, DoubleArray]


class HalfTester:
    """Draws tested halves of some conditions; what all draws share is summed once."""

    def __init__(self, data: PerturbationData, conditions: Sequence[Condition]) -> None:
        """Name the cells; nothing is computed before the first draw."""
        self._data, self._conditions = data, tuple(conditions)
        self._sums: _Sums | None = None

    def __call__(self, rng: np.random.Generator) -> TestedHalves:
        """Draw halves and test the first ones."""
        if self._sums is None:
            self._sums = _perturbed(self._data)
        return _tested_halves(self._data, self._conditions, rng, self._sums)


def _tested_halves(
    data: PerturbationData,
    conditions: Sequence[Condition],
    rng: np.random.Generator,
    perturbed: _Sums,
) -> TestedHalves:
    """Draw two halves of each condition's cells, and test the first against other perturbations.

    Per gene, Welch's t test of the half against all perturbed cells of the cell type that are not
    of the condition, with the half's own number of cells for both groups, which overestimates the
    variance (scanpy's ``t-test_overestim_var``); p values are adjusted over the genes of a
    condition by Benjamini and Hochberg. 1 where a half, or the rest, has fewer than two cells, and
    where nothing varies and nothing differs.

    Source: the interpolated duplicate of Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304.
    """
    from scipy import special, stats

    codes = half_codes(data, conditions, rng)
    n = len(conditions)
    counts = np.bincount(codes[codes >= 0], minlength=2 * n).astype(np.float64)[:, None]
    sums = cell_sums(data, codes, n_groups=2 * n)  # (2n, G)
    squares = cell_sums(data, codes, n_groups=2 * n, power=2)
    row = {name: number for number, name in enumerate(data.cell_types)}
    types = np.array([row[condition.cell_type] for condition in conditions])
    total, total_squares, n_total = perturbed
    rest_counts = n_total[types] - counts[:n] - counts[n:]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
        rest = (total[types] - sums[:n] - sums[n:]) / rest_counts
        own = counts[:n]
        variance = unbiased_variance(squares[:n], means[:n], own) / own
        rest_squares = total_squares[types] - squares[:n] - squares[n:]
        rest_variance = unbiased_variance(rest_squares, rest, rest_counts) / own
        pooled = variance + rest_variance
        t = (means[:n] - rest) / np.sqrt(pooled)
        freedom = pooled**2 * (own - 1.0) / (variance**2 + rest_variance**2)
        p_values = 2.0 * special.stdtr(freedom, -np.abs(t))
    # Without any variance the slightest difference is certain, and none is not a difference.
    p_values = np.where(np.isinf(t), 0.0, np.where(np.isnan(p_values), 1.0, p_values))
    p_values[((own < 2) | (rest_counts < 2))[:, 0]] = 1.0
    return TestedHalves(
        means=means.reshape(2, n, data.n_genes),
        adjusted_p=np.asarray(stats.false_discovery_control(p_values, axis=1), dtype=np.float64),
    )


def _perturbed(data: PerturbationData) -> _Sums:
    """Sum the perturbed cells of each cell type, and their squares, (n_types, G); and count."""
    codes = np.where(data.condition_codes >= 0, data.cell_type_codes, -1).astype(np.int32)
    n_types = len(data.cell_types)
    return (
        cell_sums(data, codes, n_groups=n_types),
        cell_sums(data, codes, n_groups=n_types, power=2),
        np.bincount(codes[codes >= 0], minlength=n_types).astype(np.float64)[:, None],
    )
