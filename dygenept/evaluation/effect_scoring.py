"""Scores a table's predictions, metric by metric, gene by gene or perturbation by perturbation.

A macro average over genes is uncertain twice: other genes, and other held-out perturbations. So
each metric is also computed on resamples of either, the same ones for every model of a fold;
``dygenept.evaluation.two_way`` makes intervals of them. Over genes alone an interval is too narrow,
since all genes share the perturbations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from dygenept.data.pseudobulk import condition_positions
from dygenept.errors import PluginError
from dygenept.evaluation.two_way import TwoWay, widened
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import EffectMetric
from dygenept.plugin.specs import EffectMetricSpec
from dygenept.types import (
    BoolArray,
    DoubleArray,
    GroupedPairs,
    IntArray,
    PerturbationData,
    Predictions,
)
from dygenept.types.effects import EffectKind

N_RESAMPLES = 200
# Random orders of tied predictions, what counts as tied, and gains that are rounding.
N_ORDERS = 20
TIED = 1e-9
LEAST_GAIN = 1e-6
# Values of all resamples that are computed at once.
BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class EffectScore:
    """One metric of one fold.

    Attributes:
        names: The genes or perturbations that it is computed for, (n_units,).
        cell_types: Their cell types, (n_units,).
        values: NaN where undefined, (n_units,).
        chance: The mean over units of what a guess is worth; None where the metric does not say.
        resampled: The mean over units in resamples of genes and of perturbations.
        resampled_by_type: The same of each cell type, where there are several.
        untied: By how much the mean would be better were tied predictions ordered at random; 0
            where the metric does not lower ties.
        untied_by_type: The same of the mean of each cell type, where there are several.
        chance_by_type: ``chance`` of each of them that has a defined value.
    """

    names: tuple[str, ...]
    cell_types: tuple[str, ...]
    values: DoubleArray
    chance: float | None
    resampled: TwoWay
    resampled_by_type: Mapping[str, TwoWay]
    untied: float = 0.0
    untied_by_type: Mapping[str, float] = field(default_factory=dict)
    chance_by_type: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Draws:
    """Resamples of a fold, the same ones for every model and metric.

    Attributes:
        labels: Which perturbation each condition is, whatever its cell type, (n,).
        perturbations: How often each counts in each resample of perturbations, (B, P).
        genes: How often each gene counts in each resample of genes, (B, G).
        genes_taken: Which resample of genes each perturbation takes where no two share one, (B, P).
        perturbations_taken: Which resample of perturbations each gene takes there, (B, G).
        with_others: True if perturbations of other folds were drawn together with these.
    """

    labels: IntArray
    perturbations: DoubleArray
    genes: DoubleArray
    genes_taken: IntArray
    perturbations_taken: IntArray
    with_others: bool


@dataclass(frozen=True, slots=True)
class _Measured:
    """The measured pairs of a fold.

    Attributes:
        rows: Position of each pair's condition, (m,).
        genes: Position of its gene, (m,).
        truth: (m,).
        predicted: (m,).
    """

    rows: IntArray
    genes: IntArray
    truth: DoubleArray
    predicted: DoubleArray


@dataclass(frozen=True, slots=True)
class _Units:
    """What has one value each: genes or perturbations, those of each cell type by themselves.

    Attributes:
        of_pairs: Which unit each measured pair belongs to, (m,).
        names: (n_units,).
        cell_types: (n_units,).
        clusters: Which gene or perturbation each unit is, whatever its cell type, (n_units,).
        within: Which perturbation or gene of its unit each pair is, (m,).
        outer: How often each cluster counts in resamples of clusters, (B, their number).
        inner: How often what is within a unit counts in resamples of it, (B, their number).
        taken: Which inner resample each cluster takes where no two share one, like ``outer``.
        with_others: True if resamples were drawn together with those of other folds.
    """

    of_pairs: IntArray
    names: tuple[str, ...]
    cell_types: tuple[str, ...]
    clusters: IntArray
    within: IntArray
    outer: DoubleArray
    inner: DoubleArray
    taken: IntArray
    with_others: bool


def score_effects(
    metrics: Sequence[tuple[EffectMetricSpec, EffectMetric]],
    predictions: Predictions,
    data: PerturbationData,
    *,
    n_resamples: int = N_RESAMPLES,
    drawn_of: Sequence[str] = (),
) -> list[tuple[EffectMetricSpec, EffectScore]]:
    """Score predictions with every metric that fits the table's values.

    Only measured pairs are looked at. Resamples depend on the data set, the held-out perturbations
    and nothing of the model, so that two models can be compared draw by draw.

    Args:
        metrics: Metrics; those for other kinds of values are left out.
        predictions: A value for every pair of the held-out conditions.
        data: The table.
        n_resamples: Resamples B.
        drawn_of: The perturbations of which resamples are drawn, where other folds hold out some
            of the same ones (``two_way.drawn_together``); empty takes those of the predictions.

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
    draws = _drawn(predictions, data, n_resamples, drawn_of)
    measured = _Measured(
        rows=rows.astype(np.int32),
        genes=genes.astype(np.int32),
        truth=truth[rows, genes],
        predicted=predicted[rows, genes],
    )
    of_unit = {
        "gene": _genes_as_units(measured, draws, predictions, data),
        "perturbation": _perturbations_as_units(measured, draws, predictions),
    }
    return [
        (spec, _score(spec, metric, measured, of_unit[spec.unit], table.kind))
        for spec, metric in metrics
        if table.kind in spec.values
    ]


def _genes_as_units(
    measured: _Measured, draws: _Draws, predictions: Predictions, data: PerturbationData
) -> _Units:
    kinds = [condition.cell_type for condition in predictions.conditions]
    types = tuple(dict.fromkeys(kinds))
    type_of_row = np.array([types.index(kind) for kind in kinds], dtype=np.int64)
    codes = type_of_row[measured.rows] * data.n_genes + measured.genes
    present, of_pairs = np.unique(codes, return_inverse=True)
    genes = present % data.n_genes
    return _Units(
        of_pairs=of_pairs.astype(np.int32),
        names=tuple(data.gene_symbols[gene] for gene in genes.tolist()),
        cell_types=tuple(types[kind] for kind in (present // data.n_genes).tolist()),
        clusters=genes.astype(np.int32),
        within=draws.labels[measured.rows],
        outer=draws.genes,
        inner=draws.perturbations,
        taken=draws.perturbations_taken,
        with_others=draws.with_others,
    )


def _perturbations_as_units(measured: _Measured, draws: _Draws, predictions: Predictions) -> _Units:
    present, of_pairs = np.unique(measured.rows, return_inverse=True)
    conditions = [predictions.conditions[row] for row in present.tolist()]
    return _Units(
        of_pairs=of_pairs.astype(np.int32),
        names=tuple(condition.label for condition in conditions),
        cell_types=tuple(condition.cell_type for condition in conditions),
        clusters=draws.labels[present],
        within=measured.genes,
        outer=draws.perturbations,
        inner=draws.genes,
        taken=draws.genes_taken,
        with_others=draws.with_others,
    )


def _score(
    spec: EffectMetricSpec,
    metric: EffectMetric,
    measured: _Measured,
    units: _Units,
    kind: EffectKind,
) -> EffectScore:
    order = np.argsort(units.of_pairs, kind="stable")
    pairs = GroupedPairs(
        kind=kind,
        groups=units.of_pairs[order],
        n_groups=len(units.names),
        truth=measured.truth[order],
        predicted=measured.predicted[order],
        counts=np.ones((1, len(order))),
    )
    n_each = np.bincount(pairs.groups, minlength=pairs.n_groups)
    with plugin_code(f"metric {spec.name!r}"):
        values = np.where(n_each >= spec.min_pairs, metric(pairs)[0], np.nan)
        chance = None if spec.chance is None else spec.chance(pairs)[0]
    is_defined = ~np.isnan(values)
    with plugin_code(f"metric {spec.name!r}"):
        resampled = _values_in_resamples(metric, pairs, units.inner, units.within[order])
    types = dict.fromkeys(units.cell_types)
    of_types = {
        kind: np.array(units.cell_types) == kind for kind in (types if len(types) > 1 else ())
    }
    two_way = partial(_two_way, spec, resampled=resampled, units=units)
    parts = [is_defined, *(is_defined & of for of in of_types.values())]
    gains = _untied(spec, metric, pairs, values, parts) if spec.lowers_ties else [0.0] * len(parts)
    return EffectScore(
        names=units.names,
        cell_types=units.cell_types,
        values=values,
        chance=None if chance is None or not is_defined.any() else float(chance[is_defined].mean()),
        resampled=two_way(values),
        resampled_by_type={
            kind: two_way(np.where(is_of_type, values, np.nan))
            for kind, is_of_type in of_types.items()
        },
        untied=gains[0],
        untied_by_type=dict(zip(of_types, gains[1:], strict=True)),
        chance_by_type={
            kind: float(chance[part].mean())
            for kind, part in zip(of_types, parts[1:], strict=True)
            if chance is not None and part.any()
        },
    )


def _untied(
    spec: EffectMetricSpec,
    metric: EffectMetric,
    pairs: GroupedPairs,
    values: DoubleArray,
    parts: Sequence[BoolArray],
) -> list[float]:
    """Return by how much means of a metric gain where ties are broken at random, not below 0.

    Predictions that differ by less than a billionth of the largest one are taken for tied.

    Args:
        spec: The metric.
        metric: What computes it.
        pairs: The measured pairs, as predicted.
        values: Each unit's value, (n_units,).
        parts: The defined units that each mean is over, (n_units,) each; of none it gains nothing.
    """
    rng = np.random.default_rng(0)
    size = float(np.abs(pairs.predicted).max(initial=0.0)) or 1.0
    orders = []
    for _ in range(N_ORDERS if parts[0].any() else 0):
        moved = pairs.predicted + TIED * size * rng.uniform(-1.0, 1.0, len(pairs.predicted))
        with plugin_code(f"metric {spec.name!r}"):
            orders.append(metric(replace(pairs, predicted=moved))[0])
    sign = 1.0 if spec.higher_is_better else -1.0
    gains = []
    for part in parts:
        gain = 0.0
        if part.any():
            untied = np.mean([float(order[part].mean()) for order in orders])
            gain = sign * (float(untied) - float(values[part].mean()))
        gains.append(gain if gain > LEAST_GAIN else 0.0)
    return gains


def _values_in_resamples(
    metric: EffectMetric, pairs: GroupedPairs, inner: DoubleArray, within: IntArray
) -> DoubleArray:
    """Return each unit's value in each resample of what is within it, (B, n_units)."""
    found = [np.zeros((0, pairs.n_groups))]
    size = max(1, BLOCK // max(len(pairs.groups), 1))
    for start in range(0, len(inner), size):
        found.append(metric(replace(pairs, counts=inner[start : start + size, within])))
    return np.concatenate(found)


def _two_way(
    spec: EffectMetricSpec, values: DoubleArray, resampled: DoubleArray, units: _Units
) -> TwoWay:
    """Return the mean over units with others in their place, with others in them, and pair by pair.

    Args:
        spec: The metric.
        values: Each unit's value, (n_units,); NaN leaves it out.
        resampled: Its value in each inner resample, (B, n_units).
        units: The units.
    """
    is_defined = ~np.isnan(values)
    resampled = np.where(is_defined, resampled, np.nan)
    n_outer = len(np.unique(units.clusters[is_defined]))
    n_inner = len(np.unique(units.within[is_defined[units.of_pairs]]))
    once = np.ones_like(resampled)
    alone = np.take_along_axis(resampled, units.taken[:, units.clusters], axis=0)
    whole = np.broadcast_to(values, resampled.shape)
    of_units = widened(_means(whole, units.outer[:, units.clusters]), n_outer)
    of_inner = widened(_means(resampled, once), n_inner)
    is_gene = spec.unit == "gene"
    return TwoWay(
        genes=of_units if is_gene else of_inner,
        perturbations=of_inner if is_gene else of_units,
        pairs=widened(_means(alone, once), n_inner),
        n_genes=n_outer if is_gene else n_inner,
        n_perturbations=n_inner if is_gene else n_outer,
        drawn_with=units.with_others,
    )


def _means(values: DoubleArray, counts: DoubleArray) -> DoubleArray:
    """Return the mean over the defined units in each resample, (B,); NaN where there is none."""
    weights = np.where(np.isnan(values), 0.0, counts)
    total = weights.sum(axis=1)
    sums = (weights * np.nan_to_num(values)).sum(axis=1)
    means: DoubleArray = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
    return means


def _drawn(
    predictions: Predictions, data: PerturbationData, n_resamples: int, drawn_of: Sequence[str]
) -> _Draws:
    """Draw the resamples of a fold.

    A perturbation counts alike in all of its cell types. Genes are the same in all folds, and so
    are their resamples; perturbations are those of the fold, or of all folds that are drawn
    together.
    """
    labels = [condition.label for condition in predictions.conditions]
    with_others = len(drawn_of) > 0
    names, codes = np.unique(labels, return_inverse=True)
    if with_others:
        names = np.unique([*drawn_of, *labels])
        codes = np.searchsorted(names, labels)

    def counts(rng: np.random.Generator, n: int) -> DoubleArray:
        return rng.multinomial(n, np.full(n, 1.0 / n), size=n_resamples).astype(np.float64)

    def shuffled(rng: np.random.Generator, n: int) -> IntArray:
        draws = np.tile(np.arange(n_resamples, dtype=np.int32)[:, None], (1, n))
        return rng.permuted(draws, axis=0)

    of_fold = _generator(data.sha256, *(names.tolist() if with_others else labels))
    return _Draws(
        labels=codes.astype(np.int32),
        perturbations=counts(of_fold, len(names)),
        genes=counts(_generator(data.sha256), data.n_genes),
        genes_taken=shuffled(of_fold, len(names)),
        perturbations_taken=shuffled(of_fold, data.n_genes),
        with_others=with_others,
    )


def _generator(*depends_on: str) -> np.random.Generator:
    digest = hashlib.sha256("\x1f".join(depends_on).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
