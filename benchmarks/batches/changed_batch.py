"""Wasserstein distance of predicted and real cells whose batches lie in other proportions.

The predicted cells are the right ones, in the controls' mix of batches or in the batches of the
real cells. In the first case real cells are left as they are, or those in excess change batch: by
the difference of both batches' mean controls, or by ranks among them. Prints means over six seeds
beside what the same screen gives without differences between batches.

    OMP_NUM_THREADS=1 python benchmarks/batches/changed_batch.py
"""

from __future__ import annotations

import sys
from dataclasses import replace

import moved_or_drawn as study
import numpy as np
from scipy import sparse
from scipy.stats import wasserstein_distance

from dygenept.data.de.rank_sum import sorted_control
from dygenept.evaluation.batch_mix import mixed_rows
from dygenept.evaluation.rank_moves import moved_by_rank
from dygenept.types import DoubleArray

SCREENS = study.SCREENS[0], study.SCREENS[2], study.SCREENS[3], study.SCREENS[4]
WAYS = ("as they are", "moved by means", "moved by ranks", "predicted in their batches")


def changed(drawn: study.Drawn, how: str, rng: np.random.Generator) -> DoubleArray:
    """Return the first perturbed cells in the controls' mix of batches, (k, G).

    Args:
        drawn: Controls and perturbed cells.
        how: One of ``WAYS``; the first and the last leave cells as they are.
        rng: Draws which cells change batch, and ties.
    """
    n = drawn.n_controls
    cells, own = drawn.values[n:][: study.SAMPLED].copy(), drawn.batches[n:][: study.SAMPLED]
    if how in (WAYS[0], WAYS[3]):
        return cells
    shares = np.bincount(drawn.batches[:n]) / n
    others = mixed_rows(own, shares, rng)
    found = study.matched(drawn)
    for cell in np.flatnonzero(others != own).tolist():
        if how == WAYS[1]:
            cells[cell] += found.offsets[others[cell]] - found.offsets[own[cell]]
            continue
        both = [
            sorted_control(sparse.csr_matrix(drawn.values[:n][drawn.batches[:n] == batch]))
            for batch in (own[cell], others[cell])
        ]
        cells[[cell]] = moved_by_rank(cells[[cell]], both[0], both[1], rng)
    return cells


def distance(screen: study.Screen, how: str, seed: int, *, batches_differ: bool = True) -> float:
    """Return the mean over genes of the distance of the right cells to the real ones.

    Args:
        screen: The screen.
        how: One of ``WAYS``.
        seed: Decides everything.
        batches_differ: False lets batches be alike.
    """
    mix = tuple((np.bincount(screen.controls) / len(screen.controls)).tolist())
    # Half of the cells are real ones, the others predicted.
    drawn = replace(screen, n_cells=2 * study.SAMPLED)
    real, right = (
        study.draw(of, np.random.default_rng(seed), batches_differ=batches_differ)
        for of in (drawn, drawn if how == WAYS[3] else replace(drawn, own=mix))
    )
    cells = changed(real, how, np.random.default_rng(seed))
    predicted = right.values[-study.SAMPLED :]
    return float(
        np.mean([wasserstein_distance(*pair) for pair in zip(predicted.T, cells.T, strict=True)])
    )


def main() -> None:
    """Measure, and print a Markdown table."""
    heads = ["screen", "no difference", *WAYS]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for screen in SCREENS:
        without = [
            distance(screen, WAYS[0], seed, batches_differ=False) for seed in range(study.SEEDS)
        ]
        values = [np.mean(without)] + [
            np.mean([distance(screen, how, seed) for seed in range(study.SEEDS)]) for how in WAYS
        ]
        numbers = " | ".join(f"{value:.3f}" for value in values)
        lines.append(f"| {screen.name} | {numbers} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
