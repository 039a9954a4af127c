"""Top-20 DE gene lists: those of the file, else the same ones computed for all conditions."""

from __future__ import annotations

import logging

import numpy as np

from dygenept.data.pseudobulk import group_codes, square_sums
from dygenept.data.pseudobulk import pseudobulk as mean_expression
from dygenept.data.sums import group_sums
from dygenept.errors import ConfigError, nearest
from dygenept.machine.tables import row_parts, zeros
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
    *,
    squares: DoubleArray | None = None,
) -> DeGenes:
    """Return the top-20 DE genes of every condition.

    The lists that the file carries are used as they are. Otherwise genes are ranked by
    ``WelchScores``, those that fail the list's filter are passed over, and the first 20 are kept.
    Ties go to the gene that comes first in ``gene_ids`` (scanpy leaves their order to numpy's
    unstable sort, which differs between processors).

    Args:
        data: The data set.
        pseudobulk: Its means, where they are at hand.
        list_name: ``top_non_dropout_de_20`` or ``top_non_zero_de_20``.
        squares: What ``square_sums`` returns, where it is at hand.

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
    squares = square_sums(data) if squares is None else squares
    scores, allowed = WelchScores(data, means, squares), _Allowed(data, means, list_name)
    indices = np.full((len(data.conditions), N_TOP), -1, dtype=np.int32)
    for part in row_parts(len(indices), data.n_genes):
        indices[part] = top_genes(scores.of(part), allowed.of(part))
    n_empty = int((indices[:, 0] < 0).sum())
    if n_empty:
        logger.warning("%s: %d of %d DE lists are empty", data.name, n_empty, len(indices))
    return DeGenes(list_name, "computed", indices)


class WelchScores:
    """Welch's t of every gene of a condition against the control of its cell type.

    Conditions are scored some at a time, so that only sums of squares are there for all.

    Source: scanpy ``tl.rank_genes_groups(method="t-test", reference=…)``, which sets NaN to 0
        and uses the variance with n - 1.
    """

    def __init__(self, data: PerturbationData, means: Pseudobulk, squares: DoubleArray) -> None:
        """Look up each condition's control.

        Args:
            data: The data set.
            means: Its means.
            squares: What ``square_sums`` returns.
        """
        codes, n_groups = group_codes(data)
        self._means, self._squares = means, squares
        self._counts = np.bincount(codes, minlength=n_groups).astype(np.float64)
        self._control = control_groups(data)
        first = len(data.conditions)
        self._control_variance = _variance_of_mean(
            self._squares[first:], means.control_means, self._counts[first:]
        )

    def of(self, part: slice) -> DoubleArray:
        """Score a run of conditions.

        Returns:
            t, (n, G), float64; 0 where both groups are constant and equal, infinite where they are
            constant and differ, and NaN throughout a condition whose variance is undefined because
            it, or its control, has one cell.
        """
        n_conditions = len(self._control)
        kind = self._control[part] - n_conditions
        counts, control_counts = self._counts[part], self._counts[self._control[part]]
        own = _variance_of_mean(self._squares[part], self._means.means[part], counts)
        scores: DoubleArray = self._means.means[part] - self._means.control_means[kind]
        with np.errstate(invalid="ignore", divide="ignore"):
            scores /= np.sqrt(own + self._control_variance[kind])
        scores[np.isnan(scores)] = 0.0
        scores[(counts < 2) | (control_counts < 2)] = np.nan
        return scores


def _variance_of_mean(squares: DoubleArray, means: DoubleArray, counts: DoubleArray) -> DoubleArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        variance: DoubleArray = squares / counts[:, None]
        variance -= means**2
        variance *= (counts / (counts - 1.0) / counts)[:, None]
    return variance


def control_groups(data: PerturbationData) -> IntArray:
    """Return the group number of each condition's control, as ``group_codes`` numbers them."""
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    n_conditions = len(data.conditions)
    return np.asarray(
        [n_conditions + row[condition.cell_type] for condition in data.conditions], dtype=np.int32
    )


def top_genes(scores: DoubleArray, allowed: BoolArray) -> IntArray:
    """Rank genes by absolute score and return the first that are allowed.

    Args:
        scores: (n, G); a row of NaN gives an empty list.
        allowed: Genes that may be listed, (n, G).

    Returns:
        Gene positions, best first, padded with -1, (n, N_TOP).
    """
    strength = np.where(allowed, np.round(np.abs(scores), TIE_DECIMALS), -1.0)
    strength[np.isnan(strength)] = -1.0
    top = np.full((len(scores), N_TOP), -1, dtype=np.int32)
    n_genes = strength.shape[1]
    n_listed = min(N_TOP, n_genes)
    last = np.partition(strength, n_genes - n_listed, axis=1)[:, n_genes - n_listed]
    for row, own in enumerate(strength):
        # Whatever ties with the last one that is listed; only these need to be in order.
        genes = np.flatnonzero(own >= max(last[row], 0.0))
        order = genes[np.argsort(-own[genes], kind="stable")[:n_listed]]
        top[row, : len(order)] = order
    return top


class _Allowed:
    """GEARS' filters, which look at a perturbation's cells and controls of all cell types."""

    def __init__(self, data: PerturbationData, pseudobulk: Pseudobulk, list_name: str) -> None:
        self._means, controls = pseudobulk.means, pseudobulk.control_means
        if data.batches is not None:
            # Whether a gene is expressed is seen before batch effects are taken away.
            codes, n_groups = group_codes(data)
            sums = group_sums(data.expression, codes, n_groups=n_groups, folder=data.tables)
            self._means, controls = sums[: len(data.conditions)], sums[len(data.conditions) :]
        self._anywhere, self._rows = _expressed_anywhere(data, self._means)
        self._is_zero_in_control: BoolArray = np.all(controls == 0, axis=0)
        self._keeps_true_zeros = list_name == DE_LISTS[0]

    def of(self, part: slice) -> BoolArray:
        """Say which genes a run of conditions may list, (n, G)."""
        is_expressed: BoolArray = (
            np.not_equal(self._means[part], 0)
            if self._anywhere is None
            else np.take(self._anywhere, self._rows[part], axis=0)
        )
        return is_expressed | self._is_zero_in_control if self._keeps_true_zeros else is_expressed


def _expressed_anywhere(
    data: PerturbationData, means: DoubleArray
) -> tuple[BoolArray | None, IntArray]:
    """Where perturbations have several cell types, say which genes each expresses in any.

    Returns:
        One row per perturbation, and the row of each condition; None where each has one type.
    """
    perturbations = data.perturbations
    number = {perturbation: row for row, perturbation in enumerate(perturbations)}
    rows = np.asarray([number[item.perturbation] for item in data.conditions], dtype=np.int32)
    if len(perturbations) == len(data.conditions):
        return None, rows
    anywhere = zeros((len(perturbations), data.n_genes), np.bool_, folder=data.tables)
    for part in row_parts(len(rows), data.n_genes):
        np.logical_or.at(anywhere, rows[part], np.not_equal(means[part], 0))
    return anywhere, rows
