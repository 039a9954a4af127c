"""Top-20 DE gene lists: those of the file, else the same ones computed for all conditions."""

from __future__ import annotations

import logging

import numpy as np

from dygenept.data.pseudobulk import cell_sums, group_codes, group_sums
from dygenept.data.pseudobulk import pseudobulk as mean_expression
from dygenept.errors import ConfigError, nearest
from dygenept.types import BoolArray, DeGenes, DoubleArray, IntArray, PerturbationData, Pseudobulk

logger = logging.getLogger(__name__)

DE_LISTS = ("top_non_dropout_de_20", "top_non_zero_de_20")
N_TOP = 20
# Scores that agree to this many decimals are ties; below it, rounding errors would decide.
TIE_DECIMALS = 9


def de_genes(
    data: PerturbationData,
    pseudobulk: Pseudobulk | None = None,
    list_name: str = DE_LISTS[0],
) -> DeGenes:
    """Return the top-20 DE genes of every condition.

    The lists that the file carries are used as they are. Otherwise genes are ranked by
    ``de_scores``, those that fail the list's filter are passed over, and the first 20 are kept.
    Ties go to the gene that comes first in ``gene_ids`` (scanpy leaves their order to numpy's
    unstable sort, which differs between processors).

    Args:
        data: The data set.
        pseudobulk: Its means, where they are at hand.
        list_name: ``top_non_dropout_de_20`` or ``top_non_zero_de_20``.

    Returns:
        Positions in ``gene_ids``, best first, padded with -1. A condition with one cell, or whose
        cell type has one control cell, has no t-test and an empty list.

    Raises:
        ConfigError: If there is no list of that name.
    """
    if list_name not in DE_LISTS:
        raise ConfigError(f"unknown DE list {list_name!r}; {nearest(list_name, DE_LISTS)}")
    if list_name in data.de_lists:
        return DeGenes(list_name, "file", data.de_lists[list_name])
    means = pseudobulk or mean_expression(data)
    scores = de_scores(data, means)
    allowed = _allowed(data, means, keep_true_zeros=list_name == DE_LISTS[0])
    indices = top_genes(scores, allowed)
    n_empty = int((indices[:, 0] < 0).sum())
    if n_empty:
        logger.warning("%s: %d of %d DE lists are empty", data.name, n_empty, len(indices))
    return DeGenes(list_name, "computed", indices)


def de_scores(data: PerturbationData, pseudobulk: Pseudobulk | None = None) -> DoubleArray:
    """Score every gene of every condition against the control of its cell type by Welch's t-test.

    Returns:
        t, (n_conditions, G), float64; 0 where both groups are constant and equal, infinite where
        they are constant and differ, and NaN throughout a condition whose variance is undefined
        because it, or its control, has one cell.

    Source: scanpy ``tl.rank_genes_groups(method="t-test", reference=…)``, which sets NaN to 0
        and uses the variance with n - 1.
    """
    means = pseudobulk or mean_expression(data)
    codes, n_groups = group_codes(data)
    counts = np.bincount(codes, minlength=n_groups).astype(np.float64)
    squares = cell_sums(data, codes, n_groups=n_groups, power=2)
    all_means = np.concatenate((means.means, means.control_means))
    with np.errstate(invalid="ignore", divide="ignore"):
        # Variance of the mean, in place: (n_groups, G) is the largest array here.
        squares /= counts[:, None]
        squares -= all_means**2
        squares *= (counts / (counts - 1.0) / counts)[:, None]
    control = control_groups(data)
    n_conditions = len(data.conditions)
    scores = means.means - all_means[control]
    with np.errstate(invalid="ignore", divide="ignore"):
        scores /= np.sqrt(squares[:n_conditions] + squares[control])
    scores[np.isnan(scores)] = 0.0
    scores[(counts[:n_conditions] < 2) | (counts[control] < 2)] = np.nan
    return scores


def control_groups(data: PerturbationData) -> IntArray:
    """Return the group number of each condition's control, as ``group_codes`` numbers them."""
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    n_conditions = len(data.conditions)
    return np.asarray(
        [n_conditions + row[condition.cell_type] for condition in data.conditions], dtype=np.int32
    )


def top_genes(scores: DoubleArray, allowed: BoolArray, n_top: int = N_TOP) -> IntArray:
    """Rank genes by absolute score and return the first that are allowed.

    Args:
        scores: (n, G); a row of NaN gives an empty list.
        allowed: Genes that may be listed, (n, G).
        n_top: Length of a list.

    Returns:
        Gene positions, best first, padded with -1, (n, n_top).
    """
    strength = np.where(allowed, np.round(np.abs(scores), TIE_DECIMALS), -1.0)
    strength[np.isnan(strength)] = -1.0
    top = np.full((len(scores), n_top), -1, dtype=np.int32)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :n_top]
    is_listed = np.take_along_axis(strength, order, axis=1) >= 0
    top[:, : order.shape[1]] = np.where(is_listed, order, -1)
    return top


def _allowed(data: PerturbationData, pseudobulk: Pseudobulk, *, keep_true_zeros: bool) -> BoolArray:
    """GEARS' filters, which look at a perturbation's cells and controls of all cell types."""
    means, controls = pseudobulk.means, pseudobulk.control_means
    if data.batches is not None:
        # Whether a gene is expressed is seen before batch effects are taken away.
        codes, n_groups = group_codes(data)
        sums = group_sums(data.expression, codes, n_groups=n_groups)
        means, controls = sums[: len(data.conditions)], sums[len(data.conditions) :]
    is_expressed: BoolArray = np.not_equal(means, 0)
    perturbations = data.perturbations
    if len(perturbations) < len(data.conditions):
        number = {perturbation: row for row, perturbation in enumerate(perturbations)}
        rows = np.asarray([number[condition.perturbation] for condition in data.conditions])
        anywhere = np.zeros((len(perturbations), data.n_genes), dtype=np.bool_)
        np.logical_or.at(anywhere, rows, is_expressed)
        is_expressed = np.take(anywhere, rows, axis=0)
    if not keep_true_zeros:
        return is_expressed
    is_zero_in_control: BoolArray = np.all(controls == 0, axis=0)
    return is_expressed | is_zero_in_control
