"""Metrics of predicted cells, where a model predicts cells (``PredictsCells``) and not only means.

At most 100 predicted cells of a perturbation are compared; values below 0 count as 0. Undefined for
a model that predicts none. Where controls are matched by batch, a model that can is asked for cells
in the batches of the real ones (``PredictsCellsOfBatches``). Beside cells that name no batch, the
real ones are in the controls' mix of batches (``MetricCells.real_mixed``).

``mmd``: squared maximum mean discrepancy from at most 100 real cells, with Gaussian kernels
exp(-γ d²), the mean over γ = 2, 1, 0.5, 0.1, 0.01 and 0.005, all pairs (a cell with itself too).
CellOT (Bunne et al. 2023).
``wasserstein``: 1-Wasserstein distance of predicted and real values, the mean over genes.
``des_cells``, ``de_recall_cells``, ``de_auprc_cells``, ``de_sign_match_cells`` and
``de_spearman_lfc_cells``: the significant genes of the perturbation (see ``de_set``) beside those
of the predicted cells, which are tested in the same way: within batches where they name theirs,
else against all control cells of the cell type.
cell-eval, ``overlap_at_N``, ``de_sig_genes_recall``, ``pr_auc``, ``de_direction_match`` and
``de_spearman_lfc_sig``.
They load scipy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from dygenept.evaluation.candidate_ranks import squared_distances
from dygenept.evaluation.rows import none_defined, top_share
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DeTests, DoubleArray, MetricInputs, MetricValues, PredictedCells
from dygenept_plugins.metrics._declared import metric_spec
from dygenept_plugins.metrics.de_set import (
    NO_TESTS,
    TIE_DECIMALS,
    average_precision,
    de_sign_match,
    de_spearman_lfc,
    log2_fold_change,
    of_significant,
)

NO_CELLS = "the model predicts no cells"
NO_REAL_CELLS = "no cells were sampled"
FDR = 0.05
GAMMAS = (2.0, 1.0, 0.5, 0.1, 0.01, 0.005)
# cell-eval cuts smaller adjusted p values off.
SMALLEST_P = 1e-10


def mmd(inputs: MetricInputs) -> MetricValues:
    """Return E k(X, X') + E k(Y, Y') - 2 E k(X, Y), the mean over kernels, (n,).

    Example:
        Two equal cells against two equal cells a distance of 1 away: 2 - 2 exp(-γ) for each γ.

        >>> mmd(_example([[0.0], [0.0]], [[1.0], [1.0]])).values.round(3)
        array([0.667])
    """

    def discrepancy(predicted: DoubleArray, real: DoubleArray) -> float:
        pairs = (predicted, predicted, 1.0), (real, real, 1.0), (predicted, real, -2.0)
        total = 0.0
        for left, right, sign in pairs:
            squared = squared_distances(left, right)
            total += sign * sum(float(np.exp(-gamma * squared).mean()) for gamma in GAMMAS)
        return max(total / len(GAMMAS), 0.0)

    return _of_cells(inputs, discrepancy)


def wasserstein(inputs: MetricInputs) -> MetricValues:
    """Return the mean over genes of the distance between predicted and real values, (n,).

    Example:
        Values of 0 and 1 are moved to 2 and 5 by 2 and 4.

        >>> wasserstein(_example([[0.0], [1.0]], [[2.0], [5.0]])).values
        array([3.])
    """

    def distance(predicted: DoubleArray, real: DoubleArray) -> float:
        both = np.concatenate([predicted, real])  # (m + k, G)
        order = np.argsort(both, axis=0)
        gaps = np.diff(np.take_along_axis(both, order, axis=0), axis=0)
        is_predicted = order < len(predicted)
        # Shares of both sides that are no larger; between equal values there is no gap.
        ahead = np.cumsum(is_predicted / len(predicted) - ~is_predicted / len(real), axis=0)
        return float((np.abs(ahead[:-1]) * gaps).sum(axis=0).mean())

    return _of_cells(inputs, distance)


def des_cells(inputs: MetricInputs) -> MetricValues:
    """Return |significant genes ∩ the top k that are significant in predicted cells| / k, (n,).

    Example:
        Without predicted cells it is undefined.

        >>> from dygenept.testing import small_metric_inputs
        >>> des_cells(small_metric_inputs([[1.0]], [[1.0]])).reasons
        {0: 'the model predicts no cells'}
    """

    def overlap(cells: PredictedCells, tests: DeTests) -> MetricValues:
        size = np.abs(log2_fold_change(cells.means, inputs.control)).round(TIE_DECIMALS)
        is_found = cells.adjusted_p < FDR
        # What is not significant comes last, and counts for nothing.
        shares = top_share(np.where(is_found, size, -1.0), tests.is_significant, is_found)
        return of_significant(shares, tests.is_significant)

    return _of_tests(inputs, overlap)


def de_recall_cells(inputs: MetricInputs) -> MetricValues:
    """Return |significant genes ∩ those significant in predicted cells| / k, (n,).

    Example:
        Without predicted cells it is undefined.

        >>> from dygenept.testing import small_metric_inputs
        >>> de_recall_cells(small_metric_inputs([[1.0]], [[1.0]])).reasons
        {0: 'the model predicts no cells'}
    """

    def recall(cells: PredictedCells, tests: DeTests) -> MetricValues:
        is_significant = tests.is_significant
        hits = ((cells.adjusted_p < FDR) & is_significant).sum(axis=1)
        return of_significant(hits / np.maximum(is_significant.sum(axis=1), 1), is_significant)

    return _of_tests(inputs, recall)


def de_auprc_cells(inputs: MetricInputs) -> MetricValues:
    """Return the average precision of the predicted cells' adjusted p values, (n,).

    Example:
        Without predicted cells it is undefined.

        >>> from dygenept.testing import small_metric_inputs
        >>> de_auprc_cells(small_metric_inputs([[1.0]], [[1.0]])).reasons
        {0: 'the model predicts no cells'}
    """

    def precision(cells: PredictedCells, tests: DeTests) -> MetricValues:
        score = -np.log10(np.maximum(cells.adjusted_p, SMALLEST_P))
        return average_precision(score.round(TIE_DECIMALS), tests.is_significant)

    return _of_tests(inputs, precision)


def de_sign_match_cells(inputs: MetricInputs) -> MetricValues:
    """Return ``de_sign_match`` of the mean of the predicted cells, (n,).

    Example:
        Without predicted cells it is undefined.

        >>> from dygenept.testing import small_metric_inputs
        >>> de_sign_match_cells(small_metric_inputs([[1.0]], [[1.0]])).reasons
        {0: 'the model predicts no cells'}
    """
    return _of_tests(
        inputs, lambda cells, tests: de_sign_match(replace(inputs, predicted=cells.means))
    )


def de_spearman_lfc_cells(inputs: MetricInputs) -> MetricValues:
    """Return ``de_spearman_lfc`` of the mean of the predicted cells, (n,).

    Example:
        Without predicted cells it is undefined.

        >>> from dygenept.testing import small_metric_inputs
        >>> de_spearman_lfc_cells(small_metric_inputs([[1.0]], [[1.0]])).reasons
        {0: 'the model predicts no cells'}
    """
    return _of_tests(
        inputs, lambda cells, tests: de_spearman_lfc(replace(inputs, predicted=cells.means))
    )


def _of_cells(
    inputs: MetricInputs, compare: Callable[[DoubleArray, DoubleArray], float]
) -> MetricValues:
    cells, real = inputs.predicted_cells, inputs.cells
    if cells is None or real is None:
        return none_defined(inputs, NO_CELLS if cells is None else NO_REAL_CELLS)
    return MetricValues(
        np.array(
            [
                compare(
                    cells.cells[row].astype(np.float64),
                    real.measured(row) if cells.name_batches else real.real_mixed(row),
                )
                for row in range(len(inputs.conditions))
            ]
        )
    )


def _of_tests(
    inputs: MetricInputs, compare: Callable[[PredictedCells, DeTests], MetricValues]
) -> MetricValues:
    if inputs.predicted_cells is None or inputs.de_tests is None:
        return none_defined(inputs, NO_CELLS if inputs.predicted_cells is None else NO_TESTS)
    return compare(inputs.predicted_cells, inputs.de_tests)


def _example(predicted: list[list[float]], real: list[list[float]]) -> MetricInputs:
    from scipy.sparse import csr_matrix

    from dygenept.evaluation.cell_samples import samples_of
    from dygenept.testing import small_metric_inputs

    cells = np.array(predicted, dtype=np.float32)
    plain = small_metric_inputs([cells.mean(axis=0)], [np.mean(real, axis=0)])
    return replace(
        plain,
        cells=samples_of(
            csr_matrix(real),
            control_rows=(np.arange(1),),
            real_rows=(np.arange(len(real)),),
            means=plain.truth,
        ),
        predicted_cells=PredictedCells((cells,), plain.predicted, np.ones(plain.truth.shape)),
    )


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metrics; a suite of models that predict cells names them."""
    spec = partial(metric_spec, uses_predicted_cells=True, boards="named")
    distance = partial(
        spec,
        higher_is_better=False,
        lower=0.0,
        uses_cells=True,
        undefined=f"{NO_CELLS}; left out of means",
    )
    found = partial(
        spec,
        higher_is_better=True,
        lower=0.0,
        upper=1.0,
        uses_de_tests=True,
        undefined=f"{NO_CELLS}, or no DE gene is significant; left out of means",
    )
    return [
        distance(
            mmd,
            formula=(
                "E k(X, X′) + E k(Y, Y′) − 2E k(X, Y), mean over six Gaussian kernels, X predicted "
                "cells"
            ),
            misleads=(
                "The kernels' widths are fixed: on another number of genes all distances may be "
                "far from them."
            ),
            use="For models that predict cells; beside shifted_cells, the trivial one.",
            summary="Squared maximum mean discrepancy of predicted and real cells (RBF kernels).",
            source="Bunne et al. 2023 (CellOT), doi:10.1038/s41592-023-01969-x",
            upper=2.0,
        ),
        distance(
            wasserstein,
            formula="mean over genes of the 1-Wasserstein distance of predicted and real values",
            misleads=(
                "Looks at each gene alone; zeros dominate. Matched by batch, real cells that change"
                " batch beside cells that name none have the noise of its controls."
            ),
            use="For models that predict cells.",
            summary="1-Wasserstein distance of predicted and real values, mean over genes.",
            source="scipy, wasserstein_distance",
        ),
        found(
            des_cells,
            formula=(
                "share of the k significant genes that are among the top k significant genes of "
                "predicted cells"
            ),
            misleads=(
                "Only models that predict cells have it; the number of predicted cells decides "
                "what is significant."
            ),
            use="For models that predict cells, as cell-eval defines it.",
            summary="Overlap of the DE genes of predicted and real cells (DES).",
            source="cell-eval (Arc Institute), overlap_at_N; Virtual Cell Challenge 2025",
        ),
        found(
            de_recall_cells,
            formula="share of the k significant genes that are significant in predicted cells",
            misleads="Predicting that everything is significant scores 1.",
            use="Beside des_cells, never alone.",
            summary="Share of significant DE genes that are significant in predicted cells.",
            source="cell-eval (Arc Institute), de_sig_genes_recall",
        ),
        found(
            de_auprc_cells,
            formula=(
                "average precision of −log10 adjusted p of predicted cells for significant genes"
            ),
            misleads="As de_auprc; cells with too little spread make everything significant.",
            use="For models that predict cells.",
            summary="Average precision of predicted cells' p values for significant DE genes.",
            source="cell-eval (Arc Institute), pr_auc",
        ),
        found(
            de_sign_match_cells,
            formula="de_sign_match of the mean of predicted cells",
            misleads="As de_sign_match.",
            use="For models that predict cells.",
            summary="Share of significant DE genes whose direction predicted cells have.",
            source="cell-eval (Arc Institute), de_direction_match",
            chance=0.5,
        ),
        found(
            de_spearman_lfc_cells,
            formula="de_spearman_lfc of the mean of predicted cells",
            misleads="As de_spearman_lfc.",
            use="For models that predict cells.",
            summary="Spearman correlation of fold changes of significant DE genes, from cells.",
            source="cell-eval (Arc Institute), de_spearman_lfc_sig",
            lower=-1.0,
            chance=0.0,
        ),
    ]
