"""Variable genes by normalised dispersion, as Seurat and scanpy choose them."""

from __future__ import annotations

import numpy as np

from dygenept.types import BoolArray, DoubleArray, IntArray

N_BINS = 20


def normalized_dispersions(means: DoubleArray, variances: DoubleArray) -> DoubleArray:
    """Compare the dispersion of each gene with that of genes of a similar mean.

    The logarithm of variance / mean, minus the mean and divided by the standard deviation of the
    genes in the same of ``N_BINS`` bins of equal width of log1p of the mean. A gene alone in its
    bin has 1.

    Args:
        means: Mean of normalised counts (no logarithm) over cells, (G,).
        variances: Their variance with n - 1, (G,).

    Returns:
        (G,); NaN for a gene without variance.

    Source: Satija et al. 2015; scanpy ``pp.highly_variable_genes(flavor="seurat")``.
    """
    means = np.where(means == 0, 1e-12, means)
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersions = np.log(np.where(variances == 0, np.nan, variances / means))
    bins = _bins(np.log1p(means), N_BINS)
    normalized = np.full(len(means), np.nan)
    for number in np.unique(bins).tolist():
        mine = np.flatnonzero((bins == number) & np.isfinite(dispersions))
        if len(mine) == 1:
            # Its own dispersion stands for the spread, and the mean counts as 0.
            normalized[mine] = 1.0
        elif len(mine):
            own = dispersions[mine]
            normalized[mine] = (own - own.mean()) / own.std(ddof=1)
    return normalized


def top_variable(normalized: DoubleArray, n_top: int) -> BoolArray:
    """Mark the genes of largest normalised dispersion; ties go to the first."""
    strength = np.where(np.isfinite(normalized), normalized, -np.inf)
    order = np.argsort(-strength, kind="stable")[:n_top]
    is_variable = np.zeros(len(normalized), dtype=np.bool_)
    is_variable[order[np.isfinite(strength[order])]] = True
    return is_variable


def _bins(values: DoubleArray, n_bins: int) -> IntArray:
    """Number bins of equal width, closed on the right, as ``pandas.cut`` draws them."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.zeros(len(values), dtype=np.int32)
    edges = np.linspace(low, high, n_bins + 1)
    edges[0] -= (high - low) * 0.001
    return (np.searchsorted(edges, values, side="left") - 1).astype(np.int32)
