from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation.effect_scoring import interval, standard_error, two_sided_p


def test_the_interval_reaches_two_spreads_of_the_resamples() -> None:
    draws = np.random.default_rng(0).normal(0.7, 0.1, 4000)
    low, high = interval(0.7, draws)
    assert (low, high) == pytest.approx((0.7 - 0.196, 0.7 + 0.196), abs=0.01)


def test_a_difference_of_two_spreads_has_p_of_a_twentieth() -> None:
    draws = np.random.default_rng(0).normal(0.0, 1.0, 4000)
    assert two_sided_p(1.96 * standard_error(draws), draws) == pytest.approx(0.05, abs=1e-3)


def test_no_spread_decides_only_by_the_difference() -> None:
    assert two_sided_p(0.0, np.zeros(200)) == 1.0
    assert two_sided_p(0.1, np.zeros(200)) == 0.0
    assert two_sided_p(0.1, np.full(200, np.nan)) == 1.0
