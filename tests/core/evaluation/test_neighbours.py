"""Distances between conditions, and the share of those that lie farther."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from core.evaluation.small_cells import A, B, C, X, Y

from dygenept.evaluation.neighbours import ONE_CONDITION, Rivals, euclidean, manhattan, places
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
