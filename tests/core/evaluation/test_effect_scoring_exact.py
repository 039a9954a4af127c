"""Scores of tables of effects against plain loops: units, chance, resamples, and their spread."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
from core.evaluation.small_cells import B, X, Y, cells_data
from scipy import sparse

from dygenept.errors import DataError, PluginError
from dygenept.evaluation import effect_scoring
from dygenept.evaluation.effect_scoring import EffectScore, score_effects
from dygenept.evaluation.two_way import TwoWay
from dygenept.plugin.specs import EffectMetricSpec
from dygenept.results.records import MetricRecord
from dygenept.types import (
    Condition,
    DoubleArray,
    EffectTable,
    GroupedPairs,
    IntArray,
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


@dataclass(frozen=True)
class Drawn:
    """By resample, how often each condition and gene counts, and whose resample each takes."""

    rows: DoubleArray
    genes: DoubleArray
    genes_taken_by_rows: IntArray
    rows_taken_by_genes: IntArray


def generator(*depends_on: str) -> np.random.Generator:
    digest = hashlib.sha256("\x1f".join(depends_on).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def drawn_for(order: tuple[int, ...], n: int) -> Drawn:
    data = table()
    labels = [data.conditions[row].label for row in order]
    of_fold = generator(data.sha256, *labels)
    of_labels = of_fold.multinomial(2, [0.5, 0.5], size=n)
    of_genes = generator(data.sha256).multinomial(4, [0.25] * 4, size=n)
    places = [sorted(set(labels)).index(label) for label in labels]

    def shuffled(width: int) -> IntArray:
        return of_fold.permuted(np.tile(np.arange(n, dtype=np.int32)[:, None], (1, width)), axis=0)

    by_labels = shuffled(2)
    return Drawn(
        of_labels[:, places].astype(float),
        of_genes.astype(float),
        by_labels[:, places],
        shuffled(4),
    )


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


def first_is_ahead(pairs: GroupedPairs) -> DoubleArray:
    """1 where the first pair of a group is predicted above all others of it, 0 where it ties."""
    found = np.zeros((len(pairs.counts), pairs.n_groups))
    for group in range(pairs.n_groups):
        first, *others = pairs.predicted[pairs.groups == group]
        found[:, group] = first > max(others, default=-np.inf)
    return found


def test_what_ties_cost_is_told_of_all_and_of_each_cell_type() -> None:
    data = table()
    spec = spec_of("perturbation", lowers_ties=True)
    # Ties in A in x alone; B in x and A in y have none.
    predicted = np.array([[5.0, 5.0, 9.0, 9.0], [4.0, 8.0, 16.0, 9.0], [1.5, 9.0, 9.0, 64.0]])

    def gains(spec: EffectMetricSpec, rows: list[int]) -> EffectScore:
        predictions = Predictions(tuple(data.conditions[row] for row in rows), predicted[rows])
        ((_, found),) = score_effects([(spec, first_is_ahead)], predictions, data, n_resamples=5)
        return found

    both = gains(spec, [0, 1, 2])
    assert set(both.untied_by_type) == {X, Y}
    # Half of the orders, as 20 random ones have it, of one of two values in x and of three in all.
    assert 0.1 < both.untied_by_type[X] < 0.4
    assert both.untied_by_type[Y] == 0.0
    assert both.untied == pytest.approx(2 / 3 * both.untied_by_type[X])
    in_x = gains(spec, [0, 2])
    assert (in_x.untied_by_type, in_x.untied > 0.1) == ({}, True)
    plain = gains(replace(spec, lowers_ties=False), [0, 1, 2])
    assert (plain.untied, set(plain.untied_by_type.values())) == (0.0, {0.0})
    # A loss by random orders is none.
    lower = gains(replace(spec, higher_is_better=False), [0, 1, 2])
    assert (lower.untied, set(lower.untied_by_type.values())) == (0.0, {0.0})
    record = MetricRecord.of_effects(spec, both)
    assert (record.untied, record.untied_by_type) == (both.untied, both.untied_by_type)
    assert MetricRecord.of_effects(replace(spec, lowers_ties=False), plain).untied_by_type == {}


def test_units_with_fewer_pairs_are_undefined_and_not_part_of_chance() -> None:
    found = scored(spec_of("gene", min_pairs=2, chance=first_truth))
    np.testing.assert_array_equal(found.values, [1.0, *[NAN] * 5])
    # Of the one gene with two pairs, the first truth is 1.
    assert found.chance == 1.0
    every = scored(spec_of("gene", min_pairs=1, chance=first_truth))
    assert every.chance == pytest.approx(4 / 6)
    # First truths of G0, G1 and G3 in x are 1, 0 and 1, those of G0, G1 and G2 in y 0, 1 and 1.
    assert every.chance_by_type == {X: pytest.approx(2 / 3), Y: pytest.approx(2 / 3)}
    by_perturbation = scored(spec_of("perturbation", chance=first_truth))
    # Of A and B in x, and of A in y.
    assert by_perturbation.chance_by_type == {X: 0.5, Y: 0.0}
    assert scored(spec_of("gene")).chance_by_type == {}
    assert MetricRecord.of_effects(spec_of("gene"), every).chance_by_type == every.chance_by_type
    none = scored(spec_of("gene", min_pairs=3, chance=first_truth))
    assert np.isnan(none.values).all()
    assert none.chance is None
    assert np.isnan(none.resampled.genes).all()
    assert (none.resampled.n_genes, none.resampled.n_perturbations) == (0, 0)


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
    drawn = drawn_for(order, n)
    measured = [
        (row, gene) for row, of in enumerate(order) for gene in range(4) if VALUES[of, gene] >= 0
    ]
    kinds = [table().conditions[of].cell_type for of in order]
    is_gene = unit == "gene"

    def unit_of(row: int, gene: int) -> tuple[object, ...]:
        return (kinds[row], gene) if is_gene else (row,)

    units = [
        [pair for pair in measured if unit_of(*pair) == one]
        for one in dict.fromkeys(unit_of(*pair) for pair in measured)
    ]

    def within(draw: int, pairs: list[tuple[int, int]]) -> float:
        """The mean over a unit's pairs, of which some count more often."""
        counts = [drawn.rows[draw, row] if is_gene else drawn.genes[draw, gene]
                  for row, gene in pairs]  # fmt: skip
        values = [PREDICTED[order[row], gene] for row, gene in pairs]
        return float(np.average(values, weights=counts)) if sum(counts) else NAN

    def mean(values: list[float], counts: list[float]) -> float:
        known = [(value, count) for value, count in zip(values, counts, strict=True)
                 if value == value]  # fmt: skip
        total = sum(count for _, count in known)
        return sum(value * count for value, count in known) / total if total else NAN

    whole = [float(np.mean([PREDICTED[order[row], gene] for row, gene in of])) for of in units]
    expected: dict[str, list[float]] = {"others": [], "inner": [], "pairs": []}
    for draw in range(n):
        outer = [
            drawn.genes[draw, of[0][1]] if is_gene else drawn.rows[draw, of[0][0]] for of in units
        ]
        expected["others"].append(mean(whole, outer))
        once = [1.0] * len(units)
        expected["inner"].append(mean([within(draw, of) for of in units], once))
        taken = [
            drawn.rows_taken_by_genes[draw, of[0][1]]
            if is_gene
            else drawn.genes_taken_by_rows[draw, of[0][0]]
            for of in units
        ]
        alone = [within(int(own), of) for own, of in zip(taken, units, strict=True)]
        expected["pairs"].append(mean(alone, once))
    others, inner = (found.genes, found.perturbations)[:: 1 if is_gene else -1]
    n_others, n_inner = (4, 2) if is_gene else (2, 4)
    assert (found.n_genes, found.n_perturbations) == (4, 2)
    for draws, values, size in (
        (others, expected["others"], n_others),
        (inner, expected["inner"], n_inner),
        (found.pairs, expected["pairs"], n_inner),
    ):
        assert draws.shape == (n,)
        # A bootstrap of n draws has n - 1 parts in n of the variance of a sample.
        centre = np.nanmean(values)
        np.testing.assert_allclose(
            draws, centre + (np.array(values) - centre) * np.sqrt(size / (size - 1)), rtol=1e-12
        )
        assert np.nanstd(draws) > 0


def test_two_hundred_resamples_are_drawn_and_their_number_may_be_none() -> None:
    data = table()
    predictions = Predictions(data.conditions, PREDICTED)
    ((_, found),) = score_effects([(spec_of("gene"), weighted_mean)], predictions, data)
    assert all(draws.shape == (200,) for draws in draws_of(found.resampled))
    nothing = scored(spec_of("gene"), n=0).resampled
    assert all(draws.shape == (0,) for draws in draws_of(nothing))


def test_resamples_of_genes_are_those_of_the_data_set_and_others_those_of_the_fold() -> None:
    spec = spec_of("perturbation")
    first, second = (scored(spec, order).resampled for order in ((0, 2), (2, 0)))
    assert not np.array_equal(first.perturbations, second.perturbations)
    assert not np.array_equal(first.pairs, second.pairs)
    np.testing.assert_allclose(first.genes, second.genes)
    data = replace(table(), sha256="1" * 64)
    ((_, other),) = score_effects(
        [(spec, weighted_mean)],
        Predictions(data.conditions, PREDICTED),
        data,
        n_resamples=30,
    )
    same = scored(spec).resampled
    for draws, of_other in zip(draws_of(same), draws_of(other.resampled), strict=True):
        assert not np.array_equal(draws, of_other)


@pytest.mark.parametrize("unit", ["gene", "perturbation"])
def test_each_cell_type_has_resamples_of_its_own(unit: str) -> None:
    found = scored(spec_of(unit))
    assert list(found.resampled_by_type) == [X, Y]
    # In y, one perturbation was held out; in x, two, and three genes are measured.
    of_x, of_y = found.resampled_by_type[X], found.resampled_by_type[Y]
    assert (of_x.n_genes, of_x.n_perturbations) == (3, 2)
    assert (of_y.n_genes, of_y.n_perturbations) == (3, 1)
    data = table()
    alone = Predictions((data.conditions[0], data.conditions[2]), PREDICTED[[0, 2]])
    ((_, of_part),) = score_effects([(spec_of(unit), weighted_mean)], alone, data, n_resamples=30)
    np.testing.assert_allclose(of_part.resampled.genes, of_x.genes)
    assert of_part.resampled_by_type == {}


def draws_of(found: TwoWay) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    return found.genes, found.perturbations, found.pairs


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
    of_genes = drawn_for((0, 1, 2), 3).genes
    assert drawn.counts.tolist() == of_genes[:, [0, 1, 0, 1, 2, 0, 3]].tolist()


def test_a_condition_that_the_table_lacks_is_refused() -> None:
    data = table()
    with pytest.raises(DataError, match=r"no cells of 'B\+ctrl' in cell type 'y'"):
        score_effects([], Predictions((Condition(B, Y),), np.ones((1, 4))), data)
