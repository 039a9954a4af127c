"""The share of the gap between reference and ceiling that a model closes."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import NOT_ABOVE, gap_closed
from dygenept.evaluation.mean_intervals import TOO_FEW

RNG = np.random.default_rng(0)


def test_reference_ceiling_and_what_lies_between() -> None:
    reference, ceiling = RNG.normal(0.2, 0.1, 30), RNG.normal(0.8, 0.1, 30)
    scores = np.stack([reference, ceiling, (reference + ceiling) / 2], axis=1)
    found = gap_closed(scores, reference, ceiling, Clusters.independent(30))
    assert found.reason is None
    assert found.shares.tolist() == pytest.approx([0.0, 1.0, 0.5])
    # Each moves with reference and ceiling: the share is certain.
    assert found.low.tolist() == pytest.approx([0.0, 1.0, 0.5])
    assert found.high.tolist() == pytest.approx([0.0, 1.0, 0.5])


def test_a_hair_above_the_reference_closes_a_hair_of_the_gap() -> None:
    reference, ceiling = RNG.normal(0.2, 0.1, 30), RNG.normal(0.8, 0.1, 30)
    found = gap_closed(reference[:, None] + 0.001, reference, ceiling, Clusters.independent(30))
    assert 0.001 < found.shares[0] < 0.003
    assert found.low[0] > 0


def test_a_ceiling_within_noise_of_the_reference_is_no_ceiling() -> None:
    reference = RNG.normal(0.5, 0.1, 30)
    for ceiling in (reference + RNG.normal(0, 0.2, 30), reference - 0.2):
        found = gap_closed(reference[:, None], reference, ceiling, Clusters.independent(30))
        assert found.reason == NOT_ABOVE
        assert np.isnan([found.shares, found.low, found.high]).all()
    few = gap_closed(np.ones((2, 1)), np.zeros(2), np.ones(2), Clusters.independent(2))
    assert few.reason == TOO_FEW


def test_the_interval_covers_the_ratio_of_the_means() -> None:
    n, n_boards = 25, 300
    covered = 0
    rng = np.random.default_rng(5)
    for _ in range(n_boards):
        gap, lead = rng.normal(1.0, 0.5, n), rng.normal(0.4, 0.3, (n, 1))
        found = gap_closed(lead, np.zeros(n), gap, Clusters.independent(n))
        covered += bool(found.low[0] <= 0.4 <= found.high[0])
    assert 0.91 < covered / n_boards < 0.99
