"""Measured pairs of a table with their closed-form start, in the units that a loss reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dygenept.model.effects.fitted_start import Start
from dygenept.model.effects.left_out import MIN_PAIRS, Measured, label_errors
from dygenept.types import BoolArray, DoubleArray
from dygenept.types.effects import EffectKind

Positions = npt.NDArray[np.intp]
# Left-out changes of labels are small; tried factors between them and logits.
SHARPNESS = (1.0, 2.0, 3.0, 5.0, 10.0)
EDGE = 0.01
SOFTENING = 0.05
# Pairs of a gene whose order is asked for, at most.
MOST_ORDERED = 256


@dataclass(frozen=True, slots=True)
class Units:
    """How a start, and what is added to it, become a prediction.

    Attributes:
        kind: What the values are. Labels are added to as logits.
        sharpness: Of labels: logits per change, relative to the slope at the gene's mean.
        size: Of signs and numbers: root mean square of what the start leaves.
    """

    kind: EffectKind
    sharpness: float = 1.0
    size: float = 1.0

    def start(self, start: Start) -> DoubleArray:
        """Return the start where something can be added to it, (n, G)."""
        if self.kind != "labels":
            return start.prediction / self.size
        mean = np.clip(start.means, EDGE, 1.0 - EDGE)
        spread = mean * (1.0 - mean)
        return np.log(mean / (1.0 - mean)) + self.sharpness * start.changes / (spread + SOFTENING)

    def truth(self, values: DoubleArray) -> DoubleArray:
        """Return measured values on the loss's scale."""
        return values if self.kind == "labels" else values / self.size

    def prediction(self, sums: DoubleArray) -> DoubleArray:
        """Return predictions from the sums of start and what was added."""
        if self.kind != "labels":
            return sums * self.size
        return 1.0 / (1.0 + np.exp(-sums))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Measured pairs.

    Attributes:
        units: Scale of ``truth`` and ``start``.
        rows: The condition of each, (m,).
        columns: The output gene of each, (m,).
        truth: What was measured, (m,).
        weights: How far it counts, (m,), above 0.
        start: The left-out prediction, (m,).
        means: The gene's mean, (m,).
        groups: The perturbation of each, (m,).
    """

    units: Units
    rows: Positions
    columns: Positions
    truth: DoubleArray
    weights: DoubleArray
    start: DoubleArray
    means: DoubleArray
    groups: npt.NDArray[np.integer]

    @classmethod
    def of(cls, measured: Measured, left_out: Start) -> Pairs:
        """Take all measured pairs, with the left-out start."""
        rows, columns = np.nonzero(measured.weights > 0)
        at = (rows, columns)
        truth = measured.truth[at].astype(np.float64)
        weights = measured.weights[at].astype(np.float64)
        at_pairs = Start(left_out.means[at], left_out.changes[at])
        units = _fitting_units(measured.kind, at_pairs, truth, weights)
        return cls(
            units=units,
            rows=rows,
            columns=columns,
            truth=units.truth(truth),
            weights=weights,
            start=units.start(at_pairs),
            means=units.truth(at_pairs.means),
            groups=measured.groups[rows],
        )

    def take(self, chosen: Positions | BoolArray) -> Pairs:
        """Return some of the pairs."""
        return Pairs(
            self.units,
            self.rows[chosen],
            self.columns[chosen],
            self.truth[chosen],
            self.weights[chosen],
            self.start[chosen],
            self.means[chosen],
            self.groups[chosen],
        )

    def gene_errors(self, added: DoubleArray, n_genes: int) -> DoubleArray:
        """Return each gene's error of start and what was added, (G,); NaN where it has none.

        As of left-out predictions: one less the area under the ROC curve of labels and signs, for
        genes with at least five pairs; else the squared error relative to the gene's mean.
        """
        sums = self.start + added
        kind = self.units.kind
        if kind != "values":
            truth = self.truth * self.units.size if kind == "signs" else self.truth
            order = np.argsort(self.columns, kind="stable")
            return label_errors(kind, self.columns[order], truth[order], sums[order], n_genes)
        left = np.bincount(self.columns, (self.truth - sums) ** 2, minlength=n_genes)
        start = np.bincount(self.columns, (self.truth - self.means) ** 2, minlength=n_genes)
        errors = np.full(n_genes, np.nan)
        enough = np.bincount(self.columns, minlength=n_genes) >= MIN_PAIRS
        np.divide(left, start, out=errors, where=enough & (start > 0))
        return errors

    def share_reordered(self, added: DoubleArray) -> float:
        """Return the share of comparisons within a gene that come out otherwise with what is added.

        Two perturbations of a gene are compared by what is predicted of them: one is above, below
        or the same. The mean over genes with at least five pairs, by 256 pairs each at most, evenly
        spaced; 0 without such a gene.

        Args:
            added: What is added to the start, (m,).
        """
        order = np.argsort(self.columns, kind="stable")
        ends = np.flatnonzero(np.diff(self.columns[order])) + 1
        shares = []
        for rows in np.split(order, ends):
            if len(rows) < MIN_PAIRS:
                continue
            n = min(len(rows), MOST_ORDERED)
            some = rows[np.linspace(0, len(rows) - 1, n).astype(np.intp)]
            before = _compared(self.start[some])
            shares.append(float((before != _compared(self.start[some] + added[some])).mean()))
        return float(np.mean(shares)) if shares else 0.0


def _compared(predicted: DoubleArray) -> DoubleArray:
    """Return the sign of each difference of two, (n (n - 1) / 2,)."""
    first, second = np.triu_indices(len(predicted), k=1)
    signs: DoubleArray = np.sign(predicted[first] - predicted[second])
    return signs


def _fitting_units(
    kind: EffectKind, start: Start, truth: DoubleArray, weights: DoubleArray
) -> Units:
    """Choose the sharpness of labels by their cross entropy, and the size of what is left."""
    if kind != "labels":
        left = float(np.average((truth - start.prediction) ** 2, weights=weights)) ** 0.5
        return Units(kind, size=left if left > 0 else 1.0)

    def entropy(units: Units) -> float:
        logits = units.start(start)
        return float(np.average(np.logaddexp(0.0, logits) - logits * truth, weights=weights))

    return min((Units(kind, sharpness) for sharpness in SHARPNESS), key=entropy)
