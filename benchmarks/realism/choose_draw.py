"""Which draw of a stand-in ships at full size? The first that looks like the real screens.

    python benchmarks/realism/choose_draw.py PROFILE [--scale X] [--first N] [--most N]

Simulates seeds 0, 1, 2, ... and computes ``screen_statistics`` of each, until all of a draw's
statistics lie within the range of the three real screens (``real_ranges``); no model is run. That
draw is the stand-in's ``SimulationProfile.draw``. Where none of the first ``--most`` is, it is the
first of those with the fewest statistics outside. Prints what lies outside in each draw: a minute a
draw at full size, less for ``dixit``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from real_ranges import outside_of_real_ranges
from simulated import drawn_statistics

from dygenept.data.simulated.profiles import PROFILES
from dygenept.errors import DataError

MOST = 200


@dataclass(frozen=True, slots=True)
class ChosenDraw:
    """The draw that the rule chooses.

    Attributes:
        seed: Its seed.
        outside: Figures of it that lie outside of the range of the real screens, by statistic.
        n_seen: Draws that were looked at.
    """

    seed: int
    outside: Mapping[str, float]
    n_seen: int


def choose_draw(
    statistics_of: Callable[[int], Mapping[str, float]],
    *,
    first: int = 0,
    most: int = MOST,
    report: Callable[[int, Mapping[str, float], Mapping[str, float]], None] | None = None,
) -> ChosenDraw:
    """Choose the first draw that lies within all ranges, or else one that leaves the fewest.

    Args:
        statistics_of: Gives the statistics of the draw with a seed, by name.
        first: Seed to begin with.
        most: Draws to look at, at most.
        report: Is told seed, statistics and what of them lies outside, draw by draw.

    Raises:
        DataError: If ``most`` is below 1.
    """
    if most < 1:
        raise DataError(f"draws to look at are {most}; allowed: 1 and above")
    best: ChosenDraw | None = None
    for n_seen, seed in enumerate(range(first, first + most), start=1):
        statistics = statistics_of(seed)
        outside = {name: mean for name, (mean, _) in outside_of_real_ranges([statistics]).items()}
        if report is not None:
            report(seed, statistics, outside)
        if best is None or len(outside) < len(best.outside):
            best = ChosenDraw(seed=seed, outside=outside, n_seen=n_seen)
        if not outside:
            break
    assert best is not None
    return ChosenDraw(seed=best.seed, outside=best.outside, n_seen=n_seen)


def _tell(seed: int, statistics: Mapping[str, float], outside: Mapping[str, float]) -> None:
    """Print what of a draw lies outside."""
    figures = ", ".join(f"{name} {value:.4f}" for name, value in outside.items()) or "nothing"
    print(f"seed {seed}: outside are {figures}", flush=True)  # noqa: T201
    print(f"  all: {dict(statistics)}", flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the draws and the one that is chosen."""
    parser = argparse.ArgumentParser(description="Choose the draw of a stand-in that ships.")
    parser.add_argument("profile", choices=sorted(PROFILES))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--most", type=int, default=MOST)
    asked = parser.parse_args(arguments)
    statistics_of = partial(drawn_statistics, asked.profile, scale=asked.scale)
    chosen = choose_draw(
        lambda seed: statistics_of(seed=seed),
        first=asked.first,
        most=asked.most,
        report=_tell,
    )
    print(f"{asked.profile}: {chosen}")  # noqa: T201


if __name__ == "__main__":
    main()
