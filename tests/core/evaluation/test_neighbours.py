"""Distances between conditions, and the share of those that lie farther."""

from __future__ import annotations

import numpy as np
from core.evaluation.small_cells import A, B, C, X, Y

from dygenept.evaluation.neighbours import ONE_CONDITION, euclidean, manhattan, share_farther
from dygenept.types import (
    Condition,
    DoubleArray,
)


def test_farther_candidates_count_one_and_tied_ones_a_half() -> None:
    conditions = [Condition(item, kind) for item, kind in ((A, X), (B, Y), (B, X), (C, X))]
    table = np.array([[2.0, 2.0, 3.0], [5.0, 4.0, 1.0], [9.0, 9.0 + 5e-9, 9.0 + 2e-8]])
    asked: list[list[int]] = []

    def distances(rows: np.ndarray) -> DoubleArray:
        asked.append(rows.tolist())
        return table

    farther, others, reasons = share_farther(conditions, distances)
    assert asked == [[0, 2, 3]]
    # Of the first, one ties and one is farther; of the second, one of two is farther; the last
    # ties with what differs by less than a billionth of the largest distance, and no more.
    assert farther[[0, 2, 3]].tolist() == [1.5, 1.0, 0.0]
    assert np.isnan(farther[1])
    assert others.tolist() == [2, 0, 2, 2]
    assert reasons == {1: ONE_CONDITION}
    turned = table[::-1, ::-1].copy()
    farther, _, _ = share_farther(conditions, lambda rows: turned)
    assert farther[[0, 2, 3]].tolist() == [0.0, 1.0, 1.5]


def test_ties_are_judged_by_the_largest_distance() -> None:
    conditions = [Condition(A, X), Condition(B, X)]
    for gap, expected in ((0.5e-9, 0.5), (3e-9, 1.0)):
        table = np.array([[1.0, 1.0 + gap], [0.0, 1.0]])
        farther, _, _ = share_farther(conditions, lambda rows, table=table: table)
        assert farther.tolist() == [expected, 0.0]


def test_each_row_has_a_margin_of_its_own() -> None:
    conditions = [Condition(A, X), Condition(B, X)]
    # The first row's margin is 1e-9, the second's 1.
    table = np.array([[1.0, 1.0 + 1e-6], [1e9, 1e9 + 0.5]])
    farther, _, _ = share_farther(conditions, lambda rows: table)
    assert farther.tolist() == [1.0, 0.5]


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
