"""Which statistics of a simulated screen lie outside the range of the real ones?

    python benchmarks/realism/simulated.py PROFILE [--scale X] --seed N [--seed N…]

Simulates a screen per seed (a minute each at full size) and prints the mean of each statistic of
``screen_statistics`` over them, with the standard deviation. Marks those outside of the range of
the three real screens: a single draw must lie within it, a mean may miss it by two standard errors.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from real_ranges import REAL_RANGES, outside_of_real_ranges
from screen_statistics import screen_statistics

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated.export import write_simulation
from dygenept.data.simulated.profiles import PROFILES, SIMULATION_VERSION
from dygenept.data.simulated.simulation import simulate


def drawn_statistics(profile: str, *, scale: float, seed: int) -> Mapping[str, float]:
    """Return the statistics of one simulated screen, which is written to a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "screen.h5ad"
        write_simulation(simulate(profile, scale=scale, seed=seed), path)
        return screen_statistics(read_anndata(path)).document()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Hold simulated screens to the real ones.")
    parser.add_argument("profile", choices=sorted(PROFILES))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, action="append", required=True)
    asked = parser.parse_args(arguments)
    draws = [drawn_statistics(asked.profile, scale=asked.scale, seed=seed) for seed in asked.seed]
    outside = outside_of_real_ranges(draws)
    print(f"| version {SIMULATION_VERSION} | mean | sd | real screens | |")  # noqa: T201
    print("|---|---|---|---|---|")  # noqa: T201
    for name, (low, high) in REAL_RANGES.items():
        figures = [draw[name] for draw in draws]
        mark = "outside" if name in outside else ""
        mean, spread = np.mean(figures), np.std(figures)
        row = f"| {name} | {mean:.3f} | {spread:.3f} | {low} to {high} | {mark} |"
        print(row)  # noqa: T201


if __name__ == "__main__":
    main()
