"""How well the significant DE genes are found, in cell-eval's fold changes, from a predicted mean.

Significant: Mann-Whitney U test against control, FDR < 0.05, k genes. A fold change is
log2(expm1(mean) / expm1(control mean)), means of log1p values, as pdex has it; 0 of 0 is no change,
and a predicted mean below 0 counts as 0. A predicted mean cannot be tested: where cell-eval orders
predicted genes by the p value of predicted cells, here their absolute fold change does.

``des``: share of the significant genes among as many top predicted genes by absolute fold change,
the differential expression score of the Virtual Cell Challenge; 0 where k = 0. cell-eval,
``overlap_at_N``. It differs from ``de_overlap`` in these two points.
``de_sign_match``: share of the significant genes whose fold changes have the same sign. cell-eval,
``de_direction_match``.
``de_spearman_lfc``: Spearman correlation of the fold changes of the significant genes. cell-eval,
``de_spearman_lfc_sig``.
``de_auprc``: average precision of the absolute fold change as a score of what is significant.
cell-eval, ``pr_auc``.
They load nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.candidate_ranks import are_alike
from dygenept.evaluation.rows import (
    change,
    count_true,
    none_defined,
    predicted_change,
    row_by_row,
    top_share,
)
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import BoolArray, DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NO_TESTS = "no DE tests were given"
NO_SIGNIFICANT = "no significant DE gene"
ALL_SIGNIFICANT = "every gene is a significant DE gene"
CONSTANT = "fewer than two significant DE genes, or constant fold changes"
CELL_EVAL = "cell-eval (Arc Institute), "
# Fold changes that agree to this many decimals are ties; rounding must not choose genes.
TIE_DECIMALS = 12


def des(inputs: MetricInputs) -> MetricValues:
    """Return |significant genes ∩ the top k by fold change| / k, (n,).

    Example:
        Genes 0 and 1 are significant. From 0.1 to 0.3 is more than from 2 to 3, whose difference
        is larger: the top two are genes 0 and 2.

        >>> tests = [[True, True, False]]
        >>> inputs = _example([[0.3, 3.0, 1.0]], [[0.3, 3.0, 0.4]], [0.1, 2.0, 0.4], tests)
        >>> des(inputs).values
        array([0.5])
    """
    if inputs.de_tests is None:
        return none_defined(inputs, NO_TESTS)
    is_significant = inputs.de_tests.is_significant
    size = _rounded_size(inputs)
    chance = count_true(is_significant) / size.shape[1]
    shares = top_share(size, is_significant, ordered=_ordered_size(inputs))
    return replace(of_significant(shares, is_significant), chance=chance)


def de_sign_match(inputs: MetricInputs) -> MetricValues:
    """Return the share of the significant genes that change in the right direction, (n,).

    Example:
        Of three significant genes, the third falls where it should rise.

        >>> tests = [[True, True, True]]
        >>> inputs = _example([[2.0, 3.0, 0.5]], [[2.0, 4.0, 2.0]], [1.0, 1.0, 1.0], tests)
        >>> de_sign_match(inputs).values.round(3)
        array([0.667])
    """
    if inputs.de_tests is None:
        return none_defined(inputs, NO_TESTS)
    is_significant = inputs.de_tests.is_significant
    # A fold change has the sign of the difference.
    if (inputs.predicted >= 0.0).all():
        predicted = predicted_change(inputs)
    else:
        predicted = change(np.maximum(inputs.predicted, 0.0), inputs.control)
    truth = inputs.truth - inputs.control
    is_same = ((predicted > 0) == (truth > 0)) & ((predicted < 0) == (truth < 0))
    hits = count_true(is_same & is_significant)
    return of_significant(hits / np.maximum(count_true(is_significant), 1), is_significant)


def de_spearman_lfc(inputs: MetricInputs) -> MetricValues:
    """Return the rank correlation of the fold changes of the significant genes, (n,).

    Example:
        Fold changes in the order 1, 2, 3 and 1, 3, 2.

        >>> tests = [[True, True, True]]
        >>> inputs = _example([[2.0, 3.0, 4.0]], [[2.0, 4.0, 3.0]], [1.0, 1.0, 1.0], tests)
        >>> de_spearman_lfc(inputs).values.round(12)
        array([0.5])
    """
    if inputs.de_tests is None:
        return none_defined(inputs, NO_TESTS)
    mask = inputs.de_tests.is_significant
    n_conditions, rows = len(mask), np.repeat(np.arange(len(mask)), count_true(mask))
    predicted = _centred_ranks(_predicted_fold_change(inputs)[mask], rows, n_conditions)
    truth = inputs.once_of_truth(
        "de_set.truth_ranks",
        lambda: _centred_ranks(
            log2_fold_change(inputs.truth[mask], inputs.control[mask]), rows, n_conditions
        ),
    )

    def total(products: DoubleArray) -> DoubleArray:
        # Multiples of a quarter below 2**53 add up without rounding, in any order.
        return np.bincount(rows, products, minlength=n_conditions).astype(np.float64, copy=False)

    norms = np.sqrt(total(predicted * predicted)) * np.sqrt(total(truth * truth))
    values = np.full(n_conditions, np.nan)
    np.divide(total(predicted * truth), norms, out=values, where=norms > 0)
    values = np.clip(values, -1.0, 1.0)
    return MetricValues(values, dict.fromkeys(np.flatnonzero(np.isnan(values)).tolist(), CONSTANT))


def de_auprc(inputs: MetricInputs) -> MetricValues:
    """Return the average precision of the absolute fold change, (n,).

    Example:
        Genes 0 and 2 are significant and come first and last: (1/1 + 2/3) / 2.

        >>> tests = [[True, False, True]]
        >>> inputs = _example([[4.0, 3.0, 2.0]], [[4.0, 1.0, 2.0]], [1.0, 1.0, 1.0], tests)
        >>> de_auprc(inputs).values.round(3)
        array([0.833])
    """
    if inputs.de_tests is None:
        return none_defined(inputs, NO_TESTS)
    return average_precision(
        _rounded_size(inputs), inputs.de_tests.is_significant, ordered=_ordered_size(inputs)
    )


def average_precision(
    size: DoubleArray, is_significant: BoolArray, *, ordered: DoubleArray | None = None
) -> MetricValues:
    """Return the average precision of a score for what is significant, (n,).

    Args:
        size: The score, (n, G); genes that tie are found together.
        is_significant: (n, G).
        ordered: The score with each row sorted, where it is known.
    """
    n_genes = size.shape[1]
    values = np.full(len(size), np.nan)
    n_significant = count_true(is_significant)
    if ordered is None:
        ordered = np.sort(size, axis=1)
    for row in np.flatnonzero((n_significant > 0) & (n_significant < n_genes)).tolist():
        # The precision among all genes that come as early as each significant one, ties included.
        own = np.sort(size[row, is_significant[row]])
        n_found = len(own) - np.searchsorted(own, own)
        n_named = n_genes - np.searchsorted(ordered[row], own)
        values[row] = (n_found / n_named).mean()
    reasons = dict.fromkeys(np.flatnonzero(n_significant == 0).tolist(), NO_SIGNIFICANT)
    reasons |= dict.fromkeys(np.flatnonzero(n_significant == n_genes).tolist(), ALL_SIGNIFICANT)
    return MetricValues(values, reasons, n_significant / n_genes)


def log2_fold_change(means: DoubleArray, control: DoubleArray) -> DoubleArray:
    """Return log2 of the ratio of two geometric means, less one, of scaled counts, (n, G).

    Args:
        means: Mean log1p expression; what is below 0 counts as 0.
        control: The same of control.
    """
    if control.ndim == 2 and are_alike(control):
        control = control[:1]  # One cell type: its control is taken once.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log2(np.expm1(np.maximum(means, 0.0)) / np.expm1(np.maximum(control, 0.0)))
    return np.where(np.isnan(found), 0.0, found)


def _predicted_fold_change(inputs: MetricInputs) -> DoubleArray:
    # What differs from control by rounding alone has no fold change.
    return inputs.once(
        "de_set.predicted_fold_change",
        lambda: row_by_row(
            lambda changed, predicted, control: np.where(
                changed != 0.0, log2_fold_change(predicted, control), 0.0
            ),
            predicted_change(inputs),
            inputs.predicted,
            inputs.control,
        ),
    )


def _rounded_size(inputs: MetricInputs) -> DoubleArray:
    """Return the absolute fold change, (n, G), in which what differs by rounding is a tie."""
    return inputs.once(
        "de_set.rounded_size",
        lambda: row_by_row(
            lambda changes: np.abs(changes).round(TIE_DECIMALS), _predicted_fold_change(inputs)
        ),
    )


def _ordered_size(inputs: MetricInputs) -> DoubleArray:
    return inputs.once(
        "de_set.ordered_size",
        lambda: row_by_row(partial(np.sort, axis=1), _rounded_size(inputs)),
    )


def _centred_ranks(values: DoubleArray, rows: npt.NDArray[np.intp], n_rows: int) -> DoubleArray:
    """Rank the values of each row, less the row's mean rank; ties share the middle rank.

    Args:
        values: Values of all rows, (N,).
        rows: Row of each value, ascending, (N,).
        n_rows: Number of rows.

    Returns:
        (N,), multiples of a half.
    """
    order = np.argsort(values)
    # Row by row, and in each as they are ordered; small integers are sorted by counting.
    small = rows.astype(np.min_scalar_type(n_rows))
    order = order[np.argsort(small[order], kind="stable")]
    ordered = values[order]
    is_first = np.ones(len(values), dtype=np.bool_)
    is_first[1:] = (ordered[1:] != ordered[:-1]) | (rows[1:] != rows[:-1])
    first = np.flatnonzero(is_first)  # Of the values that tie.
    end = np.append(first[1:], len(values))
    counts = np.bincount(rows, minlength=n_rows)
    middle = counts.cumsum() - counts / 2.0  # The mean rank of a row, from the start of all.
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((first + end) / 2.0, end - first) - middle[rows]
    return ranks


def of_significant(values: DoubleArray, is_significant: BoolArray) -> MetricValues:
    """Leave values undefined where no gene is significant, (n,)."""
    n_significant = count_true(is_significant)
    undefined = np.flatnonzero(n_significant == 0).tolist()
    values = np.where(n_significant > 0, values, np.nan)
    return MetricValues(values, dict.fromkeys(undefined, NO_SIGNIFICANT))


def _example(
    predicted: list[list[float]],
    truth: list[list[float]],
    control: list[float],
    is_significant: list[list[bool]],
) -> MetricInputs:
    from dygenept.testing import small_metric_inputs
    from dygenept.types import DeTests

    plain = small_metric_inputs(predicted, truth, control=control)
    tests = DeTests(np.array(is_significant), np.zeros(plain.truth.shape))
    return replace(plain, de_tests=tests)


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metrics; a suite names them."""
    spec = partial(
        metric_spec,
        higher_is_better=True,
        upper=1.0,
        undefined="the perturbation has no significant DE gene; left out of means",
        uses_de_tests=True,
        by_row=True,
        boards="named",
    )
    return [
        spec(
            des,
            formula="share of the k significant genes among the k largest |log2 fold changes|",
            misleads=(
                "Genes that are hardly expressed have large fold changes; a mean gives no "
                "significance, so every gene stands for itself."
            ),
            use="For the Virtual Cell Challenge.",
            guess="k / G",
            summary="Share of significant DE genes among as many top predicted fold changes (DES).",
            source=f"{CELL_EVAL}overlap_at_N; Virtual Cell Challenge 2025",
            lower=0.0,
            neutral=0.0,
            undefined="the perturbation has no significant DE gene; counts as 0",
        ),
        spec(
            de_sign_match,
            formula="share of the k significant genes whose log2 fold changes have the same sign",
            misleads="A constant sign does well where changes go one way.",
            use="To compare with cell-eval.",
            summary="Share of significant DE genes that change in the right direction.",
            source=f"{CELL_EVAL}de_direction_match",
            lower=0.0,
            chance=0.5,
        ),
        spec(
            de_spearman_lfc,
            formula="Spearman correlation of log2 fold changes over the k significant genes",
            misleads=(
                "Few significant genes give a coarse value; a change shared by all perturbations "
                "is rewarded."
            ),
            use="To compare with cell-eval.",
            summary="Spearman correlation of the fold changes of significant DE genes.",
            source=f"{CELL_EVAL}de_spearman_lfc_sig",
            lower=-1.0,
            neutral=0.0,
            chance=0.0,
            undefined="fewer than two significant DE genes, or a constant side",
        ),
        spec(
            de_auprc,
            formula="average precision of |log2 fold change| for significant genes",
            misleads=(
                "Chance is the share of significant genes, which differs between perturbations."
            ),
            use="Where a ranking of genes is used, not a fixed number of them.",
            guess="k / G",
            summary="Average precision of predicted fold changes for significant DE genes.",
            source=f"{CELL_EVAL}pr_auc",
            lower=0.0,
            undefined="no gene or every gene is significant; left out of means",
        ),
    ]
