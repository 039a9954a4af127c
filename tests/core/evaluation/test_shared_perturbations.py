"""Folds that hold out the same perturbations in other cell types: their intervals, simulated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from dygenept.evaluation.effect_scoring import score_effects
from dygenept.evaluation.two_way import Fold, TwoWay, drawn_together, joined
from dygenept.plugin.specs import EffectMetricSpec
from dygenept.types import (
    Condition,
    DoubleArray,
    EffectTable,
    GroupedPairs,
    Perturbation,
    PerturbationData,
    Predictions,
)

N_PERTURBATIONS, N_GENES, SHARE = 24, 30, 0.8
CELL_TYPES = ("w", "x", "y", "z")


def mean_error(pairs: GroupedPairs) -> DoubleArray:
    """Return the mean absolute error of each group in each resample."""
    groups = np.eye(pairs.n_groups)[pairs.groups]  # (m, n_groups)
    totals = pairs.counts @ groups
    sums = (pairs.counts * np.abs(pairs.truth - pairs.predicted)) @ groups
    return np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)


def spec_of(unit: str) -> EffectMetricSpec:
    return EffectMetricSpec(
        name="mine",
        summary="",
        source="test",
        factory=lambda config: mean_error,
        unit=unit,  # type: ignore[arg-type]
        higher_is_better=False,
        values=("values",),
    )


def made(rng: np.random.Generator) -> tuple[PerturbationData, list[tuple[Condition, ...]]]:
    """A table whose perturbations are about as strong in every cell type, some missing in each."""
    strength = 1.0 + 0.3 * rng.standard_normal(N_PERTURBATIONS)
    conditions, rows, folds = [], [], []
    for kind in CELL_TYPES:
        fold = []
        for place in np.flatnonzero(rng.random(N_PERTURBATIONS) < SHARE).tolist():
            name = f"P{place:02d}"
            fold.append(Condition(Perturbation(name, (name,)), kind))
            own = strength[place] + 0.1 * rng.standard_normal()
            rows.append(own + 0.2 * rng.standard_normal(N_GENES))
        conditions += fold
        folds.append(tuple(fold))
    order = sorted(range(len(conditions)), key=lambda at: conditions[at])
    genes = tuple(f"g{number}" for number in range(N_GENES))
    nobody = np.zeros(0, dtype=np.int32)
    data = PerturbationData(
        name="shared",
        source="",
        sha256=str(rng.integers(1 << 40)),
        is_simulated=True,
        expression=sparse.csr_matrix((0, N_GENES), dtype=np.float32),
        gene_ids=genes,
        gene_symbols=genes,
        cell_ids=np.zeros(0, dtype=object),
        conditions=tuple(conditions[at] for at in order),
        condition_codes=nobody,
        cell_types=CELL_TYPES,
        cell_type_codes=nobody,
        raw_labels=(),
        raw_to_label={},
        notes=(),
        effects=EffectTable("values", np.array([rows[at] for at in order])),
    )
    return data, folds


def scored(
    data: PerturbationData, folds: list[tuple[Condition, ...]], unit: str, *, together: bool
) -> tuple[TwoWay, float]:
    """Score zeros fold by fold, with resamples drawn together or each for itself."""
    labels = [[condition.label for condition in fold] for fold in folds]
    parts = []
    for place, fold in enumerate(folds):
        zeros = Predictions(fold, np.zeros((len(fold), N_GENES)))
        drawn_of = drawn_together(labels, place) if together else ()
        ((_, found),) = score_effects(
            [(spec_of(unit), mean_error)], zeros, data, n_resamples=100, drawn_of=drawn_of
        )
        assert found.resampled.drawn_with is together
        held_out = frozenset(labels[place]) if together else frozenset()
        mean = float(np.nanmean(found.values))
        parts.append(Fold(found.resampled, len(found.values), mean, place, held_out))
    total = sum(part.size for part in parts)
    return joined(parts), sum(part.size * part.mean for part in parts) / total


@pytest.mark.parametrize("unit", ["gene", "perturbation"])
def test_a_perturbation_that_folds_share_is_no_further_evidence(unit: str) -> None:
    truth = 1.0
    n_tried, n_covered, ratios = 60, {True: 0, False: 0}, []
    for seed in range(n_tried):
        data, folds = made(np.random.default_rng(seed))
        errors = {}
        for together in (True, False):
            found, mean = scored(data, folds, unit, together=together)
            ends = found.interval(mean)
            assert ends is not None
            n_covered[together] += ends[0] <= truth <= ends[1]
            errors[together] = found.standard_error()
        # As many perturbations as there are, not as many as there are in all folds.
        assert scored(data, folds, unit, together=True)[0].n_perturbations <= N_PERTURBATIONS
        ratios.append(errors[True] / errors[False])
    # Drawn fold by fold, four folds of the same perturbations looked like four times as many.
    assert np.mean(ratios) > 1.4
    assert n_covered[False] < 0.85 * n_tried
    assert n_covered[True] >= 0.88 * n_tried


def test_resamples_of_a_fold_by_itself_do_not_change() -> None:
    data, folds = made(np.random.default_rng(0))
    zeros = Predictions(folds[0], np.zeros((len(folds[0]), N_GENES)))
    pair = [(spec_of("gene"), mean_error)]
    ((_, alone),) = score_effects(pair, zeros, data)
    ((_, again),) = score_effects(pair, zeros, data, drawn_of=())
    np.testing.assert_array_equal(alone.resampled.perturbations, again.resampled.perturbations)
    assert not alone.resampled.drawn_with
