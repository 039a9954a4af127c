"""Effect sizes, subgroups and validation labels worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from core.evaluation.small_cells import AB, BULK, A, B, C, X, Y, cells_data

from dygenept.data.pseudobulk import half_means
from dygenept.evaluation.held_out import (
    HeldOutPool,
    de_gene_counts,
    effect_sizes,
    shuffled_parts,
    subgroups,
    validation_positions,
)
from dygenept.machine import tables
from dygenept.types import (
    Condition,
    DeTests,
    Fold,
    Perturbation,
    Predictions,
)


def test_effect_sizes_are_root_mean_squares_of_the_change() -> None:
    data = cells_data()
    sizes = effect_sizes(data, BULK, data.conditions[::-1])
    assert sizes == {
        X: {"B+ctrl": pytest.approx(1.0), "A+ctrl": pytest.approx(0.5**0.5)},
        Y: {"A+ctrl": pytest.approx(12.5**0.5)},
    }


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


@pytest.mark.parametrize(("n_items", "n_parts"), [(10, 5), (11, 3), (7, 7), (5, 2)])
@pytest.mark.parametrize("seed", [0, 42])
def test_parts_are_those_of_scikit_learn(n_items: int, n_parts: int, seed: int) -> None:
    from sklearn.model_selection import KFold

    cut = KFold(n_parts, shuffle=True, random_state=seed).split(np.zeros(n_items))
    found = shuffled_parts(n_items, n_parts, seed=seed)
    assert found == [test.tolist() for _, test in cut]
    assert type(found[0][0]) is int


@pytest.mark.parametrize("part_values", [1 << 21, 2])
def test_effect_sizes_are_the_same_in_parts_and_skip_what_was_not_measured(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    data = cells_data()
    means = BULK.means.copy()
    means[0, 0] = np.nan
    sizes = effect_sizes(data, replace(BULK, means=means), data.conditions)
    assert sizes[X] == {"A+ctrl": pytest.approx(1.0), "B+ctrl": pytest.approx(1.0)}
    assert sizes[Y] == {"A+ctrl": pytest.approx(12.5**0.5)}
    assert all(type(size) is float for of in sizes.values() for size in of.values())


def test_counts_of_de_genes_are_plain_numbers() -> None:
    data = cells_data()
    tests = DeTests(np.array([[True, True], [False, True], [False, False]]), np.zeros((3, 2)))
    counts = de_gene_counts(data, tests, (data.conditions[1],))
    assert counts == {Y: {"A+ctrl": 1}}
    assert type(counts[Y]["A+ctrl"]) is int


def folds(*tests: tuple[Perturbation, str | None]) -> list[Fold]:
    return [Fold(("C+ctrl",), (), (item.label,), test_cell_type=kind) for item, kind in tests]


def test_the_truth_of_all_conditions_is_no_copy_and_that_of_some_is_their_rows() -> None:
    data = cells_data()
    whole = HeldOutPool(data, BULK, folds((A, None), (B, None)), seed=0)
    asked = Predictions(data.conditions[:1], np.ones((1, 2)))
    found = whole.candidates(asked)
    assert np.shares_memory(found.truth, BULK.means)
    assert BULK.means.flags.writeable
    assert whole.candidates(asked) is found
    some = HeldOutPool(data, BULK, folds((A, None)), seed=0).candidates(asked)
    assert some.conditions == (Condition(A, X), Condition(A, Y))
    assert some.truth.tolist() == [[1, 2], [3, 5]]
    assert not np.shares_memory(some.truth, BULK.means)
    # Of one fold that holds out a cell type, only its conditions count.
    only = HeldOutPool(data, BULK, folds((A, Y), (B, None)), seed=0).candidates(asked)
    assert only.conditions == (Condition(A, Y), Condition(B, X))


@pytest.mark.parametrize("seed", [0, 5])
def test_second_halves_are_drawn_once_from_the_seed(seed: int) -> None:
    data = cells_data()
    pool = HeldOutPool(data, BULK, folds((A, None), (B, None)), seed=seed)
    own = np.array([[50.0, 60.0]])
    asked = Predictions((Condition(B, X),), np.ones((1, 2)), truth=own)
    _, second = half_means(data, pool.conditions, np.random.default_rng(seed))
    for _ in range(2):
        found = pool.candidates(asked)
        assert found.conditions == pool.conditions
        at = pool.conditions.index(Condition(B, X))
        expected = second.copy()
        expected[at] = own
        np.testing.assert_array_equal(found.truth, expected)
    # Another control's own truth does not stay.
    other = replace(asked, conditions=(Condition(A, X),), truth=own + 1.0)
    assert pool.candidates(other).truth[at].tolist() == second[at].tolist()


def test_a_condition_with_one_cell_is_no_candidate_of_halves() -> None:
    data = cells_data()
    codes = data.condition_codes.copy()
    codes[7] = -1  # leaves one cell of B
    pool = HeldOutPool(
        replace(data, condition_codes=codes), BULK, folds((A, None), (B, None)), seed=0
    )
    asked = Predictions((Condition(A, X),), np.ones((1, 2)), truth=np.array([[5.0, 6.0]]))
    found = pool.candidates(asked)
    assert found.conditions == (Condition(A, X), Condition(A, Y))
    assert found.truth[0].tolist() == [5.0, 6.0]
    assert len(found.truth) == 2


def test_a_truth_with_another_number_of_rows_is_refused() -> None:
    data = cells_data()
    pool = HeldOutPool(data, BULK, folds((A, None), (B, None)), seed=0)
    asked = Predictions((Condition(A, X),), np.ones((1, 2)), truth=np.ones((2, 2)))
    with pytest.raises(ValueError, match="zip"):
        pool.candidates(asked)
