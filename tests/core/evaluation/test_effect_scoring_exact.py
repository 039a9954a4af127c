"""Scores of tables of effects against plain loops: units, chance, resamples, and their spread."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import B, X, Y, cells_data
from scipy import sparse

from dygenept.errors import DataError, PluginError
from dygenept.evaluation import effect_scoring
from dygenept.evaluation.effect_scoring import (
    EffectScore,
    interval,
    score_effects,
    standard_error,
    two_sided_p,
)
from dygenept.plugin.specs import EffectMetricSpec
from dygenept.types import (
    Condition,
    DoubleArray,
    EffectTable,
    GroupedPairs,
    PerturbationData,
    Predictions,
)

NAN = float("nan")
# Conditions A in x, A in y, B in x; of gene 2 nothing is measured in x.
VALUES = np.array([[1.0, 0.0, NAN, NAN], [0.0, 1.0, 1.0, NAN], [0.0, NAN, NAN, 1.0]])
PREDICTED = np.array([[0.5, 2.0, 9.0, 9.0], [4.0, 8.0, 16.0, 9.0], [1.5, 9.0, 9.0, 64.0]])


def table() -> PerturbationData:
    genes = ("g0", "g1", "g2", "g3")
    return replace(
        cells_data(),
        expression=sparse.csr_matrix((12, 4), dtype=np.float32),
        gene_ids=genes,
        gene_symbols=tuple(gene.upper() for gene in genes),
        effects=EffectTable("labels", VALUES),
    )


def weighted_mean(pairs: GroupedPairs) -> DoubleArray:
    """What is predicted, averaged over each group; NaN where nothing of it counts."""
    found = np.full((len(pairs.counts), pairs.n_groups), NAN)
    assert (np.diff(pairs.groups) >= 0).all()
    for draw, counts in enumerate(pairs.counts):
        for group in range(pairs.n_groups):
            own = pairs.groups == group
            if counts[own].sum():
                found[draw, group] = np.average(pairs.predicted[own], weights=counts[own])
    return found


def first_truth(pairs: GroupedPairs) -> DoubleArray:
    starts = np.searchsorted(pairs.groups, np.arange(pairs.n_groups))
    return pairs.truth[starts][None]


def spec_of(unit: str, **values: object) -> EffectMetricSpec:
    return EffectMetricSpec(
        name="mine",
        summary="",
        source="test",
        factory=lambda config: weighted_mean,
        unit=unit,  # type: ignore[arg-type]
        higher_is_better=True,
        **{"values": ("labels",), **values},  # type: ignore[arg-type]
    )


def scored(spec: EffectMetricSpec, order: tuple[int, ...] = (0, 1, 2), n: int = 30) -> EffectScore:
    data = table()
    predictions = Predictions(tuple(data.conditions[row] for row in order), PREDICTED[list(order)])
    ((found_spec, found),) = score_effects(
        [(spec, weighted_mean)], predictions, data, n_resamples=n
    )
    assert found_spec is spec
    return found


def counts_of(order: tuple[int, ...], n: int) -> tuple[DoubleArray, DoubleArray]:
    """How often each condition and each gene counts in each resample."""
    data = table()
    labels = [data.conditions[row].label for row in order]
    digest = hashlib.sha256("\x1f".join((data.sha256, *labels)).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    of_labels = rng.multinomial(2, [0.5, 0.5], size=n)
    of_genes = rng.multinomial(4, [0.25] * 4, size=n)
    places = [sorted(set(labels)).index(label) for label in labels]
    return of_labels[:, places].astype(float), of_genes.astype(float)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_gene_counts_by_itself_in_each_cell_type(order: tuple[int, ...]) -> None:
    found = scored(spec_of("gene"), order)
    in_x = (("G0", X), ("G1", X), ("G3", X)), (1.0, 2.0, 64.0)
    in_y = (("G0", Y), ("G1", Y), ("G2", Y)), (4.0, 8.0, 16.0)
    first, second = (in_x, in_y) if order[0] == 0 else (in_y, in_x)
    assert tuple(zip(found.names, found.cell_types, strict=True)) == first[0] + second[0]
    assert found.values.tolist() == [*first[1], *second[1]]
    assert found.chance is None


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_perturbation_counts_over_its_measured_genes(order: tuple[int, ...]) -> None:
    found = scored(spec_of("perturbation"), order)
    known = {0: ("A+ctrl", X, 1.25), 1: ("A+ctrl", Y, 28 / 3), 2: ("B+ctrl", X, 32.75)}
    assert list(zip(found.names, found.cell_types, found.values.tolist(), strict=True)) == [
        (label, kind, pytest.approx(value)) for label, kind, value in (known[row] for row in order)
    ]


def test_units_with_fewer_pairs_are_undefined_and_not_part_of_chance() -> None:
    found = scored(spec_of("gene", min_pairs=2, chance=first_truth))
    np.testing.assert_array_equal(found.values, [1.0, *[NAN] * 5])
    # Of the one gene with two pairs, the first truth is 1.
    assert found.chance == 1.0
    every = scored(spec_of("gene", min_pairs=1, chance=first_truth))
    assert every.chance == pytest.approx(4 / 6)
    none = scored(spec_of("gene", min_pairs=3, chance=first_truth))
    assert np.isnan(none.values).all()
    assert none.chance is None
    assert np.isnan(none.resampled).all()


def test_a_metric_of_another_kind_of_values_is_left_out() -> None:
    data = table()
    found = score_effects(
        [(spec_of("gene", values=("values",)), weighted_mean)],
        Predictions(data.conditions, PREDICTED),
        data,
    )
    assert found == []


@pytest.mark.parametrize("block", [1 << 22, 12, 1])
@pytest.mark.parametrize("unit", ["gene", "perturbation"])
def test_resamples_are_those_of_plain_loops_however_many_are_computed_at_once(
    unit: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effect_scoring, "BLOCK", block)
    order = (1, 2, 0)
    n = 40
    found = scored(spec_of(unit), order, n).resampled
    of_rows, of_genes = counts_of(order, n)
    measured = [
        (row, gene) for row, of in enumerate(order) for gene in range(4) if VALUES[of, gene] >= 0
    ]
    kinds = [table().conditions[of].cell_type for of in order]

    def unit_of(row: int, gene: int) -> tuple[object, ...]:
        return (kinds[row], gene) if unit == "gene" else (row,)

    expected = []
    for draw in range(n):
        sums, weights = 0.0, 0.0
        for one in dict.fromkeys(unit_of(*pair) for pair in measured):
            pairs = [pair for pair in measured if unit_of(*pair) == one]
            inner = [(of_rows[draw, row] if unit == "gene" else of_genes[draw, gene])
                     for row, gene in pairs]  # fmt: skip
            outer = of_genes[draw, pairs[0][1]] if unit == "gene" else of_rows[draw, pairs[0][0]]
            if sum(inner) and outer:
                values = [PREDICTED[order[row], gene] for row, gene in pairs]
                sums += outer * np.average(values, weights=inner)
                weights += outer
        expected.append(sums / weights if weights else NAN)
    assert found.shape == (n,)
    np.testing.assert_allclose(found, expected)
    assert np.nanstd(found) > 0


def test_two_hundred_resamples_are_drawn_and_their_number_may_be_none() -> None:
    data = table()
    predictions = Predictions(data.conditions, PREDICTED)
    ((_, found),) = score_effects([(spec_of("gene"), weighted_mean)], predictions, data)
    assert found.resampled.shape == (200,)
    assert scored(spec_of("gene"), n=0).resampled.shape == (0,)


def test_resamples_depend_on_the_data_set_and_the_conditions_in_their_order() -> None:
    draws = [scored(spec_of("gene"), order).resampled for order in ((0, 1, 2), (2, 1, 0))]
    assert not np.array_equal(*draws)
    data = replace(table(), sha256="1" * 64)
    ((_, other),) = score_effects(
        [(spec_of("gene"), weighted_mean)],
        Predictions(data.conditions, PREDICTED),
        data,
        n_resamples=30,
    )
    assert not np.array_equal(draws[0], other.resampled)


def test_predictions_that_do_not_fit_are_refused_with_both_shapes() -> None:
    data = table()
    wide = Predictions(data.conditions, np.ones((3, 5)))
    with pytest.raises(PluginError, match=r"^predictions are \(3, 5\); expected \(3, 4\), all of"):
        score_effects([], wide, data)
    # Also where nothing was measured.
    holed = PREDICTED.copy()
    holed[0, 3] = np.inf
    with pytest.raises(PluginError, match="finite"):
        score_effects([], Predictions(data.conditions, holed), data)


@pytest.mark.parametrize("n_calls", [0, 1])
def test_a_metric_that_fails_is_named_on_the_fold_and_on_resamples(n_calls: int) -> None:
    calls: list[int] = []

    def fails(pairs: GroupedPairs) -> DoubleArray:
        calls.append(len(pairs.counts))
        if len(calls) > n_calls:
            raise ZeroDivisionError("oh")
        return weighted_mean(pairs)

    data = table()
    with pytest.raises(PluginError, match=r"^metric 'mine' raised ZeroDivisionError: oh"):
        score_effects([(spec_of("gene"), fails)], Predictions(data.conditions, PREDICTED), data)
    assert calls == [1, 200][: n_calls + 1]


def test_a_metric_is_given_the_kind_the_truth_and_one_count_of_each_pair() -> None:
    seen: list[GroupedPairs] = []

    def metric(pairs: GroupedPairs) -> DoubleArray:
        seen.append(pairs)
        return weighted_mean(pairs)

    data = table()
    asked = Predictions(data.conditions, PREDICTED.astype(np.float32))
    score_effects([(spec_of("perturbation"), metric)], asked, data, n_resamples=3)
    whole, drawn = seen
    for pairs in seen:
        assert pairs.kind == "labels"
        assert pairs.groups.tolist() == [0, 0, 1, 1, 1, 2, 2]
        assert pairs.groups.dtype == np.int32
        assert pairs.n_groups == 3
        assert pairs.truth.tolist() == [1, 0, 0, 1, 1, 0, 1]
        assert pairs.predicted.tolist() == [0.5, 2, 4, 8, 16, 1.5, 64]
        assert pairs.predicted.dtype == np.float64
    assert whole.counts.tolist() == [[1.0] * 7]
    _, of_genes = counts_of((0, 1, 2), 3)
    assert drawn.counts.tolist() == of_genes[:, [0, 1, 0, 1, 2, 0, 3]].tolist()


def test_a_condition_that_the_table_lacks_is_refused() -> None:
    data = table()
    with pytest.raises(DataError, match=r"no cells of 'B\+ctrl' in cell type 'y'"):
        score_effects([], Predictions((Condition(B, Y),), np.ones((1, 4))), data)


# ------------------------------------------------------------------------------- spread and p value


def test_a_standard_error_is_the_spread_of_twenty_defined_draws_or_more() -> None:
    draws = np.arange(20.0)
    assert standard_error(draws) == pytest.approx(np.std(draws, ddof=1))
    assert standard_error(np.append(draws, NAN)) == standard_error(draws)
    assert np.isnan(standard_error(np.append(draws[:19], NAN)))


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    draws = np.arange(21.0)
    half = 1.959963984540054 * np.std(draws, ddof=1)
    assert interval(3.0, draws) == pytest.approx((3.0 - half, 3.0 + half), rel=1e-12)
    assert np.isnan(interval(3.0, draws[:5])).all()


@pytest.mark.parametrize("difference", [-3.0, -0.5, 0.0, 0.5, 3.0])
def test_a_p_value_is_that_of_the_normal_distribution_on_both_sides(difference: float) -> None:
    from scipy.stats import norm

    draws = np.linspace(-1.0, 1.0, 25)
    expected = 2 * norm.sf(abs(difference) / np.std(draws, ddof=1))
    assert two_sided_p(difference, draws) == pytest.approx(expected, rel=1e-12)
    assert two_sided_p(-1e-300, np.zeros(20)) == 0.0
