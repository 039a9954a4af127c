from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation.aggregates import aggregate, competition_ranks


def test_hand_worked_aggregates() -> None:
    total = aggregate([[1.0, 3.0], [4.0], [0.0, 0.0, 3.0]], neutral=None)
    assert total.mean == pytest.approx((2.0 + 4.0 + 1.0) / 3)
    assert total.std == pytest.approx(np.std([2.0, 4.0, 1.0], ddof=1))
    assert total.stderr == pytest.approx(np.std([2.0, 4.0, 1.0], ddof=1) / np.sqrt(3))
    assert total.pooled == pytest.approx(11.0 / 6)
    assert (total.n_folds, total.n_perturbations, total.n_undefined) == (3, 6, 0)


def test_one_fold_has_no_spread() -> None:
    total = aggregate([[1.0, 2.0]], neutral=None)
    assert (total.mean, total.std, total.stderr) == (1.5, None, None)


def test_an_undefined_value_counts_as_neutral() -> None:
    total = aggregate([[1.0, None], [None]], neutral=0.0)
    assert (total.mean, total.pooled) == (0.25, pytest.approx(1 / 3))
    assert (total.n_perturbations, total.n_undefined) == (3, 2)


def test_an_undefined_value_without_a_neutral_one_is_left_out_and_counted() -> None:
    total = aggregate([[1.0, None], [None], [3.0]], neutral=None)
    assert (total.mean, total.pooled) == (2.0, 2.0)
    assert (total.n_folds, total.n_perturbations, total.n_undefined) == (3, 4, 2)


@pytest.mark.parametrize("folds", [[], [[]], [[None], [None, None]]])
def test_nothing_defined_gives_no_number(folds: list[list[float | None]]) -> None:
    total = aggregate(folds, neutral=None)
    assert (total.mean, total.std, total.stderr) == (None, None, None)
    assert (total.pooled, total.ci_low, total.ci_high) == (None, None, None)
    assert total.n_folds == len(folds)


def test_an_interval_is_passed_on() -> None:
    total = aggregate([[1.0, 2.0]], neutral=None, interval=(0.5, 2.5))
    assert (total.ci_low, total.ci_high) == (0.5, 2.5)
    assert aggregate([[1.0, 2.0]], neutral=None).ci_low is None


@pytest.mark.parametrize(
    ("values", "higher_is_better", "expected"),
    [
        ([0.1, 0.3, 0.2], True, (3, 1, 2)),
        ([0.1, 0.3, 0.2], False, (1, 3, 2)),
        ([0.3, 0.3, 0.1], True, (1, 1, 3)),
        ([0.1, 0.3, 0.3], True, (3, 1, 1)),
        ([None, 0.3, None], True, (2, 1, 2)),
        ([0.1 + 0.2, 0.3], True, (1, 1)),
        ([-0.0, 0.0], True, (1, 1)),
        ([], True, ()),
    ],
)
def test_ranks_share_ties_whatever_the_order(
    values: list[float | None], higher_is_better: bool, expected: tuple[int, ...]
) -> None:
    assert competition_ranks(values, higher_is_better=higher_is_better) == expected
    turned = competition_ranks(values[::-1], higher_is_better=higher_is_better)
    assert turned == expected[::-1]
