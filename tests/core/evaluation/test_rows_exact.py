"""Row-wise changes, shares and correlations against plain loops, at their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from core.evaluation.small_cells import A, X

from dygenept.evaluation import rows
from dygenept.evaluation.rows import (
    change,
    count_true,
    gather_de,
    masked_mean,
    masked_pearson,
    predicted_change,
    row_scale,
    top_share,
)
from dygenept.types import Condition, MetricInputs

EPS = 2.0**-23


def test_a_change_within_float32_rounding_of_either_side_is_none() -> None:
    control = np.array([1.0, -8.0, 1.0, 4.0, 0.0])
    predicted = np.array([[1.0 + EPS, -8.0 + 8 * EPS, 1.0 + 4 * EPS, 1.0, 1e-30]])
    found = change(predicted, control)
    # The rounding of the larger side: of 1 + EPS it is a little more than EPS.
    assert found[0, 0] == 0.0
    assert found[0, 1] == 0.0
    assert found[0, 2] == 4 * EPS
    assert found[0, 3] == -3.0
    assert found[0, 4] == 1e-30
    beyond = change(np.array([[-8.0 + 8.1 * EPS, 8.0]]), np.array([[-8.0, 8.0 + 8.2 * EPS]]))
    assert (beyond != 0.0).tolist() == [[True, True]]
    assert found.dtype == np.float64


def test_a_change_that_is_just_the_rounding_is_none_and_nan_is_too() -> None:
    # 8 EPS is all the rounding of 8, and 8 - 8 EPS, 8 are exact.
    assert change(np.array([[8.0 - 8 * EPS]]), np.array([8.0])).tolist() == [[0.0]]
    assert change(np.array([[np.nan]]), np.array([1.0])).tolist() == [[0.0]]


@pytest.mark.parametrize("n_rows", [1, 16, 17, 40])
def test_every_row_changes_from_its_own_control(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    predicted, control = rng.normal(size=(2, n_rows, 3))
    np.testing.assert_array_equal(change(predicted, control), predicted - control)
    np.testing.assert_array_equal(change(predicted, control[0]), predicted - control[0])


def test_the_change_of_a_prediction_is_computed_once() -> None:
    values = np.arange(4.0).reshape(1, 4)
    inputs = MetricInputs(
        conditions=(Condition(A, X),),
        predicted=values * 3,
        truth=values,
        control=values,
        perturbed_mean=values,
        de_indices=np.zeros((1, 20), dtype=np.int32),
        gene_symbols=tuple("abcd"),
    )
    found = predicted_change(inputs)
    assert found.tolist() == [[0, 2, 4, 6]]
    assert predicted_change(inputs) is found


def test_what_is_true_is_counted_row_by_row() -> None:
    mask = np.array([[True, False, True], [False] * 3, [True] * 3])
    found = count_true(mask)
    assert found.tolist() == [2, 0, 3]
    for of in (found, count_true(mask[:0])):
        assert of.dtype == np.intp
    assert count_true(mask[:0]).shape == (0,)


def share_by_hand(size: list[float], wanted: list[bool], may: list[bool] | None = None) -> float:
    """The expected share of the wanted genes among as many, with ties broken at random."""
    k = sum(wanted)
    if not k:
        return 0.0
    cut = sorted(size, reverse=True)[k - 1]
    counts = [want and (may is None or may[place]) for place, want in enumerate(wanted)]
    above = [one > cut for one in size]
    tied = [one == cut for one in size]
    chance = (k - sum(above)) / sum(tied)
    hits = sum(count * (is_above + is_tied * chance)
               for count, is_above, is_tied in zip(counts, above, tied, strict=True))  # fmt: skip
    return hits / k


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_ordered", [False, True])
def test_shares_of_the_largest_are_those_of_a_plain_rendering(seed: int, is_ordered: bool) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 5, size=(30, 7)).astype(np.float64)
    wanted, may = rng.random((2, 30, 7)) < rng.random((2, 30, 1))
    wanted[0], wanted[1] = False, True
    ordered = np.sort(size, axis=1) if is_ordered else None
    found = top_share(size, wanted, ordered=ordered)
    expected = [share_by_hand(*row) for row in zip(size.tolist(), wanted.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected)
    found = top_share(size, wanted, may, ordered=ordered)
    expected = [
        share_by_hand(*row)
        for row in zip(size.tolist(), wanted.tolist(), may.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, expected)
    assert found[0] == 0.0
    assert top_share(size, wanted)[1] == 1.0


def test_all_genes_may_be_wanted_and_the_smallest_is_among_them() -> None:
    size, wanted = np.array([[3.0, 1.0, 2.0]]), np.array([[True] * 3])
    assert top_share(size, wanted, np.array([[False, True, False]])).tolist() == [1 / 3]
    # Wanted is the smallest alone, which is not the largest one.
    assert top_share(size, np.array([[False, True, False]])).tolist() == [0.0]


def test_means_skip_what_is_masked_and_name_the_rows_without_any() -> None:
    values = np.array([[2.0, 100.0], [3.0, 5.0], [1.0, 1.0]])
    mask = np.array([[True, False], [True, True], [False, False]])
    found = masked_mean(values, mask)
    np.testing.assert_array_equal(found.values, [2.0, 4.0, np.nan])
    assert list(found.reasons) == [2]
    assert type(next(iter(found.reasons))) is int


def test_a_row_with_one_real_entry_is_centred_at_it() -> None:
    values = np.array([[5.0, 7.0, 9.0], [1.0, 2.0, 4.0]])
    mask = np.array([[False, True, False], [True, True, False]])
    centred, span = rows._centred(values, mask, count_true(mask))
    assert centred.tolist() == [[0, 0, 0], [-0.5, 0.5, 0]]
    assert span.tolist() == [0, 1]
    nothing, span = rows._centred(values, np.zeros((2, 3), dtype=np.bool_), np.zeros(2, np.intp))
    assert not nothing.any()
    assert span.tolist() == [0, 0]
    whole, span = rows._centred(values, np.ones((2, 3), dtype=np.bool_), np.full(2, 3))
    np.testing.assert_allclose(whole, [[-2, 0, 2], [-4 / 3, -1 / 3, 5 / 3]])
    assert span.tolist() == [4, 3]


@pytest.mark.parametrize("is_masked", [False, True])
def test_correlations_agree_with_numpy_and_stay_within_one(is_masked: bool) -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(2, 20, 9)) * 10.0 ** rng.integers(-6, 6, (2, 20, 1))
    mask = rng.random((20, 9)) < 0.7 if is_masked else np.ones((20, 9), dtype=np.bool_)
    mask[:, :3] = True
    right[5] = 2.0 * left[5]
    right[6] = -3.0 * left[6]
    found = masked_pearson(
        left, right, mask, predicted_scale=row_scale(left), truth_scale=row_scale(right)
    )
    expected = [
        np.corrcoef(one[own], other[own])[0, 1]
        for one, other, own in zip(left, right, mask, strict=True)
    ]
    np.testing.assert_allclose(found.values, expected)
    assert found.reasons == {}
    assert (np.abs(found.values) <= 1.0).all()
    assert (found.values[5], found.values[6]) == pytest.approx((1.0, -1.0))


def test_two_entries_are_enough_for_a_correlation() -> None:
    mask = np.array([[True, True, False], [True, False, False]])
    values = np.array([[1.0, 2.0, 9.0], [1.0, 2.0, 9.0]])
    scale = np.ones(2)
    found = masked_pearson(values, values, mask, predicted_scale=scale, truth_scale=scale)
    assert found.values[0] == pytest.approx(1.0)
    assert found.reasons == {1: "fewer than two genes"}
    assert type(next(iter(found.reasons))) is int


def test_the_first_gene_is_picked_where_a_list_names_it() -> None:
    picked = gather_de(np.array([[7.0, 8.0]]), np.array([[0, 1, -1]], dtype=np.int32))
    assert picked.tolist() == [[7, 8, 0]]
    assert picked.dtype == np.float64


def test_the_scale_of_a_row_of_one_sign_is_its_own() -> None:
    assert row_scale(np.array([[-3.0, -1.0]]), np.array([[-2.0, -5.0]])).tolist() == [5]
    assert row_scale(np.array([[0.25, 0.5]])).tolist() == [0.5]


def test_rows_without_any_column_are_undefined() -> None:
    nothing = np.zeros((2, 0))
    found = masked_pearson(
        nothing,
        nothing,
        np.zeros((2, 0), dtype=np.bool_),
        predicted_scale=np.ones(2),
        truth_scale=np.ones(2),
    )
    assert np.isnan(found.values).all()
    assert found.reasons == dict.fromkeys(range(2), "no DE genes")
