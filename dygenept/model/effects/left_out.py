"""Exact predictions of train perturbations by all the others, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.types import BoolArray, DoubleArray, FloatArray, GroupedPairs, IntArray
from dygenept.types.effects import EffectKind
from dygenept.types.grouped import auroc

MIN_PAIRS = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of the train conditions.

    Attributes:
        kind: What the values are.
        truth: Zeros where nothing was measured, (n, G), float32.
        values: The same without what sets a cell type's gene means apart.
        weights: How far each counts, 0 where nothing was measured, (n, G), float32.
        groups: The perturbation of each condition, (n,): one is left out of all cell types at once.
        prior: How often more each gene's mean counts as measured, at ``to``.
        to: What a gene's mean is shrunk to, (G,), float32.
    """

    kind: EffectKind
    truth: FloatArray
    values: FloatArray
    weights: FloatArray
    groups: IntArray
    prior: float
    to: FloatArray

    def take_genes(self, genes: npt.NDArray[np.intp]) -> Measured:
        """Return some of the genes."""
        return Measured(
            self.kind,
            self.truth[:, genes],
            self.values[:, genes],
            self.weights[:, genes],
            self.groups,
            self.prior,
            self.to[genes],
        )

    @property
    def means(self) -> FloatArray:
        """Each gene's mean, (G,)."""
        total = (self.values * self.weights).sum(axis=0)
        means: FloatArray = (total + self.prior * self.to) / (self.weights.sum(axis=0) + self.prior)
        return means

    @property
    def residuals(self) -> FloatArray:
        """What is left of the values without their gene's mean, times weights, (n, G)."""
        return self.weights * (self.values - self.means)

    def means_without(self) -> FloatArray:
        """Each gene's mean without each condition's perturbation, (n, G)."""
        total = self.values * self.weights
        own_total, own_count = (
            _group_totals(total, self.groups),
            _group_totals(self.weights, self.groups),
        )
        without: FloatArray = (total.sum(axis=0) - own_total + self.prior * self.to) / (
            self.weights.sum(axis=0) - own_count + self.prior
        )
        return without


def left_out_operator(
    kernel: FloatArray,
    groups: IntArray,
    solved: tuple[FloatArray, FloatArray] | None,
    penalty: float,
) -> FloatArray:
    """Return the map from train residuals to those of left-out perturbations, (n, n).

    Args:
        kernel: Likeness of the train conditions, (n, n).
        groups: Perturbation of each.
        solved: Eigenvalues and eigenvectors of the kernel; None for an infinite penalty.
        penalty: Ridge penalty; where it is infinite, the kernel itself weighs the others.
    """
    same = groups[:, None] == groups[None, :]
    if solved is None:
        return np.where(same, np.float32(0.0), kernel)
    values, vectors = solved
    shrink = values / (values + np.float32(penalty) * values.mean())
    hat = (vectors * shrink) @ vectors.T  # (n, n)
    if same.sum() == len(groups):
        kept = np.maximum(1.0 - np.diag(hat), 1e-6)
        operator = hat / kept[:, None]
        np.fill_diagonal(operator, 0.0)
        return np.asarray(operator, dtype=np.float32)
    operator = hat.copy()
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        kept_block = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
        operator[rows] = np.linalg.solve(kept_block, hat[rows])
        operator[np.ix_(rows, rows)] = 0.0
    return np.asarray(operator, dtype=np.float32)


def left_out_changes(operator: FloatArray, measured: Measured) -> FloatArray:
    """Predict each train condition's difference from its genes' means by all other perturbations.

    Exact: a gene's mean is that without the perturbation, too.

    Returns:
        (n, G).
    """
    weighed = measured.values * measured.weights
    changes: FloatArray = operator @ weighed
    changes -= measured.means_without() * (operator @ measured.weights)
    return changes


def gene_errors(changes: FloatArray, measured: Measured) -> DoubleArray:
    """Return each gene's error of left-out predictions, (G,): NaN where it has none.

    Of labels and signs it is one less the area under the ROC curve (of the size of signs), for
    genes with at least five measured pairs; of values the mean squared error, in units of that of
    the gene's mean.
    """
    genes, rows = np.nonzero(measured.weights.T > 0)
    truth = measured.truth[rows, genes].astype(np.float64)
    predicted = changes[rows, genes].astype(np.float64)
    n_genes = measured.values.shape[1]
    if measured.kind == "values":
        means = measured.means_without()[rows, genes]
        scale = scale_of(changes, measured)
        truth = measured.values[rows, genes].astype(np.float64)
        left = (truth - means - scale * predicted) ** 2
        start = np.bincount(genes, (truth - means) ** 2, minlength=n_genes)
        errors = np.full(n_genes, np.nan)
        np.divide(np.bincount(genes, left, minlength=n_genes), start, out=errors, where=start > 0)
        return np.asarray(errors)
    if measured.kind == "signs":
        predicted = predicted + measured.means_without()[rows, genes]
    return label_errors(measured.kind, genes, truth, predicted, n_genes)


def label_errors(
    kind: EffectKind,
    genes: npt.NDArray[np.intp],
    truth: DoubleArray,
    predicted: DoubleArray,
    n_genes: int,
) -> DoubleArray:
    """Return one less the area under each gene's ROC curve, (n_genes,): NaN where it has none.

    Args:
        kind: ``labels``, or ``signs``, whose size is what is to be told from 0.
        genes: The gene of each pair, (m,), sorted.
        truth: What was measured, (m,).
        predicted: What was predicted, (m,).
        n_genes: Number of genes; those with fewer than five pairs have no error.
    """
    labels: BoolArray = truth > 0.5
    if kind == "signs":
        labels, predicted = truth != 0.0, np.abs(predicted)
    pairs = GroupedPairs(
        kind=kind,
        groups=genes.astype(np.int32),
        n_groups=n_genes,
        truth=truth,
        predicted=predicted,
        counts=np.ones((1, len(genes))),
    )
    areas = auroc(pairs, labels=labels, scores=predicted)[0]
    few = np.bincount(genes, minlength=n_genes) < MIN_PAIRS
    return np.where(few, np.nan, 1.0 - areas)


def scale_of(changes: FloatArray, measured: Measured) -> float:
    """Return the factor that brings left-out predictions nearest to what was measured."""
    left = measured.weights * (measured.values - measured.means_without())
    seen = np.where(measured.weights > 0, changes, np.float32(0.0))
    size = float(np.square(seen, dtype=np.float64).sum())
    if size <= 0.0:
        return 0.0
    return max(float((seen * left).sum(dtype=np.float64)) / size, 0.0)


def _group_totals(values: FloatArray, groups: IntArray) -> FloatArray:
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) == len(groups):
        return values
    totals = np.zeros((len(names), values.shape[1]), dtype=values.dtype)
    np.add.at(totals, codes, values)
    return totals[codes]
