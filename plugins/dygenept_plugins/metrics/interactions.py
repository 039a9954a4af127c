"""Genetic interactions of combinations: what is left beyond the sum of the single perturbations.

The departure of a combination A+B from additivity is ε = y - (c + Δ_A + Δ_B), with the true changes
of the singles in the same cell type; that of a prediction is ε̂ = ŷ - (c + Δ_A + Δ_B), with the same
sum. The noise of the singles and of the control is in both, so that a prediction that knows nothing
correlates with the truth; compare models with ``perturbed_mean``, not with 0.

``gi_correlation``: r(ε̂, ε) over all genes. Norman et al. 2019; Ahlmann-Eltze et al. 2025.
``gi_sign_top20``: share of the 20 genes with the largest absolute ε whose ε̂ has the same sign.
``gi_overlap_top20``: share of the 20 genes with the largest absolute ε among as many of ε̂.
Ahlmann-Eltze et al. 2025 count such genes.
``gi_synergy``: of the 10 pairs of the fold and cell type whose truth has the largest magnitude, the
share that are among the 10 of the largest predicted magnitude: 1 or 0 each, and undefined for the
other pairs. The magnitude is √(c₁² + c₂²) of the fit Δ_AB ≈ c₁ Δ_A + c₂ Δ_B by Theil and Sen: the
spatial median of the fits to two genes each, of all or of 10,000 seeded draws. GEARS (Roohani et
al. 2024), top 10 by GI score; Norman et al. 2019.
Singles, and combinations of which a single is not in the data, are undefined. They load nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from pydantic import Field

from dygenept.evaluation.rows import masked_pearson, row_scale, top_share
from dygenept.plugin import MetricSpec, PluginConfig, hookimpl
from dygenept.types import BoolArray, DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NO_SINGLES = "no combination, or one whose single perturbations are not all in the data"
TOO_FEW = "too few pairs to choose from"
NOT_AMONG = "not among the pairs of largest magnitude"
N_TOP = 20
N_DRAWS = 10_000
N_STEPS = 100
NORMAN = "Norman et al. 2019, doi:10.1126/science.aax4438"
GEARS = "Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6"
AHLMANN = "Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6"


def gi_correlation(inputs: MetricInputs) -> MetricValues:
    """Return r(ε̂, ε) over all genes, (n,).

    Example:
        Departures of 1, 2, 3 and 1, 3, 2 correlate at 0.5.

        >>> inputs = _example([[2.0, 3.0, 4.0]], [[2.0, 4.0, 3.0]], additive=[[1.0, 1.0, 1.0]])
        >>> gi_correlation(inputs).values.round(12)
        array([0.5])
    """
    rows = _with_singles(inputs)
    if not rows.any():
        return _spread(inputs, rows, MetricValues(np.empty(0)))
    part = inputs.take(rows)
    additive = _additive(inputs, rows)
    found = masked_pearson(
        part.predicted - additive,
        part.truth - additive,
        np.ones(part.truth.shape, dtype=np.bool_),
        predicted_scale=row_scale(part.predicted, additive),
        truth_scale=row_scale(part.truth, additive),
    )
    return _spread(inputs, rows, found)


def gi_sign_top20(inputs: MetricInputs) -> MetricValues:
    """Return the share of the genes of largest departure whose sign is right, (n,).

    Example:
        Of departures 1, -1, 2 the predicted 1, 1, 0 have one sign right.

        >>> inputs = _example([[1.0, 1.0, 0.0]], [[1.0, -1.0, 2.0]], additive=[[0.0, 0.0, 0.0]])
        >>> gi_sign_top20(inputs).values.round(3)
        array([0.333])
    """
    rows = _with_singles(inputs)
    predicted, truth = _departures(inputs, rows)
    is_top = _top(truth)
    is_right = np.sign(predicted) * np.sign(truth) > 0
    hits = (is_right & is_top).sum(axis=1) / np.maximum(is_top.sum(axis=1), 1)
    return _spread(inputs, rows, MetricValues(hits))


def gi_overlap_top20(inputs: MetricInputs) -> MetricValues:
    """Return the share of the genes of largest departure that are predicted to be, (n,).

    Example:
        With no more than 20 genes every gene is among them.

        >>> inputs = _example([[1.0, 1.0, 0.0]], [[1.0, -1.0, 2.0]], additive=[[0.0, 0.0, 0.0]])
        >>> gi_overlap_top20(inputs).values
        array([1.])
    """
    rows = _with_singles(inputs)
    predicted, truth = _departures(inputs, rows)
    shares = top_share(np.abs(predicted).round(12), _top(truth))
    chance = min(1.0, N_TOP / max(truth.shape[1], 1))
    return _spread(inputs, rows, MetricValues(shares, chance=np.full(len(shares), chance)))


class SynergyConfig(PluginConfig):
    """Options of the synergy.

    Attributes:
        n_top: Pairs that count as the strongest.
    """

    n_top: int = Field(default=10, ge=1)


def gi_synergy(inputs: MetricInputs, n_top: int = 10) -> MetricValues:
    """Return 1 for a strongest pair that is predicted to be one, 0 for one that is not, (n,).

    Example:
        One pair is not a choice.

        >>> inputs = _example([[1.0, 1.0, 0.0]], [[1.0, -1.0, 2.0]], additive=[[0.0, 0.0, 0.0]])
        >>> gi_synergy(inputs).reasons
        {0: 'too few pairs to choose from'}
    """
    rows = _with_singles(inputs) & np.array([len(item.genes) == 2 for item in inputs.conditions])
    part = inputs.take(rows)
    kinds = np.array([condition.cell_type for condition in part.conditions])
    values = np.full(len(kinds), np.nan)
    chance = np.full(len(kinds), np.nan)
    reasons = {}
    for kind in sorted(set(kinds.tolist())):
        mine = np.flatnonzero(kinds == kind)
        if len(mine) <= n_top:
            reasons.update(dict.fromkeys(mine.tolist(), TOO_FEW))
            continue
        predicted, truth = (
            np.array(
                [
                    magnitude(means[row] - part.control[row], pair)
                    for row in mine.tolist()
                    if (pair := part.single_deltas[row]) is not None
                ]
            )
            for means in (part.predicted, part.truth)
        )
        strongest = np.argsort(-truth, kind="stable")[:n_top]
        cut = np.sort(predicted)[-n_top]
        n_above, n_tied = int((predicted > cut).sum()), int((predicted == cut).sum())
        hits = np.where(predicted > cut, 1.0, 0.0)
        hits[predicted == cut] = (n_top - n_above) / n_tied
        values[mine[strongest]] = hits[strongest]
        chance[mine[strongest]] = n_top / len(mine)
        rest = np.setdiff1d(np.arange(len(mine)), strongest)
        reasons.update(dict.fromkeys(mine[rest].tolist(), NOT_AMONG))
    return _spread(inputs, rows, MetricValues(values, reasons, chance))


def magnitude(delta: DoubleArray, singles: DoubleArray) -> float:
    """Return √(c₁² + c₂²) of the fit delta ≈ c₁ Δ_A + c₂ Δ_B by Theil and Sen.

    Args:
        delta: Change of the combination, (G,).
        singles: Changes of both singles, (2, G).
    """
    n_genes = len(delta)
    if n_genes * (n_genes - 1) // 2 <= N_DRAWS:
        first, second = np.triu_indices(n_genes, 1)
    else:
        rng = np.random.default_rng(0)
        first = rng.integers(n_genes, size=N_DRAWS)
        second = (first + rng.integers(1, n_genes, size=N_DRAWS)) % n_genes
    a, b = singles[:, first], singles[:, second]
    determinant = a[0] * b[1] - a[1] * b[0]
    is_solvable = np.abs(determinant) > 1e-12 * (np.abs(a[0] * b[1]) + np.abs(a[1] * b[0]))
    if not is_solvable.any():
        return 0.0
    left, right = delta[first], delta[second]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.stack(
            [
                (left * b[1] - a[1] * right) / determinant,
                (a[0] * right - left * b[0]) / determinant,
            ]
        )[:, is_solvable]
    # The spatial median, by Weiszfeld's steps.
    centre = np.median(found, axis=1)
    for _ in range(N_STEPS):
        distance = np.maximum(np.linalg.norm(found - centre[:, None], axis=0), 1e-12)
        step = (found / distance).sum(axis=1) / (1.0 / distance).sum()
        if np.abs(step - centre).max() < 1e-9 * max(1.0, np.abs(centre).max()):
            break
        centre = step
    return float(np.linalg.norm(centre))


def _with_singles(inputs: MetricInputs) -> BoolArray:
    has: BoolArray = np.zeros(len(inputs.conditions), dtype=np.bool_)
    for row, deltas in enumerate(inputs.single_deltas):
        has[row] = deltas is not None
    return has


def _additive(inputs: MetricInputs, rows: BoolArray) -> DoubleArray:
    """Control plus the changes of the singles, (k, G)."""
    part = inputs.take(rows)
    if not len(part.conditions):
        return np.empty((0, inputs.truth.shape[1]))
    sums = [deltas.sum(axis=0) for deltas in part.single_deltas if deltas is not None]
    additive: DoubleArray = part.control + np.array(sums)
    return additive


def _departures(inputs: MetricInputs, rows: BoolArray) -> tuple[DoubleArray, DoubleArray]:
    additive = _additive(inputs, rows)
    return inputs.predicted[rows] - additive, inputs.truth[rows] - additive


def _top(departure: DoubleArray) -> BoolArray:
    is_top: BoolArray = np.zeros(departure.shape, dtype=np.bool_)
    top = np.argsort(-np.abs(departure), axis=1, kind="stable")[:, :N_TOP]
    np.put_along_axis(is_top, top, True, axis=1)
    return is_top


def _spread(inputs: MetricInputs, rows: BoolArray, found: MetricValues) -> MetricValues:
    """Put the values of some conditions back among all; the others are undefined."""
    values = np.full(len(inputs.conditions), np.nan)
    values[rows] = found.values
    positions = np.flatnonzero(rows).tolist()
    reasons = dict.fromkeys(np.flatnonzero(~rows).tolist(), NO_SINGLES)
    reasons |= {positions[row]: reason for row, reason in found.reasons.items()}
    chance = None
    if found.chance is not None:
        chance = np.full(len(inputs.conditions), np.nan)
        chance[rows] = found.chance
    return MetricValues(values, reasons, chance)


def _example(
    predicted: list[list[float]], truth: list[list[float]], *, additive: list[list[float]]
) -> MetricInputs:
    from dataclasses import replace

    from dygenept.testing import small_metric_inputs
    from dygenept.types import Condition, Perturbation

    plain = small_metric_inputs(predicted, truth)
    pairs = tuple(Condition(Perturbation(f"A+{row}", ("A", str(row))), "cells") for row in range(1))
    deltas = tuple(np.stack([np.array(row), np.zeros(len(row))]) for row in additive)
    return replace(plain, conditions=pairs, single_deltas=deltas)


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metrics; a suite of combinations names them."""
    spec = partial(
        metric_spec,
        higher_is_better=True,
        upper=1.0,
        undefined=f"{NO_SINGLES}; left out of means",
        uses_singles=True,
        boards="named",
    )
    return [
        spec(
            gi_correlation,
            formula=(
                "r(ε̂, ε) over all genes, ε = Δ − Δ_A − Δ_B of a combination A+B, ε̂ = Δ̂ − Δ_A − Δ_B"
            ),
            misleads=(
                "Both sides hold the noise of the true singles, so a prediction without "
                "interaction correlates: compare with perturbed_mean, not with 0."
            ),
            use="For combinations whose singles were measured.",
            summary="Pearson correlation of the departure from additivity, over all genes.",
            source=f"{NORMAN}; {AHLMANN}",
            lower=-1.0,
            undefined=f"{NO_SINGLES}, or a constant side (additive itself); left out of means",
        ),
        spec(
            gi_sign_top20,
            formula="of the 20 genes with the largest |ε|, the share whose sign is right",
            misleads="As gi_correlation.",
            use="For combinations whose singles were measured.",
            summary="Share of the 20 genes of largest departure whose sign is right.",
            source=AHLMANN,
            lower=0.0,
            chance=0.5,
        ),
        spec(
            gi_overlap_top20,
            formula="of the 20 genes with the largest |ε|, the share among the 20 largest |ε̂|",
            misleads="As gi_correlation.",
            use="For combinations whose singles were measured.",
            guess="20 / G",
            summary="Share of the 20 genes of largest departure that are predicted to be.",
            source=AHLMANN,
            lower=0.0,
        ),
        spec(
            gi_synergy,
            formula=(
                "1 where one of the 10 strongest pairs is predicted to be one, else 0; strength "
                "√(c₁² + c₂²) of Δ_AB ≈ c₁Δ_A + c₂Δ_B"
            ),
            misleads="Only 10 pairs count, so the interval is wide.",
            use="To find the strongest combinations, as GEARS does.",
            guess="10 / number of pairs",
            summary="Share of the 10 strongest pairs that are predicted to be.",
            source=f"{GEARS}; {NORMAN}",
            config=SynergyConfig,
            factory=lambda config: partial(gi_synergy, n_top=config.n_top),
            lower=0.0,
            undefined="it is not among the 10 strongest of more than 10 pairs; left out of means",
            check_options={"n_top": 1},
        ),
    ]
