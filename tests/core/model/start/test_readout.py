from __future__ import annotations

import numpy as np
import pytest

from dygenept.model.start.readout import PENALTIES, best_beyond_chance, fit_readout


def test_ridge_picks_the_penalty_of_the_smallest_left_out_error() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 30))
    targets = features[:, :2] @ rng.normal(size=(2, 5)) + rng.normal(size=(12, 5))
    scale = np.square(features).sum(axis=1).mean()
    errors = {}
    for penalty in PENALTIES:
        out = []
        for row in range(12):
            kept = np.arange(12) != row
            gram = features[kept].T @ features[kept] + penalty * scale * np.eye(30)
            weights = np.linalg.solve(gram, features[kept].T @ targets[kept])
            out.append(np.square(features[row] @ weights - targets[row]).mean())
        errors[penalty] = np.mean(out)
    best = min(errors, key=lambda penalty: errors[penalty])
    fit = fit_readout(features, targets)
    assert fit.penalty == best
    assert fit.error == pytest.approx(errors[best])
    gram = features.T @ features + best * scale * np.eye(30)
    np.testing.assert_allclose(fit.weights.T, np.linalg.solve(gram, features.T @ targets))


def test_readout_adds_a_typical_change_that_no_left_out_condition_takes_part_in() -> None:
    rng = np.random.default_rng(0)
    shared = np.zeros(30)
    shared[0] = 0.7
    own = rng.normal(size=(12, 30))
    own[:, 0] = 0.0
    features, targets = own + shared, rng.normal(size=(12, 5)) + 1.0
    scale = np.square(own).sum(axis=1).mean()

    def predicted(kept: np.ndarray, row: np.ndarray, penalty: float) -> np.ndarray:
        weights = 1 / np.linalg.norm(targets[kept], axis=1)
        typical = weights @ targets[kept] / weights.sum()
        gram = own[kept].T @ own[kept] + penalty * scale * np.eye(30)
        return typical + row @ np.linalg.solve(gram, own[kept].T @ (targets[kept] - typical))

    everyone = np.arange(12)
    errors = {
        penalty: np.mean(
            [
                np.square(predicted(everyone != row, own[row], penalty) - targets[row]).mean()
                for row in everyone
            ]
        )
        for penalty in PENALTIES
    }
    fit = fit_readout(features, targets, shared=shared)
    assert fit.penalty == min(errors, key=lambda penalty: errors[penalty])
    assert fit.error == pytest.approx(errors[fit.penalty])
    other = np.append(0.0, rng.normal(size=29))
    np.testing.assert_allclose(
        fit.weights @ (other + shared), predicted(everyone >= 0, other, fit.penalty)
    )


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
    assert best_beyond_chance(near, reference=0, n_spreads=n_spreads) == 0
    assert best_beyond_chance(beyond, reference=0, n_spreads=n_spreads) == 1


def test_one_condition_alone_decides_nothing() -> None:
    assert best_beyond_chance(np.array([[2.0, 1.0]]), reference=0) == 0
