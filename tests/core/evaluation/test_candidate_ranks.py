"""Distances between conditions, and the share of those that lie farther."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import A, B, C, X, Y

from dygenept.evaluation import candidate_ranks
from dygenept.evaluation.candidate_ranks import (
    ONE_CONDITION,
    Rivals,
    Truths,
    places,
    rivals,
    squared_distances,
)
from dygenept.evaluation.manhattan import manhattan
from dygenept.types import Candidates, Condition, DoubleArray, MetricInputs


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
        assert among.truths.values.shape == (tables[kind].shape[1], 1)
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


def truths_of(values: DoubleArray) -> Truths:
    return Truths(values, [Condition(A, str(row)) for row in range(len(values))])


def test_distances_agree_with_plain_loops() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(100.0, 1.0, (130, 5)), rng.normal(100.0, 1.0, (70, 5))
    gaps = left[:, None, :] - right[None, :, :]
    squares = (gaps**2).sum(axis=2)
    np.testing.assert_allclose(squared_distances(left, right), squares, rtol=1e-8)
    np.testing.assert_allclose(manhattan(left, right), np.abs(gaps).sum(axis=2))
    assert 0.0 <= squared_distances(left[:1], left[:1])[0, 0] < 1e-9


def counted(truths: Truths, predicted: DoubleArray) -> tuple[DoubleArray, list[DoubleArray]]:
    """L1 distances by ``Truths.distances``, and what was computed for them."""
    asked: list[DoubleArray] = []

    def compute(rows: DoubleArray) -> DoubleArray:
        asked.append(rows)
        return manhattan(rows, truths.values)

    return truths.distances("manhattan", predicted, compute), asked


def test_predictions_that_are_alike_are_computed_once() -> None:
    values = np.random.default_rng(1).normal(size=(4, 40))
    alike = np.repeat(values[:1] + 1.0, 3, axis=0)
    found, asked = counted(truths_of(values), alike)
    assert [len(rows) for rows in asked] == [1]
    np.testing.assert_array_equal(found, manhattan(alike, values))
    # The first and the last are alike, and the middle one differs in one gene.
    alike[1, 17] += 1e-9
    found, asked = counted(truths_of(values), alike)
    assert [len(rows) for rows in asked] == [3]
    np.testing.assert_array_equal(found, manhattan(alike, values))


def test_the_distances_of_candidates_are_kept_for_whoever_predicts_them() -> None:
    values = np.random.default_rng(2).normal(size=(5, 40))
    truths = truths_of(values)
    mixed = np.stack([values[3], values[0] + 0.5, values[1]])
    found, asked = counted(truths, mixed)
    np.testing.assert_array_equal(found, manhattan(mixed, values))
    assert [len(rows) for rows in asked] == [3]
    found[:] = 0.0
    again = np.stack([values[1], values[3], values[4], values[0] + 0.5])
    found, asked = counted(truths, again)
    np.testing.assert_array_equal(found, manhattan(again, values))
    np.testing.assert_array_equal(asked[0], again[2:])
    assert len(asked) == 1
    # What differs from a candidate in one value, between those that are looked at first, is new.
    near = np.stack([values[1], values[3]])
    near[0, 1] += 1e-9
    found, asked = counted(truths, near)
    np.testing.assert_array_equal(asked[0], near[:1])
    np.testing.assert_array_equal(found, manhattan(near, values))
    # Under another name nothing is kept yet.
    doubled = truths.distances("doubled", near, lambda rows: 2.0 * manhattan(rows, values))
    np.testing.assert_array_equal(doubled, 2.0 * manhattan(near, values))


def test_candidates_too_many_or_too_large_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=(3, 8))
    control = np.ones(8)
    kept = truths_of(values)
    assert kept.delta(control)[0] is kept.delta(control.copy())[0]
    monkeypatch.setattr(candidate_ranks, "MOST_BYTES", values.nbytes - 1)
    monkeypatch.setattr(candidate_ranks, "MOST_AMONG", 2)
    large = truths_of(values)
    assert large.delta(control)[0] is not large.delta(control)[0]
    assert [len(counted(large, values[:2])[1]) for _ in range(2)] == [1, 1]
    np.testing.assert_array_equal(large.delta(control)[0], values - 1.0)


def test_changes_are_measured_from_the_control_that_is_given() -> None:
    values = np.random.default_rng(4).normal(size=(3, 8))
    truths = truths_of(values)
    for level in (1.0, 2.0, 1.0):
        delta, squares = truths.delta(np.full(8, level))
        np.testing.assert_array_equal(delta, values - level)
        np.testing.assert_allclose(squares, (delta**2).sum(axis=1))


def test_all_inputs_with_the_same_candidates_share_their_truths() -> None:
    conditions = [Condition(A, X), Condition(B, X), Condition(C, Y)]
    inputs = ranked(conditions, Condition(B, Y))
    first, second = rivals(inputs)
    other, _ = rivals(replace(inputs, predicted=inputs.predicted + 1.0))
    assert other.truths is first.truths
    assert (first.rows.tolist(), second.rows.tolist()) == ([0, 1], [2])
    assert list(second.truths.columns) == [Condition(C, Y), Condition(B, Y)]
    alone, _ = rivals(replace(inputs, candidates=None))
    assert alone.truths is not first.truths


def test_what_inputs_keep_is_theirs_alone() -> None:
    inputs = ranked([Condition(A, X), Condition(B, X)], Condition(C, X))
    assert inputs.once("test", lambda: [1]) is inputs.once("test", lambda: [2])
    assert inputs.once("other", lambda: [3]) == [3]
    assert inputs.take(np.array([0])).once("test", lambda: [4]) == [4]
    assert replace(inputs, spread=inputs.truth).once("test", lambda: [5]) == [5]
    assert inputs.candidates is not None
    assert inputs.candidates.once("test", lambda: [6]) == [6]
    assert inputs.candidates.once("test", lambda: [7]) == [6]
    assert inputs.once("test", lambda: [8]) == [1]


@pytest.mark.parametrize("most_bytes", [0, 1 << 20])
def test_squared_changes_are_kept_whether_or_not_the_changes_are(
    monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr("dygenept.evaluation.candidate_ranks.MOST_BYTES", most_bytes)
    truths = truths_of(np.array([[1.0, 2.0], [4.0, 6.0]]))
    control = np.array([1.0, 2.0])
    assert truths.delta_squares(control).tolist() == [0.0, 25.0]
    changes, squares = truths.delta(control)
    assert changes.tolist() == [[0.0, 0.0], [3.0, 4.0]]
    assert squares.tolist() == [0.0, 25.0]
    kept = truths.delta_squares(control)
    assert truths.delta_squares(control.copy()) is kept
    assert truths.delta_squares(np.array([0.0, 2.0])).tolist() == [1.0, 32.0]
    assert truths.delta_squares(control).tolist() == [0.0, 25.0]
