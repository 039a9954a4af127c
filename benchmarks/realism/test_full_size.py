"""Do simulated screens at full size look like real ones? Minutes; run by ``make realism``.

Every statistic is held to the range of the three real screens: that of one draw where perturbations
are many, elsewhere the mean of several draws, within two of its standard errors.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from real_ranges import outside_of_real_ranges
from screen_statistics import screen_statistics

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated.export import write_simulation
from dygenept.data.simulated.simulation import simulate


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
def test_a_simulated_screen_looks_like_the_real_ones(
    profile: str, scale: float, seeds: tuple[int, ...], tmp_path: Path
) -> None:
    """Hold the mean of draws, or the one draw, to the ranges."""
    draws = []
    for seed in seeds:
        path = tmp_path / "screen.h5ad"
        write_simulation(simulate(profile, scale=scale, seed=seed), path)
        draws.append(screen_statistics(read_anndata(path)).document())
        path.unlink()
    assert not outside_of_real_ranges(draws)
