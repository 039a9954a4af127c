"""One half of the cells predicts the other: the noise ceiling.

Several random halvings are scored, each by itself, and their scores averaged: one halving of a few
cells is a noisy ceiling.
``technical_duplicate`` is that, and so is pessimistic: a prediction has half of the cells, and its
truth as well. Openproblems-bio, positive controls; Ahlmann-Eltze et al. 2025.
``corrected_duplicate`` is what its correlations would be if prediction and truth had all cells
each, by the Spearman-Brown formula 2r / (1 + r); other metrics are undefined. Spearman 1910; Brown
1910.
They load nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dygenept.evaluation.closed_form import cells_of_halves, scored_halves
from dygenept.machine.tables import rows_of
from dygenept.plugin import BaselineSpec, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, HeldOut, Predictions
from dygenept_plugins.baselines._halves import HalvesBaseline, HalvesConfig


class TechnicalDuplicate(HalvesBaseline):
    """ŷ = mean of one random half of the cells, scored against the other half."""

    def __init__(self, n_halves: int = 5, *, lengthening: float = 1.0) -> None:
        super().__init__("technical_duplicate", n_halves)
        self._lengthening = lengthening

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return one half as the prediction and the other as the truth, (n, G) each.

        A condition with one cell has no second half: its truth is NaN here, so it is undefined
        under every metric, and its prediction is the cell's own expression.

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        task, held_out, rows = self._held_out(conditions)
        first, *others = (
            scored_halves(
                tuple(rows_of(half, rows) for half in halves),
                rows_of(held_out.means, rows),
                tuple(conditions),
            )
            for halves in self._halves(held_out, task.runtime.seed)
        )
        return replace(
            first,
            others=tuple(others),
            n_cells=cells_of_halves(held_out, rows),
            lengthening=self._lengthening,
        )

    def _halves(self, held_out: HeldOut, seed: int) -> Iterator[DoubleArray]:
        """Draw halves one after the other, so that one halving is in memory at a time."""
        first, draw = held_out.half_means, held_out.draw_halves
        if first is None:
            raise PluginError(f"{self._name} reads halves of the cells, which the task lacks")
        yield first
        if draw is not None:
            rng = np.random.default_rng([seed, self._n_halves])
            for _ in range(self._n_halves - 1):
                yield draw(rng)


def duplicate_bytes(config: HalvesConfig, size: FitSize) -> int:
    """Bytes of all halvings, and of candidates of their own, where tables are in memory.

    Each halving keeps prediction and truth; one more makes three arrays while it is laid out. Ranks
    are among halves of all conditions: these, a copy of them with the halving's own truths, their
    change from control, and a copy by cell type.
    """
    if size.in_files:
        return 0
    of_held_out = (2 * config.n_halves + 3) * size.n_held_out
    return 8 * size.n_genes * (of_held_out + 4 * (size.n_known + size.n_held_out))


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return both ceilings."""
    return [
        BaselineSpec(
            name="technical_duplicate",
            summary="One random half of the cells scored against the other (noise ceiling).",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            config=HalvesConfig,
            factory=lambda config: TechnicalDuplicate(config.n_halves),
            role="ceiling",
            fit_bytes=duplicate_bytes,
        ),
        BaselineSpec(
            name="corrected_duplicate",
            summary="Correlations of technical_duplicate, corrected to all cells (ceiling).",
            source="Spearman 1910; Brown 1910",
            config=HalvesConfig,
            factory=lambda config: TechnicalDuplicate(config.n_halves, lengthening=2.0),
            role="ceiling",
            closed_form=False,
            fit_bytes=duplicate_bytes,
        ),
    ]
