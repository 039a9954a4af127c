"""Scores a table's predictions, metric by metric, gene by gene or perturbation by perturbation.

A macro average over genes is uncertain twice: other genes, and other held-out perturbations. So
each metric is also computed on resamples of both, the same ones for every model of a fold.

The spread over these two-way resamples is a mean's standard error; intervals and p values are those
of the normal distribution. Over genes alone an interval is too narrow, since all genes share the
perturbations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.data.pseudobulk import condition_positions
from dygenept.errors import PluginError
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import EffectMetric
from dygenept.plugin.specs import EffectMetricSpec
from dygenept.types import DoubleArray, GroupedPairs, IntArray, PerturbationData, Predictions

N_RESAMPLES = 200
# Values of all resamples that are computed at once.
BLOCK = 1 << 22
TWO_SIDED_95 = 1.959963984540054
# Resamples with fewer defined ones have no spread to go by.
MIN_DRAWS = 20


@dataclass(frozen=True, slots=True)
class EffectScore:
    """One metric of one fold.

    Attributes:
        names: The genes or perturbations that it is computed for, (n_units,).
        cell_types: Their cell types, (n_units,).
        values: NaN where undefined, (n_units,).
        chance: The mean over units of what a guess is worth; None where the metric does not say.
        resampled: The mean over units in each resample of genes and perturbations, (B,).
    """

    names: tuple[str, ...]
    cell_types: tuple[str, ...]
    values: DoubleArray
    chance: float | None
    resampled: DoubleArray


@dataclass(frozen=True, slots=True)
class _Measured:
    """The measured pairs of a fold.

    Attributes:
        rows: Position of each pair's condition, (m,).
        genes: Position of its gene, (m,).
        truth: (m,).
        predicted: (m,).
        row_counts: How often each condition counts in each resample, (B, n).
        gene_counts: The same of genes, (B, G).
    """

    rows: IntArray
    genes: IntArray
    truth: DoubleArray
    predicted: DoubleArray
    row_counts: DoubleArray
    gene_counts: DoubleArray


def score_effects(
    metrics: Sequence[tuple[EffectMetricSpec, EffectMetric]],
    predictions: Predictions,
    data: PerturbationData,
    *,
    n_resamples: int = N_RESAMPLES,
) -> list[tuple[EffectMetricSpec, EffectScore]]:
    """Score predictions with every metric that fits the table's values.

    Only measured pairs are looked at. Resamples depend on the data set, the held-out perturbations
    and nothing of the model, so that two models can be compared draw by draw.

    Args:
        metrics: Metrics; those for other kinds of values are left out.
        predictions: A value for every pair of the held-out conditions.
        data: The table.
        n_resamples: Resamples B.

    Raises:
        PluginError: If a prediction is not finite or a metric fails.
    """
    table = data.effects
    assert table is not None
    truth = table.values[condition_positions(data, predictions.conditions)]  # (n, G)
    predicted = np.asarray(predictions.expression, dtype=np.float64)
    if predicted.shape != truth.shape or not np.isfinite(predicted).all():
        raise PluginError(
            f"predictions are {predicted.shape}; expected {truth.shape}, all of them finite"
        )
    rows, genes = np.nonzero(~np.isnan(truth))
    row_counts, gene_counts = _resamples(predictions, data, n_resamples)
    measured = _Measured(
        rows=rows.astype(np.int32),
        genes=genes.astype(np.int32),
        truth=truth[rows, genes],
        predicted=predicted[rows, genes],
        row_counts=row_counts,
        gene_counts=gene_counts,
    )
    return [
        (spec, _score(spec, metric, measured, predictions, data))
        for spec, metric in metrics
        if table.kind in spec.values
    ]


def _score(
    spec: EffectMetricSpec,
    metric: EffectMetric,
    measured: _Measured,
    predictions: Predictions,
    data: PerturbationData,
) -> EffectScore:
    table = data.effects
    assert table is not None
    conditions = predictions.conditions
    types = tuple(dict.fromkeys(condition.cell_type for condition in conditions))
    of_row = np.array([types.index(condition.cell_type) for condition in conditions])
    if spec.unit == "gene":
        codes = of_row[measured.rows] * data.n_genes + measured.genes
        present, groups = np.unique(codes, return_inverse=True)
        names = [data.gene_symbols[code % data.n_genes] for code in present.tolist()]
        unit_types = [types[code // data.n_genes] for code in present.tolist()]
        unit_counts = measured.gene_counts[:, present % data.n_genes]
        inner, at = measured.row_counts, measured.rows
    else:
        present, groups = np.unique(measured.rows, return_inverse=True)
        names = [conditions[row].label for row in present.tolist()]
        unit_types = [conditions[row].cell_type for row in present.tolist()]
        unit_counts = measured.row_counts[:, present]
        inner, at = measured.gene_counts, measured.genes
    order = np.argsort(groups, kind="stable")
    pairs = GroupedPairs(
        kind=table.kind,
        groups=groups[order].astype(np.int32),
        n_groups=len(present),
        truth=measured.truth[order],
        predicted=measured.predicted[order],
        counts=np.ones((1, len(order))),
    )
    n_each = np.bincount(pairs.groups, minlength=pairs.n_groups)
    with plugin_code(f"metric {spec.name!r}"):
        values = np.where(n_each >= spec.min_pairs, metric(pairs)[0], np.nan)
        chance = None if spec.chance is None else spec.chance(pairs)[0]
    is_defined = ~np.isnan(values)
    return EffectScore(
        names=tuple(names),
        cell_types=tuple(unit_types),
        values=values,
        chance=None if chance is None or not is_defined.any() else float(chance[is_defined].mean()),
        resampled=_resampled(spec, metric, pairs, (inner[:, at[order]], unit_counts * is_defined)),
    )


def _resampled(
    spec: EffectMetricSpec,
    metric: EffectMetric,
    pairs: GroupedPairs,
    counts: tuple[DoubleArray, DoubleArray],
) -> DoubleArray:
    """Return the mean over units in each resample, (B,): NaN where no unit is defined."""
    of_pairs, of_units = counts
    found = []
    size = max(1, BLOCK // max(len(pairs.groups), 1))
    for start in range(0, len(of_pairs), size):
        some = slice(start, start + size)
        drawn = GroupedPairs(
            kind=pairs.kind,
            groups=pairs.groups,
            n_groups=pairs.n_groups,
            truth=pairs.truth,
            predicted=pairs.predicted,
            counts=of_pairs[some],
        )
        with plugin_code(f"metric {spec.name!r}"):
            values = metric(drawn)  # (b, n_units)
        weights = np.where(np.isnan(values), 0.0, of_units[some])
        total = weights.sum(axis=1)
        sums = (weights * np.nan_to_num(values)).sum(axis=1)
        found.append(np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0))
    return np.concatenate(found) if found else np.zeros(0)


def _resamples(
    predictions: Predictions, data: PerturbationData, n_resamples: int
) -> tuple[DoubleArray, DoubleArray]:
    """Draw how often each held-out perturbation, (B, n), and each gene counts, (B, G).

    A perturbation counts alike in all of its cell types.
    """
    labels = [condition.label for condition in predictions.conditions]
    seed = hashlib.sha256("\x1f".join((data.sha256, *labels)).encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    names, codes = np.unique(labels, return_inverse=True)

    def drawn(n: int) -> DoubleArray:
        return rng.multinomial(n, np.full(n, 1.0 / n), size=n_resamples).astype(np.float64)

    return drawn(len(names))[:, codes], drawn(data.n_genes)


def standard_error(draws: DoubleArray) -> float:
    """Return the spread over resamples, (B,); NaN where too few are defined."""
    defined = draws[~np.isnan(draws)]
    return float(defined.std(ddof=1)) if len(defined) >= MIN_DRAWS else float("nan")


def interval(mean: float, draws: DoubleArray) -> tuple[float, float]:
    """Return the 95 % interval of a mean."""
    half = TWO_SIDED_95 * standard_error(draws)
    return mean - half, mean + half


def two_sided_p(difference: float, draws: DoubleArray) -> float:
    """Return the p value of a paired difference, from the differences in each resample, (B,)."""
    from scipy.special import ndtr

    error = standard_error(draws)
    if np.isnan(error):
        return 1.0
    if error == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    return float(2.0 * ndtr(-abs(difference) / error))
