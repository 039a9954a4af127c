"""Statistics of a screen: how sparse and noisy its cells are, how strong and alike its effects.

They compare a simulated screen with real ones, and tell before any model is fitted how much there
is to predict. Effects are pseudobulk deltas (perturbed minus control mean, log1p scale).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from dygenept.data.de.rank_sum import rank_sum_p_values, significant
from dygenept.data.prepare.screen import cell_types_of, split_half_reliability
from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import DataError
from dygenept.types import BoolArray, DoubleArray, PerturbationData

FDR = 0.05
# A gene that few control cells express has no mean and variance to speak of.
MIN_EXPRESSING_CELLS = 10
NEAR_NULL_SHARE = 0.005
# Stored values that are looked at together.
RUN = 1 << 20


@dataclass(frozen=True, slots=True)
class ScreenStatistics:
    """What a screen looks like.

    Attributes:
        n_conditions: Conditions.
        cells_per_condition: Median number of cells of a condition.
        zero_fraction: Share of zeros among all values.
        mean_variance_slope: Slope of log variance on log mean over genes, in control cells on the
            scale of counts; 1 where cells differ by sampling alone, 2 where by biology alone. NaN
            where fewer than three genes can be told.
        mean_variance_residual: Standard deviation of log10 variance around that line.
        reliability: Median over conditions of the split-half reliability: the correlation over
            genes of two deltas, each from one half of the condition's cells and one half of the
            control cells; averaged over five splits.
        reliability_low: Tenth percentile of the same.
        reliability_high: Ninetieth percentile of the same.
        near_null_share: Share of conditions with at most one significant gene in 200 besides
            their own targets.
        de_share: Median over conditions of the share of genes that are significant.
        de_share_high: Ninetieth percentile of the same.
        first_component: Share of the first principal component in the variance of the deltas.
        norm_spread: Standard deviation of the natural log of the deltas' norms.
    """

    n_conditions: int
    cells_per_condition: float
    zero_fraction: float
    mean_variance_slope: float
    mean_variance_residual: float
    reliability: float
    reliability_low: float
    reliability_high: float
    near_null_share: float
    de_share: float
    de_share_high: float
    first_component: float
    norm_spread: float

    def document(self) -> Mapping[str, float]:
        """Return the figures by name."""
        return asdict(self)


def screen_statistics(data: PerturbationData, *, seed: int = 0) -> ScreenStatistics:
    """Compute the statistics of a screen of cells.

    Significant genes are those of a Mann-Whitney U test against the control cells of the cell type,
    at a false discovery rate of 5 % within a condition.

    Args:
        data: Cells on the log1p scale, with controls.
        seed: Seed of the halves.

    Raises:
        DataError: If the data set is a table of effects, which has no cells.
    """
    if data.effects is not None:
        raise DataError(f"{data.name} is a table of effects; statistics of a screen need cells")
    means = pseudobulk(data)
    deltas = means.means - means.control_means[cell_types_of(data)]
    is_significant = significant(rank_sum_p_values(data), FDR)
    reliability = split_half_reliability(data, seed=seed)
    de_share = is_significant.mean(axis=1)
    low, median, high = np.nanpercentile(reliability, (10, 50, 90))
    slope, residual = mean_variance(data)
    is_null = (is_significant & ~_own_targets(data)).mean(axis=1) <= NEAR_NULL_SHARE
    stored = data.expression.data
    n_stored = sum(
        np.count_nonzero(stored[start : start + RUN]) for start in range(0, len(stored), RUN)
    )
    return ScreenStatistics(
        n_conditions=len(data.conditions),
        cells_per_condition=float(np.median(means.n_cells)),
        zero_fraction=1.0 - n_stored / (data.n_cells * data.n_genes),
        mean_variance_slope=slope,
        mean_variance_residual=residual,
        reliability=float(median),
        reliability_low=float(low),
        reliability_high=float(high),
        near_null_share=float(is_null.mean()),
        de_share=float(np.median(de_share)),
        de_share_high=float(np.percentile(de_share, 90)),
        first_component=first_component(deltas),
        norm_spread=float(np.std(np.log(np.linalg.norm(deltas, axis=1)))),
    )


def mean_variance(data: PerturbationData) -> tuple[float, float]:
    """Fit a line to log10 variance on log10 mean over genes, in control cells.

    Cells are taken back to the scale of (normalised) counts by ``expm1``.

    Returns:
        Slope, and standard deviation around the line; NaN where fewer than three genes are
        expressed in ten control cells.
    """
    control = data.expression[data.condition_codes < 0]
    n_cells = control.shape[0]
    counts = control.astype(np.float64).expm1()
    expressing = np.asarray((counts > 0).sum(axis=0)).ravel()
    mean = np.asarray(counts.mean(axis=0)).ravel()
    variance = np.asarray(counts.multiply(counts).mean(axis=0)).ravel() - mean**2
    kept = (expressing >= min(MIN_EXPRESSING_CELLS, n_cells)) & (variance > 0)
    if kept.sum() < 3:
        return float("nan"), float("nan")
    x, y = np.log10(mean[kept]), np.log10(variance[kept])
    slope, start = np.polyfit(x, y, 1)
    return float(slope), float(np.std(y - start - slope * x))


def first_component(deltas: DoubleArray) -> float:
    """Return the first principal component's share of the variance of deltas, (n, G)."""
    centred = deltas - deltas.mean(axis=0)
    # The smaller Gram matrix has the same eigenvalues.
    gram = centred @ centred.T if len(centred) <= centred.shape[1] else centred.T @ centred
    values = np.linalg.eigvalsh(gram)
    total = float(values.sum())
    return float(values[-1]) / total if total > 0 else float("nan")


def _own_targets(data: PerturbationData) -> BoolArray:
    """True where a gene is a target of the condition, (n_conditions, G)."""
    column = {symbol: number for number, symbol in enumerate(data.gene_symbols)}
    own = np.zeros((len(data.conditions), data.n_genes), dtype=np.bool_)
    for row, condition in enumerate(data.conditions):
        own[row, [column[gene] for gene in condition.genes if gene in column]] = True
    return own
