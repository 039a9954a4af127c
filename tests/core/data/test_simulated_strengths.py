"""Strengths of planted effects, what they are bent by, and the directions that they go."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.data.simulated.effects import (
    CELLS_AT_SIZE,
    MAX_LOG_FOLD,
    MAX_STRENGTH,
    NULL_SHARE,
    RESPONSE_POWER,
    RESPONSE_SPREAD,
    draw_responses,
    draw_strengths,
    saturated,
    size_factor,
)
from dygenept.data.simulated.profiles import PROFILES
from dygenept.data.simulated.vectors import (
    draw_directions,
    draw_output_genes,
)


def test_responses_grow_faster_than_strengths_by_a_factor_of_each_targets_own() -> None:
    rng = np.random.default_rng(10)
    strength = draw_strengths(20_000, rng=rng)
    response = draw_responses(strength, rng=rng)
    assert np.linalg.norm(response) == pytest.approx(np.linalg.norm(strength))
    power, start = np.polyfit(np.log(strength), np.log(response), 1)
    assert power == pytest.approx(RESPONSE_POWER, abs=0.02)
    rest = np.log(response) - start - power * np.log(strength)
    assert rest.std() == pytest.approx(RESPONSE_SPREAD, rel=0.05)


def test_strengths_have_a_heavy_tail_and_many_are_next_to_nothing() -> None:
    strength = draw_strengths(1_000, rng=np.random.default_rng(7))
    assert np.percentile(strength, 95) > 4 * np.median(strength) > 0
    assert NULL_SHARE - 0.1 < (strength < 0.3).mean() < NULL_SHARE + 0.1
    # A fifth is idle, ten times weaker than the rest of the weak ones.
    assert 0.15 < (strength < 0.05).mean() < 0.25
    assert strength.max() <= MAX_STRENGTH


def test_a_screen_of_few_cells_has_effects_that_stand_out_of_their_noise_as_far() -> None:
    assert size_factor(CELLS_AT_SIZE) == size_factor(2_000) == 1.0
    assert size_factor(CELLS_AT_SIZE / 4) == pytest.approx(2.0)
    factors = {
        name: size_factor(profile.cells_per_perturbation) for name, profile in PROFILES.items()
    }
    assert factors["norman"] == factors["adamson"] == factors["dixit"] == 1.0
    assert 1.0 < factors["k562"] < factors["rpe1"] < 2.0


def test_no_change_passes_the_bound_and_small_ones_stay() -> None:
    changes = np.array([-50.0, -0.1, 0.0, 0.1, 50.0], dtype=np.float32)
    bent = saturated(changes)
    assert bent.dtype == np.float32
    np.testing.assert_allclose(bent[[0, 4]], [-MAX_LOG_FOLD, MAX_LOG_FOLD])
    np.testing.assert_allclose(bent[1:4], changes[1:4], rtol=1e-3)


def test_directions_are_sparse_of_unit_length_and_prefer_expressed_genes() -> None:
    log_mean = np.r_[np.full(500, -4.0), np.full(500, 0.0)]
    output = draw_output_genes(log_mean, rng=np.random.default_rng(8))
    directions = draw_directions(50, output, rng=np.random.default_rng(9))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    np.testing.assert_array_equal((directions != 0).sum(axis=1), 20)
    hits = (directions != 0).sum(axis=0)
    assert hits[500:].sum() > 4 * hits[:500].sum()
