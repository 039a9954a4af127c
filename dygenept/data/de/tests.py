"""DE tests of every gene of every condition: what is significant, and how specific it is."""

from __future__ import annotations

import numpy as np

from dygenept.data.de.rank_sum import rank_sum_p_values, significant
from dygenept.data.pseudobulk import cell_sums, group_codes
from dygenept.data.pseudobulk import pseudobulk as mean_expression
from dygenept.types import DeTests, DoubleArray, PerturbationData, Pseudobulk

FDR = 0.05


def de_tests(data: PerturbationData, pseudobulk: Pseudobulk | None = None) -> DeTests:
    """Test every gene of every condition against control, and score it against the rest.

    Returns:
        One row per condition of ``data``; its means are computed where they are not given.

    Source: cell-eval, whose DE tables are Mann-Whitney U tests with Benjamini-Hochberg FDR;
        Mejia et al. 2025 for the scores against the rest.
    """
    means = pseudobulk or mean_expression(data)
    return DeTests(
        is_significant=significant(rank_sum_p_values(data), FDR),
        scores_vs_rest=scores_vs_rest(data, means),
    )


def scores_vs_rest(data: PerturbationData, pseudobulk: Pseudobulk) -> DoubleArray:
    """Score every gene of every condition against all other perturbed cells of its cell type.

    t = (mean - rest mean) / sqrt((variance + rest variance) / n), n only the condition's own cells:
    the larger n of the rest is not used (scanpy's ``t-test_overestim_var``). Control cells
    are in neither group.

    Returns:
        t, (n_conditions, G), float64; 0 where both groups are constant and equal; NaN throughout a
        condition with one cell, or with fewer than two perturbed cells beside it.

    Source: scanpy ``tl.rank_genes_groups(method="t-test_overestim_var", reference="rest")`` over
        perturbed cells, as Mejia et al. 2025 (Diversity by Design) weigh their MSE.
    """
    codes, n_groups = group_codes(data)
    n_conditions = len(data.conditions)
    squares = cell_sums(data, codes, n_groups=n_groups, power=2)[:n_conditions]
    counts = pseudobulk.n_cells.astype(np.float64)[:, None]
    sums = pseudobulk.means * counts
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    types = np.asarray([row[condition.cell_type] for condition in data.conditions])
    scores = np.full(sums.shape, np.nan)
    for number in range(len(data.cell_types)):
        mine = np.flatnonzero(types == number)
        own_counts = counts[mine]
        rest_counts = own_counts.sum() - own_counts
        with np.errstate(invalid="ignore", divide="ignore"):
            rest_means = (sums[mine].sum(axis=0) - sums[mine]) / rest_counts
            variance = unbiased_variance(squares[mine], pseudobulk.means[mine], own_counts)
            rest_squares = squares[mine].sum(axis=0) - squares[mine]
            variance += unbiased_variance(rest_squares, rest_means, rest_counts)
            found = (pseudobulk.means[mine] - rest_means) / np.sqrt(variance / own_counts)
        found[np.isnan(found)] = 0.0
        has_none = (own_counts[:, 0] < 2) | (rest_counts[:, 0] < 2)
        found[has_none] = np.nan
        scores[mine] = found
    return scores


def unbiased_variance(squares: DoubleArray, means: DoubleArray, counts: DoubleArray) -> DoubleArray:
    """Unbiased variance from sums of squares; never below zero by rounding."""
    unbiased: DoubleArray = np.maximum(squares / counts - means**2, 0.0) * counts / (counts - 1.0)
    return unbiased
