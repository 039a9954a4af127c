"""Distances of predictions to all held-out truths of a cell type, each computed once per fold."""

from __future__ import annotations

import zlib

import numpy as np

from dygenept.evaluation.candidate_ranks import Rivals, are_alike, of_rivals, products
from dygenept.evaluation.rows import predicted_change
from dygenept.machine.tables import filled, row_parts, rows_of, squared_lengths
from dygenept.types import DoubleArray, MetricInputs
from dygenept.types.gene_sets import target_columns


def of_targets(inputs: MetricInputs, among: Rivals, genes: list[int]) -> DoubleArray:
    """True means of target genes of a prediction, (m, k)."""

    def targets() -> list[int]:
        # Whoever predicts a candidate asks for its targets.
        found = target_columns(tuple(among.truths.columns), inputs.gene_symbols)
        return [gene for columns in found for gene in columns]

    return among.truths.of_genes(genes, targets)


def squared_distances(inputs: MetricInputs, among: Rivals) -> DoubleArray:
    """Squared Euclidean distances of predictions and candidates, (n, m); not to be changed.

    Both are measured from control, so that products serve the cosine as well.
    """

    def compute() -> DoubleArray:
        squares = squared_lengths(_difference(inputs, among))[:, None]
        # These need the changes of the candidates, which leave their squares behind.
        whole = _products_of_differences(inputs, among)
        truth_squares = candidate_squares(inputs, among)
        # Cancellation may leave a tiny negative square where two rows are equal.
        return filled(
            whole,
            whole.shape,
            lambda part: np.maximum(squares[part] + truth_squares - 2.0 * whole[part], 0.0),
        )

    return inputs.once(f"ranks.squared_distances {among.rows[0]}", compute)


def candidate_delta(inputs: MetricInputs, among: Rivals) -> tuple[DoubleArray, DoubleArray]:
    """Changes of the candidates, (m, G), and their squared lengths, (m,)."""
    return among.truths.delta(inputs.control[among.rows[0]])  # One cell type has one control.


def candidate_squares(inputs: MetricInputs, among: Rivals) -> DoubleArray:
    """Squared lengths of the changes of the candidates, (m,)."""
    return among.truths.delta_squares(inputs.control[among.rows[0]])


def _difference(inputs: MetricInputs, among: Rivals) -> DoubleArray:
    """What predictions differ by from control, rounding included, (n, G); not to be changed."""

    def compute() -> DoubleArray:
        predicted, control = of_rivals(inputs.predicted, among), inputs.control[among.rows[0]]
        return filled(predicted, predicted.shape, lambda part: predicted[part] - control)

    return inputs.once(
        f"ranks.difference {among.rows[0]}",
        compute,
    )


def _products_of_differences(inputs: MetricInputs, among: Rivals) -> DoubleArray:
    """Products of ``_difference`` and of changes of candidates, (n, m); not to be changed."""

    def compute() -> DoubleArray:
        control = inputs.control[among.rows[0]]
        truth, _ = among.truths.delta(control)
        return among.truths.distances(
            f"ranks.products {zlib.crc32(control.tobytes())}",
            of_rivals(inputs.predicted, among),
            lambda rows: products(
                filled(rows, rows.shape, lambda part: rows[part] - control), truth
            ),
        )

    return inputs.once(f"ranks.products_of_differences {among.rows[0]}", compute)


def change_products(inputs: MetricInputs, among: Rivals) -> DoubleArray:
    """Products of changes of predictions and of candidates, (n, m); not to be changed."""

    def compute() -> DoubleArray:
        guess, difference = of_rivals(predicted_change(inputs), among), _difference(inputs, among)
        whole = _products_of_differences(inputs, among)
        is_rounded = np.zeros(len(guess), dtype=np.bool_)
        for part in row_parts(*guess.shape):
            is_rounded[part] = (guess[part] != difference[part]).any(axis=1)
        if not is_rounded.any():
            return whole
        truth, _ = candidate_delta(inputs, among)
        found = filled(whole, whole.shape, lambda part: whole[part])
        found[is_rounded] = _products_of(rows_of(guess, is_rounded), truth)
        return found

    return inputs.once(f"ranks.products {among.rows[0]}", compute)


def _products_of(rows: DoubleArray, truth: DoubleArray) -> DoubleArray:
    """Products of all rows, (n, G) and (m, G) to (n, m); rows that are alike are taken once."""
    if are_alike(rows):
        return np.repeat(rows[:1] @ truth.T, len(rows), axis=0)
    return products(rows, truth)


def cosines(products: DoubleArray, squares: DoubleArray, other_squares: DoubleArray) -> DoubleArray:
    """Cosines; 0 where a side is 0, as scikit-learn has it."""
    norms = np.sqrt(np.maximum(squares, 0.0) * np.maximum(other_squares, 0.0))
    cosines: DoubleArray = np.divide(products, norms, out=np.zeros(products.shape), where=norms > 0)
    return cosines
