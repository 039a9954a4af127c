"""Energy distance where batches differ: ignored, cells moved, or control cells drawn by batch.

Simulated counts, log1p, whose batches differ by a factor per gene, by depth, or both. The change
that is predicted is the true one (measured within batches), half of it, or none; beside it stands
what the same screen gives without differences between batches. Prints means over six seeds.

    OMP_NUM_THREADS=1 python benchmarks/batches/moved_or_drawn.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial.distance import cdist

from dygenept.data.batches import match_batches
from dygenept.types import CellBatches, DoubleArray, IntArray

N_GENES, N_CHANGED, SEEDS, SAMPLED = 400, 60, 6, 100
SHARES_OF_CHANGE = (1.0, 0.5, 0.0)


@dataclass(frozen=True)
class Screen:
    """How many cells there are, in which batches, and how these differ.

    Attributes:
        name: What it is called in the table.
        controls: Batch of each control cell.
        own: Chance of each batch for a perturbed cell.
        n_cells: Perturbed cells.
        genes: Standard deviation of the log factors of a batch's genes.
        depths: Standard deviation of the log factors of whole batches.
    """

    name: str
    controls: IntArray
    own: tuple[float, ...]
    n_cells: int
    genes: float = 0.0
    depths: float = 0.0


def two_batches(share: float, *, genes: float = 0.0, depths: float = 0.0) -> Screen:
    """Two batches with half of 1,000 controls each; a share of 300 cells lies in the first."""
    name = f"2 batches, {share:.0%} in one; genes {genes:g}, depth {depths:g}"
    batch = np.arange(1000, dtype=np.int32) % 2
    return Screen(name, batch, (share, 1.0 - share), 300, genes, depths)


def few_controls(*, genes: float) -> Screen:
    """20 batches of 15 controls; 150 cells lie in three of them."""
    name = f"20 batches of 15 controls, cells in 3; genes {genes:g}, depth 0.4"
    batch = np.arange(300, dtype=np.int32) % 20
    return Screen(name, batch, (1 / 3,) * 3 + (0.0,) * 17, 150, genes, 0.4)


SCREENS = (
    two_batches(0.9, genes=0.8),
    two_batches(0.5, genes=0.8),
    two_batches(0.9, depths=0.9),
    few_controls(genes=0.3),
    few_controls(genes=1.2),
)


def energy(one: DoubleArray, other: DoubleArray) -> float:
    """Energy distance of two samples, a cell with itself too."""
    found = 2.0 * cdist(one, other).mean() - cdist(one, one).mean() - cdist(other, other).mean()
    return float(found)


@dataclass(frozen=True)
class Drawn:
    """Cells of a screen, controls first.

    Attributes:
        values: (N, G), log1p.
        batches: Batch of each, (N,).
        n_controls: How many of them are controls.
    """

    values: DoubleArray
    batches: IntArray
    n_controls: int


def draw(
    screen: Screen, rng: np.random.Generator, *, batches_differ: bool, effect: float = 0.8
) -> Drawn:
    """Draw cells; whether batches differ changes neither rates nor batches of cells.

    Args:
        screen: How many, and in which batches.
        rng: Decides everything.
        batches_differ: False lets batches be alike.
        effect: Standard deviation of the log factors of the genes that are perturbed.
    """
    n_batches = len(screen.own)
    base = rng.lognormal(-1.0, 1.2, N_GENES)
    change = np.ones(N_GENES)
    change[:N_CHANGED] = np.exp(rng.normal(0.0, effect, N_CHANGED))
    factors = np.exp(
        screen.genes * rng.normal(0.0, 1.0, (n_batches, N_GENES))
        + screen.depths * rng.normal(0.0, 1.0, (n_batches, 1))
    )
    own = rng.choice(n_batches, size=screen.n_cells, p=screen.own)
    batches = np.concatenate((screen.controls, own)).astype(np.int32)
    is_control = np.arange(len(batches)) < len(screen.controls)
    rates = base * np.where(is_control[:, None], 1.0, change)
    if batches_differ:
        rates = rates * factors[batches]
    rates = rates * rng.gamma(4.0, 0.25, (len(batches), 1))
    return Drawn(np.log1p(rng.poisson(rates)), batches, len(screen.controls))


def matched(cells: Drawn) -> CellBatches:
    """Match controls by batch as a data set's reader does."""
    codes = np.where(np.arange(len(cells.batches)) < cells.n_controls, -1, 0).astype(np.int32)
    names = [f"b{number}" for number in range(int(cells.batches.max()) + 1)]
    return match_batches(
        sparse.csr_matrix(cells.values.astype(np.float32)),
        names,
        cells.batches,
        condition_codes=codes,
        cell_type_codes=np.zeros(len(codes), dtype=np.int32),
    )


def scores(cells: Drawn, how: str, seed: int) -> list[float]:
    """Energy distance of each share of the true change.

    Args:
        cells: The cells.
        how: ``ignored``, ``moved`` or ``drawn``.
        seed: Draws the samples.
    """
    rng, n = np.random.default_rng(seed), cells.n_controls
    found = matched(cells)
    without = cells.values - found.offsets[found.rows]
    change = without[n:].mean(axis=0) - without[:n].mean(axis=0)
    controls = rng.choice(n, SAMPLED, replace=False)
    own = n + rng.choice(len(cells.batches) - n, SAMPLED, replace=False)
    if how == "drawn":
        wanted = np.bincount(cells.batches[own])
        pools = [np.flatnonzero(cells.batches[:n] == batch) for batch in range(len(wanted))]
        # A batch with fewer controls than the sample has cells is drawn from with repetition.
        controls = np.concatenate(
            [
                rng.choice(pool, size=k, replace=bool(k > len(pool)))
                for pool, k in zip(pools, wanted.tolist(), strict=True)
            ]
        )
    values = without if how == "moved" else cells.values
    return [energy(values[controls] + share * change, values[own]) for share in SHARES_OF_CHANGE]


def main() -> None:
    """Measure, and print a Markdown table."""
    lines = ["| screen | cells | true change | half of it | none |", "|---|---|---|---|---|"]
    for screen in SCREENS:
        for how in ("no difference", "ignored", "moved", "drawn"):
            differ = how != "no difference"
            values = [
                scores(
                    draw(screen, np.random.default_rng(seed), batches_differ=differ),
                    how if differ else "ignored",
                    seed + 1,
                )
                for seed in range(SEEDS)
            ]
            means = " | ".join(f"{value:.2f}" for value in np.mean(values, axis=0))
            lines.append(f"| {screen.name} | {how} | {means} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
