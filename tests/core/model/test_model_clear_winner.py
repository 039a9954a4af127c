from __future__ import annotations

import numpy as np
import pytest

from dygenept.model.start.clear_winner import clear_winner


def errors_with_gain(gain: float, n_conditions: int = 25) -> np.ndarray:
    """Errors at three checkpoints; the second is better by ``gain`` with spread 1."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=n_conditions)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    start = np.full(n_conditions, 10.0)
    return np.stack([start, start - gain - noise, start + 5.0], axis=1)


@pytest.mark.parametrize("n_spreads", [1.0, 2.0])
def test_a_gain_counts_beyond_so_many_standard_errors(n_spreads: float) -> None:
    near, beyond = (errors_with_gain(gain * n_spreads) for gain in (0.19, 0.21))
    assert clear_winner(near, reference=0, n_spreads=n_spreads) == 0
    assert clear_winner(beyond, reference=0, n_spreads=n_spreads) == 1


def test_one_condition_alone_decides_nothing() -> None:
    assert clear_winner(np.array([[2.0, 1.0]]), reference=0) == 0
