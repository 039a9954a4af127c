from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation import bootstrap
from dygenept.evaluation.bootstrap import resample_counts
from dygenept.evaluation.sign_flip import drawn_signs


@pytest.mark.parametrize(("small", "large"), [(0, 10**6), (0, 0)])
def test_draws_are_the_same_however_they_are_kept(
    monkeypatch: pytest.MonkeyPatch, small: int, large: int
) -> None:
    # Other numbers than other tests ask for: what these kept is not returned.
    counts, signs = resample_counts(37, 211, 9), drawn_signs(37, 211, 9)
    monkeypatch.setattr(bootstrap, "SMALL", small)
    monkeypatch.setattr(bootstrap, "LARGE", large)
    assert np.array_equal(resample_counts(37, 211, 9), counts)
    assert np.array_equal(drawn_signs(37, 211, 9), signs)
    assert counts.sum(axis=1).tolist() == [37.0] * 211
    assert set(np.unique(signs)) == {-1.0, 1.0}


def test_a_value_drawn_more_often_than_a_byte_counts_is_counted() -> None:
    assert bootstrap._narrow(np.array([[3, 300]])).tolist() == [[3, 300]]
