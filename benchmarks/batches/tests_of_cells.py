"""Tests of predicted cells where batches differ: among which control cells they are ranked.

Two simulated batches with half of the controls each; 90 % of a perturbation's cells lie in one.
Predicted cells are the right ones: drawn as the perturbation's own, in the controls' mix of batches
(as a model makes them of control cells) or in the mix of the perturbation's cells (as it makes them
where it is asked for these batches). Prints, as means over six seeds, how many of 400 genes are
significant in cells of a perturbation without effect, how many that it does not change in those of
one with an effect, and which share of the genes it finds that are significant in real cells.

    OMP_NUM_THREADS=1 python benchmarks/batches/tests_of_cells.py
"""

from __future__ import annotations

import sys

import moved_or_drawn as study
import numpy as np
from scipy import sparse

from dygenept.data.de.rank_sum import ControlCellsTest, significant
from dygenept.types import BoolArray, IntArray

FDR = 0.05
# Share of the perturbation's cells in the first batch, and how much its genes differ.
SHARE, GENES = 0.9, 0.8
MIXES = {"the controls' mix": 0.5, "the perturbation's mix": SHARE}
WAYS = ("all controls", "controls in the perturbation's mix", "controls of their batch")


def found(drawn: study.Drawn, how: str, n_cells: int | None = None) -> BoolArray:
    """Mark significant genes, (G,).

    Args:
        drawn: Controls, and cells that are tested.
        how: One of ``WAYS``.
        n_cells: Test only the first so many.
    """
    n = drawn.n_controls
    values = sparse.csr_matrix(drawn.values.astype(np.float32))
    controls, of_controls = values[:n], drawn.batches[:n]
    cells, batches = values[n:][:n_cells], drawn.batches[n:][:n_cells]
    if how == WAYS[2]:
        p_values = ControlCellsTest.of_strata(
            [
                (cells[batches == batch], ControlCellsTest(controls[of_controls == batch]))
                for batch in np.unique(batches).tolist()
            ]
        )
    else:
        chosen = np.arange(n) if how == WAYS[0] else in_mix(of_controls)
        p_values = ControlCellsTest(controls[chosen]).p_values(cells)
    return significant(p_values[None], FDR)[0]


def in_mix(batches: IntArray) -> IntArray:
    """Choose all controls of the first batch, and of the second as many as the mix has."""
    first, second = (np.flatnonzero(batches == batch) for batch in (0, 1))
    n_second = round(len(first) * (1.0 - SHARE) / SHARE)
    return np.concatenate((first, second[:n_second])).astype(np.int32)


def measure(mix: float, how: str, seed: int, *, genes: float = GENES) -> tuple[float, float, float]:
    """Return the three numbers of one seed.

    Args:
        mix: Share of predicted cells in the first batch.
        how: One of ``WAYS``.
        seed: Seed of the screen.
        genes: Standard deviation of the log factors of a batch's genes.
    """

    def screen(share: float, effect: float) -> study.Drawn:
        rng = np.random.default_rng(seed)
        asked = study.two_batches(share, genes=genes)
        return study.draw(asked, rng, batches_differ=True, effect=effect)

    none = found(screen(mix, 0.0), how, study.SAMPLED)
    some = found(screen(mix, 0.8), how, study.SAMPLED)
    truth = found(screen(SHARE, 0.8), WAYS[2])
    is_changed = np.arange(study.N_GENES) < study.N_CHANGED
    return (
        float(none.sum()),
        float((some & ~is_changed).sum()),
        float((some & truth & is_changed).sum() / (truth & is_changed).sum()),
    )


def main() -> None:
    """Measure, and print a Markdown table."""
    asked = [(name, mix, how, GENES) for name, mix in MIXES.items() for how in WAYS]
    asked.append(("batches that do not differ", SHARE, WAYS[0], 0.0))
    lines = [
        "| predicted cells in | ranked among | no effect | false | found |",
        "|---|---|---|---|---|",
    ]
    for name, mix, how, genes in asked:
        values = np.mean(
            [measure(mix, how, seed, genes=genes) for seed in range(study.SEEDS)], axis=0
        )
        numbers = f"{values[0]:.1f} | {values[1]:.1f} | {values[2]:.0%}"
        lines.append(f"| {name} | {how} | {numbers} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
