"""DE tests of every gene of every condition: what is significant, and how specific it is."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dygenept.data.de.rank_sum import significant_genes
from dygenept.data.pseudobulk import pseudobulk as mean_expression
from dygenept.data.pseudobulk import square_sums
from dygenept.machine.tables import row_parts
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
        is_significant=significant_genes(data, FDR),
        scores_vs_rest=scores_vs_rest(data, means),
    )


def scores_vs_rest(
    data: PerturbationData, pseudobulk: Pseudobulk, squares: DoubleArray | None = None
) -> DoubleArray:
    """Score every gene of every condition against all other perturbed cells of its cell type.

    t = (mean - rest mean) / sqrt((variance + rest variance) / n), n only the condition's own cells:
    the larger n of the rest is not used (scanpy's ``t-test_overestim_var``). Control cells
    are in neither group.

    Args:
        data: The data set.
        pseudobulk: Its means.
        squares: What ``square_sums`` returns, where it is at hand; it is overwritten.

    Returns:
        t, (n_conditions, G), float64; 0 where both groups are constant and equal; NaN throughout a
        condition with one cell, or with fewer than two perturbed cells beside it.

    Source: scanpy ``tl.rank_genes_groups(method="t-test_overestim_var", reference="rest")`` over
        perturbed cells, as Mejia et al. 2025 (Diversity by Design) weigh their MSE.
    """
    # Becomes the scores row by row: (n_conditions, G) is the largest array here.
    found = (square_sums(data) if squares is None else squares)[: len(data.conditions)]
    counts = pseudobulk.n_cells.astype(np.float64)[:, None]
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    types = np.asarray([row[condition.cell_type] for condition in data.conditions])
    for number in range(len(data.cell_types)):
        mine = np.flatnonzero(types == number)
        own_sums = (pseudobulk.means[place] * counts[place] for place in mine.tolist())
        total = _added(own_sums, data.n_genes)
        total_squares = _added((found[place] for place in mine.tolist()), data.n_genes)
        n_all = counts[mine].sum()
        for part in row_parts(len(mine), data.n_genes):
            rows = mine[part]
            found[rows] = _of_rest(
                (found[rows], total_squares), (pseudobulk.means[rows], total), counts[rows], n_all
            )
    return found


def _of_rest(
    squares: tuple[DoubleArray, DoubleArray],
    means: tuple[DoubleArray, DoubleArray],
    counts: DoubleArray,
    n_all: float,
) -> DoubleArray:
    """Score some conditions against the rest of their cell type.

    Args:
        squares: Sums of squares of each condition, (n, G), and of the cell type, (G,).
        means: Means of each condition, (n, G), and sums over the cell type, (G,).
        counts: Cells of each condition, (n, 1).
        n_all: Perturbed cells of the cell type.
    """
    rest_counts = n_all - counts
    with np.errstate(invalid="ignore", divide="ignore"):
        rest_means = (means[1] - means[0] * counts) / rest_counts
        variance = unbiased_variance(squares[0], means[0], counts)
        variance += unbiased_variance(squares[1] - squares[0], rest_means, rest_counts)
        scores: DoubleArray = (means[0] - rest_means) / np.sqrt(variance / counts)
    scores[np.isnan(scores)] = 0.0
    scores[(counts[:, 0] < 2) | (rest_counts[:, 0] < 2)] = np.nan
    return scores


def _added(rows: Iterable[DoubleArray], n_genes: int) -> DoubleArray:
    """Add rows one after the other, as numpy's sum over the first axis does."""
    total = np.zeros(n_genes)
    for row in rows:
        total += row
    return total


def unbiased_variance(squares: DoubleArray, means: DoubleArray, counts: DoubleArray) -> DoubleArray:
    """Unbiased variance from sums of squares; never below zero by rounding."""
    return np.maximum(squares / counts - means**2, 0.0) * counts / (counts - 1.0)
