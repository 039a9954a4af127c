"""What is kept of candidates, and which rows of tables are theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import A, B, C, X, Y

from dygenept.evaluation import candidate_ranks
from dygenept.evaluation.candidate_ranks import (
    Positions,
    Rivals,
    Truths,
    are_alike,
    of_rivals,
    places,
    products,
    rivals,
    squared_distances,
)
from dygenept.evaluation.manhattan import manhattan
from dygenept.machine import tables
from dygenept.types import Candidates, Condition, DoubleArray, MetricInputs

CONDITIONS = tuple(Condition(item, kind) for item, kind in ((A, X), (B, Y), (B, X), (C, X)))


def truths_of(values: DoubleArray) -> Truths:
    return Truths(values, [Condition(A, str(row)) for row in range(len(values))])


def inputs_of(truth: DoubleArray, candidates: Candidates | None = None) -> MetricInputs:
    nothing = np.zeros_like(truth)
    return MetricInputs(
        conditions=CONDITIONS,
        predicted=nothing,
        truth=truth,
        control=nothing,
        perturbed_mean=nothing,
        de_indices=np.full((4, 20), -1, dtype=np.int32),
        gene_symbols=("G0", "G1"),
        candidates=candidates,
    )


@pytest.mark.parametrize("part_values", [1 << 21, 2])
def test_genes_are_taken_out_once_in_the_order_that_is_asked_for(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    values = np.arange(12.0).reshape(3, 4)
    asked: list[int] = []

    def targets() -> list[int]:
        asked.append(1)
        return [3, 0, 3, 1]

    truths = truths_of(values)
    found = truths.of_genes([3, 1], targets)
    assert found.tolist() == [[3, 1], [7, 5], [11, 9]]
    assert found.flags.c_contiguous
    assert truths.of_genes([0], targets).tolist() == [[0], [4], [8]]
    assert asked == [1]
    with pytest.raises(KeyError):
        truths.of_genes([2], targets)


@pytest.mark.parametrize(("most", "is_kept"), [(48, True), (47, False)])
def test_changes_are_kept_up_to_so_many_bytes(
    most: int, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_ranks, "MOST_BYTES", most)
    truths = truths_of(np.arange(6.0).reshape(3, 2))
    control = np.array([1.0, 2.0])
    first, second = truths.delta(control), truths.delta(control)
    assert (first[0] is second[0]) is is_kept
    assert first[0].tolist() == second[0].tolist() == [[-1, -1], [1, 1], [3, 3]]
    assert first[1].tolist() == second[1].tolist() == [2, 2, 18]


@pytest.mark.parametrize(("most", "n_asked"), [(3, 1), (2, 2)])
def test_distances_are_kept_among_up_to_so_many_candidates(
    most: int, n_asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_ranks, "MOST_AMONG", most)
    values = np.random.default_rng(0).normal(size=(3, 8))
    truths = truths_of(values)
    asked: list[int] = []

    def compute(rows: DoubleArray) -> DoubleArray:
        asked.append(len(rows))
        return manhattan(rows, values)

    for _ in range(2):
        found = truths.distances("manhattan", values[[2, 0]], compute)
        np.testing.assert_array_equal(found, manhattan(values[[2, 0]], values))
    # Where all are known, nothing is computed.
    assert asked == [2] * n_asked


@pytest.mark.parametrize("block_rows", [64, 2])
def test_two_candidates_are_compared_once_where_either_way_is_the_same(
    block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_ranks, "BLOCK_ROWS", block_rows)
    values = np.random.default_rng(2).normal(size=(6, 8))
    other = np.random.default_rng(3).normal(size=(1, 8))
    truths = truths_of(values)
    n_pairs: list[int] = []

    def whole(rows: DoubleArray) -> DoubleArray:
        # Only of what is no candidate.
        np.testing.assert_array_equal(rows, other)
        return manhattan(rows, values)

    def some(rows: DoubleArray, columns: Positions) -> DoubleArray:
        n_pairs.append(len(rows) * len(columns))
        return manhattan(rows, values[columns])

    for chosen in ([4, 1, 4], [0, 1, 5, 3], [2, 3, 0, 5, 4, 1]):
        predicted = np.concatenate([values[chosen], other])
        found = truths.distances("manhattan", predicted, whole, either_way=some)
        np.testing.assert_array_equal(found, manhattan(predicted, values))
    # Of blocks of two: 2 × 6, 2 × 4 and 1 × 2, of which the last row is itself.
    assert sum(n_pairs) == {64: 2 * 6 + 3 * 4 + 1, 2: 2 * 6 + 2 * 4 + 2 + 1}[block_rows]


def test_what_is_kept_is_a_copy_and_so_is_what_is_given() -> None:
    values = np.random.default_rng(1).normal(size=(3, 8))
    truths = truths_of(values)
    for _ in range(3):
        found = truths.distances("manhattan", values[:2], lambda rows: manhattan(rows, values))
        np.testing.assert_array_equal(found, manhattan(values[:2], values))
        found[:] = -1.0


@pytest.mark.parametrize("part_values", [1 << 21, 4])
def test_rows_are_alike_only_if_all_of_them_are(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    rows = np.ones((5, 4))
    assert are_alike(rows)
    assert are_alike(rows[:1])
    for row in range(5):
        other = rows.copy()
        other[row, 2] += 1e-15
        assert not are_alike(other)


def test_rows_of_a_cell_type_are_the_table_itself_where_they_are_all() -> None:
    table = np.arange(6.0).reshape(3, 2)
    truths = truths_of(table)
    own = np.zeros(3, dtype=np.intp)
    assert of_rivals(table, Rivals(np.arange(3), truths, own)) is table
    some = of_rivals(table, Rivals(np.array([0, 2]), truths, own[:2]))
    assert some.tolist() == [[0, 1], [4, 5]]


@pytest.mark.parametrize("part_values", [1 << 21, 3])
def test_squares_are_never_below_zero(part_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    rng = np.random.default_rng(2)
    left = rng.normal(1e4, 1.0, (20, 30))
    right = np.concatenate((left[:7], rng.normal(1e4, 1.0, (3, 30))))
    found = squared_distances(left, right)
    assert found.shape == (20, 10)
    assert (found >= 0.0).all()
    assert found[np.arange(7), np.arange(7)].max() < 1e-4
    gaps = ((left[:, None] - right) ** 2).sum(axis=2)
    np.testing.assert_allclose(found, gaps, atol=1e-4)
    np.testing.assert_allclose(products(left, right), left @ right.T)


def test_candidates_are_sorted_into_cell_types_with_their_own_truth() -> None:
    truth = np.arange(8.0).reshape(4, 2)
    in_x, in_y = rivals(inputs_of(truth))
    assert (in_x.rows.tolist(), in_y.rows.tolist()) == ([0, 2, 3], [1])
    assert in_x.truths.values.tolist() == truth[[0, 2, 3]].tolist()
    assert in_y.truths.values.tolist() == truth[[1]].tolist()
    assert in_x.own.tolist() == [0, 1, 2]
    assert in_x.truths.columns == {CONDITIONS[0]: 0, CONDITIONS[2]: 1, CONDITIONS[3]: 2}
    # All of one cell type are the truth itself and no copy of it.
    alone = replace(
        inputs_of(truth), conditions=tuple(Condition(item.perturbation, X) for item in CONDITIONS)
    )
    pool = Candidates(
        tuple(Condition(A, X) if row == 0 else Condition(C, str(row)) for row in range(4)), truth
    )
    with pytest.raises(KeyError):
        rivals(replace(alone, candidates=pool))
    whole = Candidates((Condition(A, X), Condition(C, X), Condition(B, X)), truth[:3])
    (only,) = rivals(
        replace(
            alone,
            conditions=(Condition(B, X), Condition(A, X)),
            predicted=truth[:2],
            truth=truth[:2],
            candidates=whole,
        )
    )
    assert only.truths.values is whole.truth
    assert only.own.tolist() == [2, 0]


@pytest.mark.parametrize("part_values", [1 << 21, 3])
def test_places_are_the_same_in_parts(part_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    table = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [3.0, 2.0, 1.0]])
    found = places(inputs_of(np.zeros((4, 2))), lambda among: table)
    assert found.farther[[0, 2, 3]].tolist() == [2.0, 1.0, 2.0]
    assert np.isnan(found.farther[1])
    assert found.others.tolist() == [2, 0, 2, 2]


def test_a_margin_counts_from_the_largest_absolute_distance_and_includes_its_end() -> None:
    conditions = inputs_of(np.zeros((4, 2)))
    base = 2.0**30
    margin = 1e-9 * base
    table = np.array(
        [[1.0, 1.0 + margin, base], [1.0 + margin * 1.001, 1.0, -base], [1.0, 0.5, 1.0]]
    )
    found = places(conditions, lambda among: table)
    # The first is tied with what is a billionth of the largest farther.
    assert found.farther[0] == pytest.approx(1.5)
    # The second is beaten by it; -base is not farther.
    assert found.farther[2] == 1.0
    assert found.farther[3] == 0.5
