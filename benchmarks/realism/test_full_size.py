"""Do simulated screens look like real ones? Minutes; run by ``make realism``.

Every statistic is held to the range of the three real screens: of the draw that ships of each
stand-in at full size, and, of draws that nobody chose, that of one where perturbations are many and
elsewhere the mean of several, within two of its standard errors.
"""

from __future__ import annotations

from functools import partial

import pytest
from choose_draw import choose_draw
from real_ranges import outside_of_real_ranges
from simulated import drawn_statistics

from dygenept.data.simulated.profiles import PROFILES


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_draw_that_ships_is_the_first_that_looks_like_the_real_screens(profile: str) -> None:
    """Hold each statistic of that draw to its range; no draw before it is within all of them."""
    shipped = PROFILES[profile].draw
    statistics_of = partial(drawn_statistics, profile, scale=1.0)
    chosen = choose_draw(lambda seed: statistics_of(seed=seed), most=shipped + 1)
    assert (chosen.seed, dict(chosen.outside)) == (shipped, {})


@pytest.mark.parametrize(
    ("profile", "scale", "seeds"),
    [
        ("norman", 1.0, (10, 11, 12, 13, 14, 15)),
        ("k562", 1.0, (10,)),
        ("rpe1", 1.0, (10,)),
        ("norman", 0.1, (16, 17, 18, 19)),
        ("k562", 0.1, (10, 11, 12, 13)),
    ],
)
def test_simulated_screens_look_like_the_real_ones(
    profile: str, scale: float, seeds: tuple[int, ...]
) -> None:
    """Hold the mean of draws, or the one draw, to the ranges."""
    draws = [drawn_statistics(profile, scale=scale, seed=seed) for seed in seeds]
    assert not outside_of_real_ranges(draws)
