"""Submitted values on another scale than they are read on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import DataError
from dygenept.results.submission_scale import is_one_for_all, scale_notes
from dygenept.types import DoubleArray

CONTROL = np.array([0.1, 0.5, 1.2, 2.0, 3.5])
MEANS = CONTROL + np.array([[0.2, -0.1, 0.3, 0.0, -0.4], [0.0, 0.2, -0.5, 0.1, 0.3]])
PATH = Path("p.csv")
Change = Callable[[DoubleArray], DoubleArray]


@pytest.mark.parametrize(
    ("change", "is_delta", "said"),
    [
        (lambda x: x - CONTROL, False, "pass --delta"),
        (lambda x: x, True, "leave --delta out"),
        (np.expm1, False, "numpy.log1p(values)"),
        (lambda x: x / np.log(2), False, "values * numpy.log(2)"),
        (np.log1p, False, "numpy.expm1(values)"),
    ],
)
def test_another_scale_is_named_with_its_mend(change: Change, is_delta: bool, said: str) -> None:
    (note,) = scale_notes(change(MEANS), CONTROL, is_delta=is_delta, path=PATH)
    assert said in note
    assert "scale" in note


@pytest.mark.parametrize(
    ("values", "is_delta"),
    [
        (MEANS, False),
        (MEANS - CONTROL, True),
        (CONTROL + 2 * (MEANS - CONTROL), False),
        (np.where(np.eye(2, 5, dtype=bool), np.nan, MEANS), False),
    ],
)
def test_the_right_scale_is_passed_without_a_word(values: DoubleArray, is_delta: bool) -> None:
    assert scale_notes(values, CONTROL, is_delta=is_delta, path=PATH) == ()


def test_expression_below_0_is_named() -> None:
    (note,) = scale_notes(MEANS - 0.5, CONTROL, is_delta=False, path=PATH)
    assert "values go down to -0.4 (30% are below 0)" in note
    assert "pass --delta" in note


def test_what_lies_far_below_0_is_no_count_nor_another_logarithm() -> None:
    rng = np.random.default_rng(3)
    control = rng.uniform(0.2, 2.0, 40)
    values = control + rng.normal(0.0, 0.1, (6, 40)) - 3.0
    (said,) = scale_notes(values, control, is_delta=False, path=Path("mine.csv"))
    assert "values go down to" in said
    assert "log1p(" not in said


@pytest.mark.parametrize("is_delta", [False, True])
def test_some_rows_on_another_scale_are_counted(is_delta: bool) -> None:
    read_right = np.vstack([MEANS - CONTROL, MEANS]) if is_delta else np.vstack([MEANS, MEANS])
    values = np.vstack([read_right, MEANS[:1] if is_delta else MEANS[:1] - CONTROL])
    (note,) = scale_notes(values, CONTROL, is_delta=is_delta, path=PATH)
    assert f"the scale of {3 if is_delta else 1} of 5 predictions" in note


def test_counts_are_refused() -> None:
    with pytest.raises(DataError, match=r"up to 900.*numpy.log1p"):
        scale_notes(MEANS * 900 / MEANS.max(), CONTROL, is_delta=False, path=PATH)


def test_predictions_that_hardly_depend_on_the_perturbation_are_one_for_all() -> None:
    rng = np.random.default_rng(0)
    truth, mean = rng.normal(size=(8, 30)), rng.normal(size=30)
    folds = ["1"] * 4 + ["2"] * 4
    for share, is_one in ((0.0, True), (0.001, True), (0.009, True), (0.011, False), (1.0, False)):
        values = mean + share * (truth - truth.mean(axis=0))
        assert is_one_for_all(values, truth, ["a"] * 8) is is_one, share
    # Each fold has another mean: one for all within each, not over both.
    means = np.vstack([np.tile(mean, (4, 1)), np.tile(2 * mean, (4, 1))])
    assert not is_one_for_all(means, truth, ["a"] * 8)
    assert is_one_for_all(means, truth, folds)
    # One perturbation a fold tells nothing.
    assert not is_one_for_all(means, truth, [str(row) for row in range(8)])


def test_constants_are_named() -> None:
    (same,) = scale_notes(np.tile(MEANS[0], (2, 1)), CONTROL, is_delta=False, path=PATH)
    assert "all 2 perturbations have the same prediction" in same
    zeros = scale_notes(np.zeros((2, 5)), CONTROL, is_delta=False, path=PATH)
    assert "one value, 0, is predicted for all genes" in zeros[0]
    assert "pass --delta" in zeros[1]
