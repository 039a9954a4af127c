"""What metrics are handed beside means: halves of controls, blocks, singles, held-out pools."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import AB, BULK, A, B, X, Y, cells_data
from core.evaluation.small_inputs import inputs_of, spec_of

from dygenept.evaluation.control_cells import (
    ControlCells,
    ControlHalves,
    control_half_means,
    count_controls,
)
from dygenept.evaluation.draws import NO_CORRELATION, lengthened
from dygenept.evaluation.held_out import HeldOutPool, de_gene_counts
from dygenept.evaluation.predicted_cells import CellTester
from dygenept.evaluation.scoring import GroundTruth, metric_inputs, score
from dygenept.plugin.specs import MetricSpec
from dygenept.types import (
    Condition,
    DeGenes,
    DeTests,
    Fold,
    MetricInputs,
    MetricValues,
    Perturbation,
    Predictions,
    Pseudobulk,
    Score,
)

# ------------------------------------------------------------------------------------- controls


def test_control_cells_are_counted_and_related_to_the_perturbed_ones() -> None:
    counted = count_controls(cells_data(), BULK.n_cells)
    # x: 3 controls beside 3 and 2 perturbed cells; y: 2 beside 2.
    assert counted == ControlCells({X: 3, Y: 2}, {X: pytest.approx(0.45), Y: pytest.approx(0.5)})
    assert counted.are_few


def test_a_cell_type_without_perturbed_cells_has_no_share() -> None:
    data = cells_data()
    alone = replace(
        data,
        conditions=(Condition(A, X), Condition(B, X)),
        condition_codes=np.array([-1, 0, 1, 0, -1, 0, -1, 1, 0, 1, -1, -1], dtype=np.int32),
        cell_type_codes=np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0], dtype=np.int32),
    )
    bulk = Pseudobulk(BULK.means[:2], np.array([4, 3], np.int32), BULK.control_means)
    assert list(count_controls(alone, bulk.n_cells).noise_shares) == [X]


@pytest.mark.parametrize(("shares", "few"), [({}, False), ({X: 0.1}, False), ({X: 0.11}, True)])
def test_controls_are_few_where_a_tenth_of_the_noise_is_theirs(
    shares: dict[str, float], few: bool
) -> None:
    assert ControlCells({X: 1, Y: 9}, {Y: 0.01, **shares}).are_few is few
    assert not ControlCells({}, {}).are_few


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_halves_of_controls_are_drawn_type_by_type(seed: int) -> None:
    data, rng = cells_data(), np.random.default_rng(seed)
    cells = data.expression.toarray().astype(np.float64)
    x, y = rng.permutation([0, 6, 11]), rng.permutation([4, 10])
    found = control_half_means(data, seed=seed).of_types
    assert found.shape == (2, 2, 2)
    np.testing.assert_allclose(found[0], [cells[x[0]], cells[y[0]]])
    np.testing.assert_allclose(found[1], [cells[x[1:]].mean(axis=0), cells[y[1]]])


def test_of_one_control_cell_there_is_no_first_half() -> None:
    data = cells_data()
    codes = data.condition_codes.copy()
    codes[4] = 1
    found = control_half_means(replace(data, condition_codes=codes), seed=0).of_types
    assert np.isnan(found[0, 1]).all()
    assert found[1, 1].tolist() == data.expression[10].toarray()[0].tolist()
    assert np.isfinite(found[:, 0]).all()


def test_of_no_control_cell_there_is_neither_half() -> None:
    data = cells_data()
    for kind in (0, 1):
        codes = np.where(data.cell_type_codes == kind, 0, data.condition_codes)
        found = control_half_means(replace(data, condition_codes=codes), seed=0).of_types
        assert found.shape == (2, 2, 2)
        assert np.isnan(found[:, kind]).all()
        assert np.isfinite(found[:, 1 - kind]).all()


# --------------------------------------------------------------------------------------- blocks


# ------------------------------------------------------------------------------- scores and chance


def test_the_chance_of_a_score_is_the_results_own_or_the_declared_one() -> None:
    inputs = inputs_of(2)

    def metric(seen: MetricInputs) -> MetricValues:
        return MetricValues(np.array([0.25, np.nan]), {1: "no"}, chance=np.array([0.1, np.nan]))

    def plain(seen: MetricInputs) -> MetricValues:
        return MetricValues(np.array([0.25, np.nan]), {1: "no"})

    def chances(spec: MetricSpec, of: object) -> list[float | None]:
        return [item.chance for item in score([(spec, of)], inputs)]  # type: ignore[list-item]

    assert chances(spec_of("own", chance=0.5), metric) == [0.1, None]
    assert chances(spec_of("own"), metric) == [0.1, None]
    assert chances(spec_of("declared", chance=0.5), plain) == [0.5, None]
    assert chances(spec_of("none"), plain) == [None, None]


def test_a_chance_without_a_truth_lands_on_the_right_row() -> None:
    inputs = inputs_of(3)
    truth = inputs.truth.copy()
    truth[1, 0] = np.nan

    def metric(seen: MetricInputs) -> MetricValues:
        return MetricValues(seen.predicted[:, 0], chance=seen.predicted[:, 0] / 4)

    found = score([(spec_of("one"), metric)], replace(inputs, truth=truth))
    assert [(item.value, item.chance) for item in found] == [(0.0, 0.0), (None, None), (2.0, 0.5)]


def test_a_correlation_of_more_cells_follows_spearman_and_brown() -> None:
    where = Condition(A, X)
    scores = [
        Score(where, "r", 0.5, None),
        Score(where, "r", 1.0, None),
        Score(where, "r", 0.0, None),
        Score(where, "r", -0.25, None),
        Score(where, "r", None, "flat"),
        Score(where, "mse", 0.5, None),
        Score(where, "mse", None, "flat"),
    ]
    found = lengthened(scores, [spec_of("r", is_correlation=True), spec_of("mse")], 2.0)
    assert [item.value for item in found] == [pytest.approx(2 / 3), 1.0, 0.0, -0.25, *[None] * 3]
    assert [item.reason for item in found] == [*[None] * 4, "flat", NO_CORRELATION, NO_CORRELATION]
    assert [item.metric for item in found] == [item.metric for item in scores]
    # Three times as many cells: 3 r / (1 + 2 r).
    (third,) = lengthened(scores[:1], [spec_of("r", is_correlation=True)], 3.0)
    assert third.value == pytest.approx(0.75)


# ------------------------------------------------------------------------------ singles and spread


def test_combinations_see_the_changes_of_their_single_perturbations() -> None:
    data = cells_data()
    data = replace(
        data,
        conditions=(Condition(A, X), Condition(AB, X), Condition(B, X), Condition(AB, Y)),
        cell_type_codes=data.cell_type_codes,
        condition_codes=np.array([-1, 0, 2, 3, -1, 0, -1, 1, 0, 3, -1, -1], dtype=np.int32),
    )
    bulk = Pseudobulk(
        means=np.array([[1.0, 2.0], [8.0, 9.0], [2.0, 0.0], [3.0, 5.0]]),
        n_cells=np.array([3, 1, 1, 2], dtype=np.int32),
        control_means=np.array([[1.0, 1.0], [0.0, 1.0]]),
    )
    truth = GroundTruth(
        data=data,
        pseudobulk=bulk,
        de=DeGenes("top", "file", np.zeros((4, 20), np.int32)),
        has_singles=True,
        control_halves=ControlHalves(np.arange(8.0).reshape(2, 2, 2)),
    )
    spread = np.full((4, 2), 0.5)
    found = metric_inputs(
        Predictions(data.conditions, np.ones((4, 2)), spread=spread),
        truth,
        train_means={X: np.zeros(2), Y: np.zeros(2)},
    )
    single, combination, other, elsewhere = found.single_deltas
    assert single is None
    assert other is None
    # B was not perturbed alone in y.
    assert elsewhere is None
    assert combination is not None
    # Both less the controls of x, (1, 1), in the order of the combination's genes.
    assert combination.tolist() == [[0.0, 1.0], [1.0, -1.0]]
    assert not combination.flags.writeable
    assert found.control_halves is not None
    assert found.control_halves.tolist() == [
        [[0, 1], [0, 1], [0, 1], [2, 3]],
        [[4, 5], [4, 5], [4, 5], [6, 7]],
    ]
    assert not found.control_halves.flags.writeable
    assert found.spread is not None
    assert not found.spread.flags.writeable
    assert spread.flags.writeable
    bare = metric_inputs(
        Predictions(data.conditions, np.ones((4, 2))),
        replace(truth, has_singles=False, control_halves=None),
        train_means={X: np.zeros(2), Y: np.zeros(2)},
    )
    assert (bare.single_deltas, bare.control_halves, bare.spread, bare.candidates) == (
        (),
        None,
        None,
        None,
    )


# ---------------------------------------------------------------------------------- held-out pool


def folds_of(*tests: tuple[Perturbation, str | None]) -> list[Fold]:
    return [
        Fold(train=("C+ctrl",), val=(), test=(item.label,), test_cell_type=kind)
        for item, kind in tests
    ]


def test_ranks_are_among_what_any_fold_holds_out() -> None:
    data = cells_data()
    pool = HeldOutPool(data, BULK, folds_of((B, None), (A, None)), seed=5)
    assert pool.conditions == tuple(sorted(data.conditions))
    found = pool.candidates(Predictions(data.conditions[:1], np.ones((1, 2))))
    assert found.conditions == pool.conditions
    rows = [data.conditions.index(item) for item in pool.conditions]
    assert found.truth.tolist() == BULK.means[rows].tolist()
    assert not found.truth.flags.writeable
    only = HeldOutPool(data, BULK, folds_of((A, Y)), seed=5)
    assert only.conditions == (Condition(A, Y),)


def test_a_control_with_a_truth_of_its_own_is_ranked_among_halves() -> None:
    data = cells_data()
    pool = HeldOutPool(data, BULK, folds_of((A, None), (B, None)), seed=5)
    own = np.array([[50.0, 60.0]])
    predictions = Predictions((Condition(A, X),), np.ones((1, 2)), truth=own)
    found = pool.candidates(predictions)
    again = pool.candidates(predictions)
    assert found.conditions == pool.conditions == again.conditions
    np.testing.assert_array_equal(found.truth, again.truth)
    at = {condition: row for row, condition in enumerate(found.conditions)}
    assert found.truth[at[Condition(A, X)]].tolist() == [50.0, 60.0]
    cells = data.expression.toarray()
    # Two cells each: the second half is one of them.
    for where, members in ((Condition(A, Y), (3, 9)), (Condition(B, X), (2, 7))):
        assert found.truth[at[where]].tolist() in [cells[cell].tolist() for cell in members]
    # Without a half, a condition is not among the candidates.
    gone = pool.candidates(replace(predictions, truth=np.array([[np.nan, 1.0]])))
    assert gone.conditions == tuple(item for item in pool.conditions if item != Condition(A, X))
    assert len(gone.truth) == 2
    seeds = [HeldOutPool(data, BULK, folds_of((A, None)), seed=seed) for seed in range(12)]
    drawn = {str(item.candidates(predictions).truth.tolist()) for item in seeds}
    assert len(drawn) == 2


def test_de_genes_are_counted_by_cell_type_and_label() -> None:
    data = cells_data()
    tests = DeTests(np.array([[True, True], [False, True], [False, False]]), np.zeros((3, 2)))
    assert de_gene_counts(data, tests, data.conditions[::-1]) == {
        X: {"B+ctrl": 0, "A+ctrl": 2},
        Y: {"A+ctrl": 1},
    }
    assert de_gene_counts(data, None, data.conditions) == {}


def test_means_of_predicted_cells_are_taken_in_double_precision() -> None:
    cells = np.random.default_rng(0).random((100, 2)).astype(np.float32)
    given = Predictions((Condition(A, X),), np.ones((1, 2)), cells=(cells,))
    tested = CellTester(cells_data())(given)
    assert tested is not None
    expected = [float(sum(map(float, column)) / 100) for column in cells.T]
    assert tested.means.dtype == np.float64
    np.testing.assert_allclose(tested.means, [expected], rtol=1e-14)
