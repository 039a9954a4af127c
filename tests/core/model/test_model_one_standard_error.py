from __future__ import annotations

import numpy as np

from dygenept.model.one_standard_error import clear_winner


def errors_with_gain(gain: float, n_conditions: int = 25) -> np.ndarray:
    """Errors at three checkpoints; the second is better by ``gain`` with spread 1."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=n_conditions)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    start = np.full(n_conditions, 10.0)
    return np.stack([start, start - gain - noise, start + 5.0], axis=1)


def test_a_gain_within_one_standard_error_leaves_the_start_as_it_is() -> None:
    assert clear_winner(errors_with_gain(0.19), reference=0) == 0


def test_a_gain_beyond_one_standard_error_is_taken() -> None:
    assert clear_winner(errors_with_gain(0.21), reference=0) == 1


def test_one_condition_alone_decides_nothing() -> None:
    assert clear_winner(np.array([[2.0, 1.0]]), reference=0) == 0
