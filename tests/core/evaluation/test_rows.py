"""Row-wise means and correlations over some genes, worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dygenept.evaluation.rows import (
    change,
    difference,
    gather_de,
    is_one_row,
    masked_mean,
    masked_pearson,
    row_by_row,
    row_scale,
)
from dygenept.types import DoubleArray, MetricValues


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


def test_a_constant_row_is_one_beside_rows_that_vary() -> None:
    found = correlated([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]], [[0.0, 1.0, 2.0]] * 2)
    assert found.reasons == {0: "constant prediction"}
    assert np.isnan(found.values[0])
    found = correlated([[0.0, 1.0, 2.0]] * 2, [[0.0, 5.0, 9.0], [1.0, 1.0, 1.0]])
    assert list(found.reasons) == [1]


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


def test_one_row_over_and_over_gives_what_its_copies_give() -> None:
    rng = np.random.default_rng(0)
    row, control = rng.random(9), rng.random(9)
    row[:3] = control[:3]
    truth = rng.random((4, 9))
    shown, of_control = np.broadcast_to(row, (4, 9)), np.broadcast_to(control, (4, 9))
    copies, control_copies = shown.copy(), of_control.copy()
    assert is_one_row(shown, of_control)
    assert not is_one_row(shown, copies)
    assert not is_one_row(shown[:1])
    np.testing.assert_array_equal(change(shown, of_control), change(copies, control_copies))
    assert is_one_row(change(shown, of_control))
    assert not is_one_row(change(shown, control_copies))
    np.testing.assert_array_equal(difference(shown, of_control), copies - control_copies)
    np.testing.assert_array_equal(row_scale(shown, truth), row_scale(copies, truth))
    asked: list[int] = []
    for left, right in ((shown, truth), (truth, shown), (shown, of_control)):
        found, expected = (
            masked_pearson(
                one,
                other,
                np.ones((4, 9), dtype=np.bool_),
                predicted_scale=row_scale(one),
                truth_scale=row_scale(other),
            )
            for one, other in ((left, right), (left.copy(), right.copy()))
        )
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.reasons == expected.reasons

    def counted(values: DoubleArray) -> DoubleArray:
        asked.append(len(values))
        return values * 2.0

    np.testing.assert_array_equal(row_by_row(counted, shown), copies * 2.0)
    np.testing.assert_array_equal(row_by_row(counted, truth), truth * 2.0)
    assert asked == [1, 4]
