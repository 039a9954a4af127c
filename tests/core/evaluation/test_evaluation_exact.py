"""Evaluation piece by piece, with values worked out by hand or by a plain rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import PluginError, ShapeError
from dygenept.evaluation.aggregates import aggregate, competition_ranks
from dygenept.evaluation.bootstrap import resample_counts
from dygenept.evaluation.cell_samples import cell_samples, samples_of
from dygenept.evaluation.closed_form import ClosedFormModel, require_held_out
from dygenept.evaluation.comparison import holm
from dygenept.evaluation.held_out import effect_sizes, subgroups, validation_positions
from dygenept.evaluation.neighbours import ONE_CONDITION, Rivals, euclidean, manhattan, places
from dygenept.evaluation.reference import TrainView, train_means, train_view
from dygenept.evaluation.rows import gather_de, masked_mean, masked_pearson, row_scale
from dygenept.evaluation.scoring import GroundTruth, averaged, metric_inputs, score
from dygenept.plugin.specs import MetricSpec
from dygenept.types import (
    Candidates,
    Condition,
    DeGenes,
    DeTests,
    DoubleArray,
    HeldOut,
    MetricInputs,
    MetricValues,
    Perturbation,
    PerturbationData,
    Predictions,
    Pseudobulk,
    Score,
    Task,
)

A, B, C = (Perturbation(f"{gene}+ctrl", (gene,)) for gene in "ABC")
AB = Perturbation("A+B", ("A", "B"))
X, Y = "x", "y"


def test_resamples_depend_on_size_and_seed_alone() -> None:
    drawn = np.random.default_rng(4).integers(3, size=(50, 3))
    counts = resample_counts(3, 50, 4)
    expected = [[(row == place).sum() for place in range(3)] for row in drawn]
    np.testing.assert_array_equal(counts, expected)
    assert (counts.sum(axis=1) == 3).all()


def test_an_aggregate_of_unequal_folds() -> None:
    found = aggregate([[1.0, None], [2.0, 3.0, 4.0], [None]], neutral=None)
    assert found.mean == pytest.approx((1 + 3) / 2)
    assert found.std == pytest.approx(2**0.5)
    assert found.stderr == pytest.approx(1.0)
    assert found.pooled == pytest.approx(2.5)
    assert (found.n_folds, found.n_perturbations, found.n_undefined) == (3, 6, 2)
    nothing = aggregate([[None]], neutral=None)
    assert (nothing.mean, nothing.std, nothing.stderr, nothing.pooled) == (None,) * 4
    assert (nothing.ci_low, nothing.ci_high) == (None, None)


def test_ranks_ignore_what_rounding_leaves_and_put_missing_values_last() -> None:
    values = [0.3, None, 0.1 + 0.2, 0.3000000001, -5.0]
    assert competition_ranks(values, higher_is_better=True) == (2, 5, 2, 1, 4)
    assert competition_ranks(values, higher_is_better=False) == (2, 5, 2, 4, 1)


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.6, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()
    assert holm([0.2]) == (0.2,)


def cells_data() -> PerturbationData:
    """Two cell types; A in both, B in the first; expression says which cell it is."""
    conditions = (Condition(A, X), Condition(A, Y), Condition(B, X))
    codes = np.array([-1, 0, 2, 1, -1, 0, -1, 2, 0, 1, -1, -1], dtype=np.int32)
    types = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0], dtype=np.int32)
    expression = np.stack([np.arange(12.0), (np.arange(12.0) * 5) % 7], axis=1)
    return PerturbationData(
        name="cells",
        source="test",
        sha256="0" * 64,
        is_simulated=True,
        expression=sparse.csr_matrix(expression.astype(np.float32)),
        gene_ids=("g0", "g1"),
        gene_symbols=("G0", "G1"),
        cell_ids=np.arange(12).astype(str).astype(object),
        conditions=conditions,
        condition_codes=codes,
        cell_types=(X, Y),
        cell_type_codes=types,
        raw_labels=("A+ctrl", "B+ctrl"),
        raw_to_label={"A+ctrl": "A+ctrl", "B+ctrl": "B+ctrl"},
    )


BULK = Pseudobulk(
    means=np.array([[1.0, 2.0], [3.0, 5.0], [2.0, 0.0]]),
    n_cells=np.array([3, 2, 2], dtype=np.int32),
    control_means=np.array([[1.0, 1.0], [0.0, 1.0]]),
)


def test_small_groups_of_cells_are_taken_whole() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    assert samples.control(0)[:, 0].tolist() == [0, 6, 11]
    assert samples.control(1)[:, 0].tolist() == [4, 10]
    assert samples.control(2)[:, 0].tolist() == [0, 6, 11]
    assert samples.real(0)[:, 0].tolist() == [1, 5, 8]
    assert samples.real(1)[:, 0].tolist() == [3, 9]
    assert samples.real(2)[:, 0].tolist() == [2, 7]
    assert samples.real(2).dtype == np.float64
    np.testing.assert_array_equal(samples.mean(1), [3.0, 5.0])


def test_large_groups_are_drawn_by_seed_without_replacement_and_sorted() -> None:
    samples = cell_samples(cells_data(), BULK, seed=5, max_cells=2)
    rng = np.random.default_rng([5, 0])
    of_x = np.sort(rng.choice([0, 6, 11], size=2, replace=False))
    assert samples.control(0)[:, 0].tolist() == of_x.tolist()
    assert samples.control(1)[:, 0].tolist() == [4, 10]
    rng = np.random.default_rng([5, 1])
    drawn = np.sort(rng.choice([1, 5, 8], size=2, replace=False))
    assert samples.real(0)[:, 0].tolist() == drawn.tolist()
    seeds = {
        tuple(cell_samples(cells_data(), BULK, seed=seed, max_cells=1).real(0)[:, 0].tolist())
        for seed in range(12)
    }
    assert len(seeds) == 3


def test_a_hundred_cells_are_the_most_by_default() -> None:
    data = cells_data()
    rows = np.zeros(101, dtype=np.int64) + 1
    large = replace(
        data,
        expression=data.expression[rows],
        condition_codes=np.zeros(101, dtype=np.int32),
        cell_type_codes=np.zeros(101, dtype=np.int32),
    )
    assert len(cell_samples(large, BULK, seed=0).real(0)) == 100


def test_distances_are_euclidean_and_include_each_cell_with_itself() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    control, real = samples.control(0), samples.real(0)

    def pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.array([[np.linalg.norm(one - other) for other in right] for one in left])

    found = samples.distances(0)
    np.testing.assert_allclose(found.squared, pairs(control, real) ** 2, rtol=1e-6)
    assert found.squared.dtype == np.float32
    assert found.within_control == pytest.approx(pairs(control, control).mean())
    assert found.within_real == pytest.approx(pairs(real, real).mean())
    assert samples.distances(0) is found
    other = samples.distances(1)
    assert other.within_control == pytest.approx(
        pairs(samples.control(1), samples.control(1)).mean()
    )
    # Conditions of one cell type share their controls.
    assert samples.distances(2).within_control == found.within_control


def test_taken_samples_keep_the_order_and_the_distances() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    known = samples.distances(2)
    taken = samples.take([2, 0])
    assert taken.distances(0) is known
    assert taken.real(1)[:, 0].tolist() == [1, 5, 8]
    assert taken.take(np.array([False, True])).real(0)[:, 0].tolist() == [1, 5, 8]


def test_projections_are_inner_products() -> None:
    samples = cell_samples(cells_data(), BULK, seed=0)
    control, real = samples.project(2, np.array([1.0, -2.0]))
    np.testing.assert_allclose(control, samples.control(2) @ [1.0, -2.0])
    np.testing.assert_allclose(real, samples.real(2) @ [1.0, -2.0])
    assert control.shape == (3,)


def test_cells_at_hand_make_samples_of_their_own() -> None:
    samples = samples_of(
        sparse.csr_matrix(np.arange(8.0, dtype=np.float32).reshape(4, 2)),
        control_rows=(np.array([0]), np.array([0])),
        real_rows=(np.array([1, 2]), np.array([3])),
        means=np.array([[3.0, 4.0], [6.0, 7.0]]),
    )
    assert samples.control(1).tolist() == [[0, 1]]
    assert samples.real(0).tolist() == [[2, 3], [4, 5]]
    assert samples.real(1).tolist() == [[6, 7]]
    assert samples.mean(1).tolist() == [6, 7]


def task_of(train: Sequence[Condition], val: Sequence[Condition] = ()) -> Task:
    """Two genes, two cell types; the k-th known condition's means are (k + 1, 10 (k + 1))."""
    n = len(train) + len(val)
    return Task(
        dataset="toy",
        is_simulated=True,
        gene_ids=("g0", "g1"),
        gene_symbols=("G0", "G1"),
        target_genes=("A", "B", "C"),
        cell_types=(X, Y),
        control_means=np.array([[1.0, 2.0], [4.0, 8.0]]),
        train=tuple(train),
        val=tuple(val),
        means=np.arange(1.0, n + 1)[:, None] * np.array([1.0, 10.0]),
        n_cells=np.ones(n, dtype=np.int32),
        de_indices=np.zeros((n, 20), dtype=np.int32),
    )


def test_a_view_sorts_the_conditions_of_its_own_cell_type() -> None:
    task = task_of([Condition(B, X), Condition(C, Y)], [Condition(A, X)])
    view = train_view(task, X)
    assert view.conditions == (Condition(A, X), Condition(B, X))
    assert view.means.tolist() == [[3, 30], [1, 10]]
    assert view.control.tolist() == [1, 2]
    assert view.mean.tolist() == [2, 20]
    assert (view.means.dtype, view.control.dtype) == (np.float64, np.float64)


def test_a_type_without_perturbations_takes_the_changes_of_the_others() -> None:
    task = task_of([Condition(B, X), Condition(A, X)])
    view = train_view(task, Y)
    assert view.conditions == (Condition(A, X), Condition(B, X))
    # (2, 20) and (1, 10), less the control of x, (1, 2), plus that of y, (4, 8).
    assert view.means.tolist() == [[5, 26], [4, 16]]
    assert view.control.tolist() == [4, 8]
    assert {name: mean.tolist() for name, mean in train_means(task).items()} == {
        X: [1.5, 15],
        Y: [4.5, 21],
    }


def test_a_view_of_nothing_or_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(PluginError, match=r"'toy' .*'xx'; did you mean 'x'\? known: x, y"):
        train_view(task_of([Condition(A, X)]), "xx")
    with pytest.raises(PluginError, match="no train perturbation; use a split with fewer"):
        train_view(task_of([]), X)


class Echo(ClosedFormModel):
    """Predicts the mean of its view plus the row's place in the request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[TrainView, tuple[Condition, ...]]] = []

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        self.asked.append((view, tuple(conditions)))
        return view.mean + np.arange(len(conditions))[:, None]


def test_a_closed_form_model_predicts_each_cell_type_from_its_own_view() -> None:
    model = Echo()
    model.fit(task_of([Condition(B, X), Condition(A, X)]))
    wanted = (Condition(C, Y), Condition(C, X), Condition(AB, Y))
    found = model.predict(wanted)
    assert found.conditions == wanted
    assert found.expression.tolist() == [[4.5, 21], [1.5, 15], [5.5, 22]]
    assert [conditions for _, conditions in model.asked] == [(wanted[1],), (wanted[0], wanted[2])]
    assert found.expression.dtype == np.float64
    model.predict(wanted)
    assert model.asked[2][0] is model.asked[0][0]


def test_another_fit_forgets_the_first() -> None:
    model = Echo()
    model.fit(task_of([Condition(A, X)]))
    model.predict([Condition(B, X)])
    model.fit(task_of([Condition(B, X), Condition(A, X)]))
    assert model.predict([Condition(C, X)]).expression.tolist() == [[1.5, 15]]
    assert model.task.train == (Condition(B, X), Condition(A, X))


def test_a_model_must_be_fitted_before_it_predicts() -> None:
    with pytest.raises(PluginError, match=r"^Echo cannot predict before it is fitted; call fit"):
        Echo().predict([Condition(A, X)])


def test_an_oracle_is_handed_the_rows_it_asks_for() -> None:
    held_out = HeldOut(
        conditions=(Condition(A, X), Condition(B, X)),
        means=np.zeros((2, 2)),
        half_means=np.zeros((2, 2, 2)),
    )
    task = replace(task_of([Condition(C, X)]), held_out=held_out)
    found, rows = require_held_out(task, [Condition(B, X), Condition(A, X), Condition(B, X)])
    assert found is held_out
    assert rows == [1, 0, 1]
    with pytest.raises(PluginError, match=r"^'C\+ctrl' in 'x' is not held out"):
        require_held_out(task, [Condition(A, X), Condition(C, X)])
    with pytest.raises(PluginError, match="'ceiling' or 'floor'"):
        require_held_out(task_of([Condition(C, X)]), [])


def test_effect_sizes_are_root_mean_squares_of_the_change() -> None:
    data = cells_data()
    sizes = effect_sizes(data, BULK, data.conditions[::-1])
    assert sizes == {
        X: {"B+ctrl": pytest.approx(1.0), "A+ctrl": pytest.approx(0.5**0.5)},
        Y: {"A+ctrl": pytest.approx(12.5**0.5)},
    }


def ranked(conditions: Sequence[Condition], *others: Condition) -> MetricInputs:
    """Inputs of which only the conditions matter; ``others`` are held out in other folds."""
    nothing = np.zeros((len(conditions), 1))
    pool = (*conditions, *others)
    return MetricInputs(
        conditions=tuple(conditions),
        predicted=nothing,
        truth=nothing,
        control=nothing,
        perturbed_mean=nothing,
        de_indices=np.full((len(conditions), 20), -1, dtype=np.int32),
        gene_symbols=("G",),
        candidates=Candidates(pool, np.zeros((len(pool), 1))) if others else None,
    )


def test_farther_candidates_count_one_and_tied_ones_a_half() -> None:
    conditions = [Condition(item, kind) for item, kind in ((A, X), (B, Y), (B, X), (C, X))]
    table = np.array([[2.0, 2.0, 3.0], [5.0, 4.0, 1.0], [9.0, 9.0 + 5e-9, 9.0 + 2e-8]])
    asked: list[list[int]] = []

    def distances(among: Rivals) -> DoubleArray:
        asked.append(among.rows.tolist())
        return table

    found = places(ranked(conditions), distances)
    assert asked == [[0, 2, 3]]
    # Of the first, one ties and one is farther; of the second, one of two is farther; the last
    # ties with what differs by less than a billionth of the largest distance, and no more.
    assert found.farther[[0, 2, 3]].tolist() == [1.5, 1.0, 0.0]
    assert np.isnan(found.farther[1])
    assert found.others.tolist() == [2, 0, 2, 2]
    assert found.reasons == {1: ONE_CONDITION}
    turned = table[::-1, ::-1].copy()
    found = places(ranked(conditions), lambda among: turned)
    assert found.farther[[0, 2, 3]].tolist() == [0.0, 1.0, 1.5]


def test_candidates_of_other_folds_count_within_the_cell_type() -> None:
    elsewhere = (Condition(C, X), Condition(B, Y), Condition(B, X))
    inputs = ranked([Condition(A, X), Condition(A, Y)], *elsewhere)
    tables = {X: np.array([[2.0, 3.0, 1.0]]), Y: np.array([[2.0, 5.0]])}
    seen: dict[str, list[int]] = {}

    def distances(among: Rivals) -> DoubleArray:
        kind = inputs.conditions[int(among.rows[0])].cell_type
        seen[kind] = among.own.tolist()
        assert among.truth.shape == (tables[kind].shape[1], 1)
        return tables[kind]

    found = places(inputs, distances)
    assert seen == {X: [0], Y: [0]}
    assert found.farther.tolist() == [1.0, 1.0]
    assert found.others.tolist() == [2.0, 1.0]


def test_ties_are_judged_by_the_largest_distance() -> None:
    conditions = [Condition(A, X), Condition(B, X)]
    for gap, expected in ((0.5e-9, 0.5), (3e-9, 1.0)):
        table = np.array([[1.0, 1.0 + gap], [0.0, 1.0]])
        found = places(ranked(conditions), lambda among, table=table: table)
        assert found.farther.tolist() == [expected, 0.0]


def test_each_row_has_a_margin_of_its_own() -> None:
    conditions = [Condition(A, X), Condition(B, X)]
    # The first row's margin is 1e-9, the second's 1.
    table = np.array([[1.0, 1.0 + 1e-6], [1e9, 1e9 + 0.5]])
    assert places(ranked(conditions), lambda among: table).farther.tolist() == [1.0, 0.5]


def test_distances_agree_with_plain_loops() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(100.0, 1.0, (130, 5)), rng.normal(100.0, 1.0, (70, 5))
    gaps = left[:, None, :] - right[None, :, :]
    np.testing.assert_allclose(euclidean(left, right), np.sqrt((gaps**2).sum(axis=2)), rtol=1e-9)
    np.testing.assert_allclose(manhattan(left, right), np.abs(gaps).sum(axis=2))
    assert euclidean(left[:1], left[:1]).tolist() == [[0.0]]
    # Far from the origin the centre keeps the digits that cancellation would take.
    far = euclidean(left + 1e8, right + 1e8)
    np.testing.assert_allclose(far, np.sqrt((gaps**2).sum(axis=2)), rtol=1e-6)


def test_de_genes_are_picked_and_padding_is_zero() -> None:
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    picked = gather_de(values, np.array([[2, 0], [1, -1]], dtype=np.int32))
    assert picked.tolist() == [[3, 1], [5, 0]]


def test_a_masked_mean_is_undefined_without_a_real_entry() -> None:
    values = np.array([[1.0, 2.0, np.nan], [5.0, 7.0, 9.0], [1.0, 1.0, 1.0]])
    mask = np.array([[True, True, False], [False, False, True], [False, False, False]])
    found = masked_mean(values, mask)
    np.testing.assert_array_equal(found.values, [1.5, 9.0, np.nan])
    assert found.reasons == {2: "no DE genes"}


def correlated(
    predicted: Sequence[Sequence[float]],
    truth: Sequence[Sequence[float]],
    *,
    mask: Sequence[Sequence[bool]] | None = None,
    scales: tuple[float, float] = (1.0, 1.0),
) -> MetricValues:
    left, right = np.array(predicted), np.array(truth)
    return masked_pearson(
        left,
        right,
        np.ones(left.shape, dtype=np.bool_) if mask is None else np.array(mask),
        predicted_scale=np.full(len(left), scales[0]),
        truth_scale=np.full(len(left), scales[1]),
    )


def test_correlations_worked_out_by_hand() -> None:
    # Centred: (-4, -1, 5)/3 and (-5, 4, 1)/3.
    found = correlated([[1, 2, 4, 99]], [[1, 4, 3, -99]], mask=[[True, True, True, False]])
    assert found.values.tolist() == pytest.approx([21 / 42])
    assert found.reasons == {}
    tiny = correlated(
        [[1e-200, 2e-200, 4e-200]], [[1e-180, 4e-180, 3e-180]], scales=(1e-199, 1e-179)
    )
    assert tiny.values.tolist() == pytest.approx([0.5])
    assert correlated([[0, 1]], [[0, 2]]).values.tolist() == pytest.approx([1.0])
    assert correlated([[0, 1]], [[3, 1]]).values.tolist() == pytest.approx([-1.0])


def test_each_row_is_correlated_by_itself() -> None:
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(2, 4, 6)) * np.array([[1.0], [5.0], [0.1], [2.0]])
    found = correlated(left.tolist(), right.tolist())
    expected = [np.corrcoef(one, other)[0, 1] for one, other in zip(left, right, strict=True)]
    np.testing.assert_allclose(found.values, expected)


def test_what_has_no_correlation_says_why() -> None:
    found = correlated(
        [[1, 2, 3], [1, 2, 3], [1, 1, 1], [1, 2, 3], [1, 1, 1]],
        [[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 1, 1], [1, 1, 1]],
        mask=[[False] * 3, [True, False, False], [True] * 3, [True] * 3, [True] * 3],
    )
    assert np.isnan(found.values).all()
    assert found.reasons == {
        0: "no DE genes",
        1: "fewer than two genes",
        2: "constant prediction",
        3: "constant truth",
        4: "constant prediction",
    }


@pytest.mark.parametrize("side", [0, 1])
def test_a_range_within_float32_rounding_of_its_scale_is_constant(side: int) -> None:
    eps = 2.0**-23
    flat, varied = [[0.0, 8 * eps]], [[0.0, 1.0]]
    pair = (flat, varied) if side == 0 else (varied, flat)
    scales = [1.0, 1.0]
    scales[side] = 8.0
    found = correlated(*pair, scales=(scales[0], scales[1]))
    assert found.reasons == {0: ("constant prediction", "constant truth")[side]}
    scales[side] = 7.9
    assert correlated(*pair, scales=(scales[0], scales[1])).values.tolist() == pytest.approx([1])


def test_the_scale_of_a_row_is_its_largest_number_in_any_array() -> None:
    first, second = np.array([[1.0, -3.0], [0.5, 0.25]]), np.array([[2.0, 2.0], [-1.0, 0.0]])
    assert row_scale(first, second).tolist() == [3, 1]
    assert row_scale(np.zeros((2, 0))).tolist() == [0, 0]


def inputs_of(
    expression: np.ndarray, *, truth: np.ndarray | None = None, **evidence: object
) -> MetricInputs:
    data = cells_data()
    return metric_inputs(
        Predictions(data.conditions[1:], expression, truth=truth),
        GroundTruth(
            data=data,
            pseudobulk=BULK,
            de=DeGenes("top", "file", np.arange(60, dtype=np.int32).reshape(3, 20)),
            **evidence,  # type: ignore[arg-type]
        ),
        train_means={X: np.array([7.0, 8.0]), Y: np.array([9.0, 6.0])},
    )


def test_metrics_see_each_conditions_own_rows() -> None:
    tests = DeTests(np.eye(3, 2, dtype=np.bool_), np.arange(6.0).reshape(3, 2))
    samples = cell_samples(cells_data(), BULK, seed=0)
    found = inputs_of(np.ones((2, 2), dtype=np.float32), de_tests=tests, cells=samples)
    assert found.conditions == cells_data().conditions[1:]
    assert found.predicted.dtype == np.float64
    assert found.truth.tolist() == [[3, 5], [2, 0]]
    assert found.control.tolist() == [[0, 1], [1, 1]]
    assert found.perturbed_mean.tolist() == [[9, 6], [7, 8]]
    assert found.de_indices[:, 0].tolist() == [20, 40]
    assert found.gene_symbols == ("G0", "G1")
    assert found.de_tests is not None
    assert found.de_tests.scores_vs_rest.tolist() == [[2, 3], [4, 5]]
    assert found.cells is not None
    assert found.cells.real(1)[:, 0].tolist() == [2, 7]
    for array in (found.predicted, found.truth, found.control, found.perturbed_mean):
        assert not array.flags.writeable
    assert not found.de_indices.flags.writeable


def test_without_evidence_metrics_see_none() -> None:
    found = inputs_of(np.ones((2, 2)))
    assert found.de_tests is None
    assert found.cells is None


def test_values_that_are_not_finite_are_counted_and_the_first_is_named() -> None:
    wrong = np.array([[1.0, np.inf], [np.nan, np.nan]])
    with pytest.raises(PluginError, match=r"^3 predicted .* first inf for gene 'G1' of 'A\+ctrl'"):
        inputs_of(wrong)


def test_a_prediction_may_be_anything_where_there_is_no_truth() -> None:
    wrong = np.array([[np.nan, np.nan], [1.0, 1.0]])
    own = np.array([[np.nan, 1.0], [2.0, 2.0]], dtype=np.float32)
    found = inputs_of(wrong, truth=own)
    assert found.truth.dtype == np.float64
    with pytest.raises(PluginError, match=r"^1 predicted"):
        inputs_of(np.array([[np.nan, 1.0], [np.nan, 1.0]]), truth=own)


def test_shapes_that_do_not_fit_are_refused_with_both_sizes() -> None:
    with pytest.raises(ShapeError, match=r"3 genes .*'cells' has 2"):
        inputs_of(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"\(2, 1\), expected \(2, 2\)"):
        inputs_of(np.ones((2, 2)), truth=np.ones((2, 1)))


def spec_of(name: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        summary="",
        source="test",
        higher_is_better=True,
        factory=lambda config: None,  # type: ignore[arg-type,return-value]
    )


def test_scores_of_conditions_with_a_truth_land_on_their_rows() -> None:
    truth = np.array([[np.nan, 1.0], [2.0, 2.0]])
    inputs = inputs_of(np.ones((2, 2)), truth=truth)

    def metric(seen: MetricInputs) -> MetricValues:
        assert seen.conditions == inputs.conditions[1:]
        return MetricValues(np.array([np.nan]), {0: "because"})

    first, second = score([(spec_of("mine"), metric)], inputs)
    assert (first.value, first.reason) == (None, "too few cells to have a truth")
    assert (second.value, second.reason, second.metric) == (None, "because", "mine")
    (_, found) = score([(spec_of("mine"), lambda seen: MetricValues(np.array([3.0])))], inputs)
    assert (found.value, found.reason) == (3.0, None)
    assert isinstance(found.value, float)


def test_a_metric_that_fails_is_named() -> None:
    def metric(seen: MetricInputs) -> MetricValues:
        raise ZeroDivisionError("oh")

    with pytest.raises(PluginError, match=r"^metric 'mine' raised ZeroDivisionError: oh"):
        score([(spec_of("mine"), metric)], inputs_of(np.ones((2, 2))))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0, 2.0], "must return MetricValues, got list"),
        (MetricValues(np.ones(3)), r"shape \(3,\), expected \(2,\)"),
        (MetricValues(np.ones((2, 1))), r"shape \(2, 1\), expected"),
        (MetricValues(np.array([1.0, -np.inf])), "infinite value"),
        (MetricValues(np.array([1.0, np.nan])), "condition 1 breaks"),
        (MetricValues(np.array([np.nan, np.nan]), {0: "a"}), "condition 1 breaks"),
        (MetricValues(np.array([1.0, 1.0]), {1: "a", 0: "b"}), "condition 0 breaks"),
        (MetricValues(np.array([np.nan, 1.0]), {1: "a"}), "condition 0 breaks"),
    ],
)
def test_a_result_that_breaks_the_contract_is_refused(result: object, message: str) -> None:
    with pytest.raises(PluginError, match=rf"^metric 'mine' .*{message}"):
        score([(spec_of("mine"), lambda seen: result)], inputs_of(np.ones((2, 2))))  # type: ignore[list-item,arg-type,return-value]


def test_draws_are_averaged_where_they_are_defined() -> None:
    def of(*values: float | None) -> list[Score]:
        return [
            Score(Condition(item, X), "m", value, None if value is not None else f"no {value}")
            for item, value in zip((A, B, C), values, strict=True)
        ]

    first, second, third = averaged([of(1.0, None, None), of(2.0, 4.0, None)])
    assert (first.value, first.reason) == (1.5, None)
    assert (second.value, second.reason) == (4.0, None)
    assert (third.value, third.reason) == (None, "no None")
    assert [item.condition.perturbation for item in (first, second, third)] == [A, B, C]


def test_subgroups_count_the_genes_that_training_has() -> None:
    ac, bc = Perturbation("A+C", ("A", "C")), Perturbation("B+C", ("B", "C"))
    d, de = Perturbation("D+ctrl", ("D",)), Perturbation("D+E", ("D", "E"))
    known = iter([A, bc])
    found = subgroups(known, [ac, AB, d, C, B, de, A, Perturbation("A+D", ("A", "D"))])
    assert list(found.items()) == [
        ("combo_seen0", ("D+E",)),
        ("combo_seen1", ("A+D",)),
        ("combo_seen2", ("A+B", "A+C")),
        ("seen_perturbation", ("A+ctrl",)),
        ("seen_single", ("B+ctrl", "C+ctrl")),
        ("unseen_single", ("D+ctrl",)),
    ]


@pytest.mark.parametrize(
    ("n_labels", "fraction", "n_drawn"),
    [
        (2, 0.9, 0),
        (3, 0.1, 1),
        (3, 0.0, 0),
        (10, 0.1, 1),
        (14, 0.25, 4),
        (20, 0.1, 2),
        (3, 0.99, 2),
        (100, 0.999, 99),
    ],
)
def test_so_many_labels_are_held_out_for_validation(
    n_labels: int, fraction: float, n_drawn: int
) -> None:
    drawn = validation_positions(n_labels, fraction=fraction, seed=(1, 2))
    assert len(set(drawn)) == len(drawn) == n_drawn
    assert drawn == tuple(sorted(drawn))
    if n_drawn:
        rng = np.random.default_rng([1, 2])
        assert drawn == tuple(sorted(rng.choice(n_labels, n_drawn, replace=False).tolist()))
        assert type(drawn[0]) is int
