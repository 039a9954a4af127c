"""Expected log1p expression under the count model, without drawing a cell.

The expectation of ``log1p(factor · X)`` over a negative-binomial X and a log-normal library has
no closed form; it is summed once on a grid of means, factors and sizes and interpolated.
"""

from __future__ import annotations

import numpy as np

from dygenept.data.simulated.counts import LIBRARY_SPREAD, MAX_MEAN, CountModel
from dygenept.types import DoubleArray, FloatArray

N_MEANS, N_FACTORS = 140, 9
LOWEST_LOG_MEAN = -14.0
HIGHEST_LOG_MEAN = float(np.log(MAX_MEAN)) + 4.0
FACTOR_RANGE = (0.4, 2.5)
N_LIBRARY_NODES, N_AXIS_NODES = 7, 5
# So many counts are summed one by one; beyond, the sum is over so many places.
N_SINGLE, N_FAR = 512, 1000


def expected_expression(
    model: CountModel, group_means: FloatArray, *, shares: DoubleArray
) -> DoubleArray:
    """Return the expected pseudobulk of conditions whose cells are a mixture of states.

    Each cell is scaled by the ratio of the median total to its own; the total is taken at its
    expectation given the cell's group, axis and library.

    Args:
        model: The count model.
        group_means: Mean count of each condition and state at library size 1, control first,
            (n_conditions · S, G).
        shares: Share of cells in each state, (S,).

    Returns:
        Expected mean log1p expression, (n_conditions, G).
    """
    n_states, n_genes = len(shares), group_means.shape[1]
    grid = np.linspace(LOWEST_LOG_MEAN, HIGHEST_LOG_MEAN, N_MEANS)
    factors = np.geomspace(*FACTOR_RANGE, N_FACTORS)
    table = np.stack([_table(grid, factors, size=size) for size in model.sizes])
    columns = [np.flatnonzero(model.size_codes == code) for code in range(len(model.sizes))]
    nodes, weights = _normal_nodes(N_AXIS_NODES)
    totals = group_means.sum(axis=1, dtype=np.float64)
    # The median cell of the data set is close to a control cell of the commonest state.
    reference = totals[:n_states] @ shares
    expected = np.zeros((len(group_means) // n_states, n_genes))
    for group, mean in enumerate(group_means):
        condition, state = divmod(group, n_states)
        factor = np.clip(np.log(reference / totals[group]), *np.log(FACTOR_RANGE))
        place = np.interp(factor, np.log(factors), np.arange(N_FACTORS))
        low = min(int(place), N_FACTORS - 2)
        curves = (1 - (place - low)) * table[:, low] + (place - low) * table[:, low + 1]
        log_mean = np.log(mean.astype(np.float64))
        for node, weight in zip(nodes, weights, strict=True):
            shifted = log_mean + node * model.loading
            for code, genes in enumerate(columns):
                expected[condition, genes] += (
                    shares[state] * weight * np.interp(shifted[genes], grid, curves[code])
                )
    return expected


def _normal_nodes(n_nodes: int) -> tuple[DoubleArray, DoubleArray]:
    """Nodes and weights of an expectation over a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    return nodes, weights / weights.sum()


def _table(grid: DoubleArray, factors: DoubleArray, *, size: float) -> DoubleArray:
    """Sum ``log1p(factor / library · X)`` over X and library, (n_factors, n_means)."""
    from scipy.special import gammaln

    table = np.zeros((len(factors), len(grid)))
    for node, weight in zip(*_normal_nodes(N_LIBRARY_NODES), strict=True):
        library = np.exp(LIBRARY_SPREAD * node)
        for column, log_mean in enumerate(grid):
            mean = np.exp(log_mean) * library
            # Twelve standard deviations and more beyond the mean nothing is left to sum.
            counts, widths = _counts(int(mean + 14 * np.sqrt(mean + mean**2 / size)) + 12)
            log_mass = gammaln(counts + size) - gammaln(size) - gammaln(counts + 1)
            log_mass += size * np.log(size / (size + mean)) + counts * np.log(mean / (size + mean))
            values = np.log1p(factors[:, None] / library * counts)
            table[:, column] += weight * (values @ (widths * np.exp(log_mass)))
    return table


def _counts(n_counts: int) -> tuple[DoubleArray, DoubleArray]:
    """Return counts below a number, and how many each stands for: small ones each for itself."""
    if n_counts <= N_SINGLE:
        return np.arange(float(n_counts)), np.ones(n_counts)
    far = np.geomspace(N_SINGLE, n_counts - 1, N_FAR)
    counts = np.concatenate([np.arange(float(N_SINGLE)), np.unique(far.round())])
    # Each as far as half of the way to its neighbours.
    edges = np.concatenate([[-0.5], (counts[1:] + counts[:-1]) / 2, [n_counts - 0.5]])
    return counts, np.diff(edges)
