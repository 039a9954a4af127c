"""One half of the cells predicts the other where it shows an effect, and the mean elsewhere.

The cells of a perturbation are halved. One half is the truth, the other the duplicate d. With m the
mean of the train perturbations and q, per gene, the adjusted p value of the duplicate against all
other perturbed cells of the cell type (see ``HalfTester``): ŷ = (1 - q) · d + q · m. A gene that
shows no effect of its own takes no noise from the duplicate, so that the ceiling stays above the
mean where few cells make ``technical_duplicate`` fall below it. Several halvings are scored, and
their scores averaged.
Source: Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304. Loads scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dygenept.evaluation.closed_form import cells_of_halves, scored_halves
from dygenept.evaluation.reference import train_view
from dygenept.machine.tables import rows_of
from dygenept.plugin import BaselineSpec, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, Predictions
from dygenept_plugins.baselines._halves import HalvesBaseline, HalvesConfig


class InterpolatedDuplicate(HalvesBaseline):
    """ŷ = (1 - q) · d + q · m, scored against the other half."""

    def __init__(self, n_halves: int = 5) -> None:
        super().__init__("interpolated_duplicate", n_halves)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the interpolated half as the prediction and the other as the truth, (n, G) each.

        A condition with one cell has no second half: its truth is NaN here, so it is undefined
        under every metric.

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        task, held_out, rows = self._held_out(conditions)
        draw = held_out.draw_tested_halves
        if draw is None:
            raise PluginError("interpolated_duplicate needs cells to test, and the task has none")
        means = {
            kind: train_view(task, kind).mean
            for kind in sorted({condition.cell_type for condition in conditions})
        }
        mean: DoubleArray = np.array([means[condition.cell_type] for condition in conditions])
        rng = np.random.default_rng([task.runtime.seed, self._n_halves])
        draws = []
        for _ in range(self._n_halves):
            tested = draw(rng)
            halves = scored_halves(
                tuple(rows_of(half, rows) for half in tested.means),
                rows_of(held_out.means, rows),
                tuple(conditions),
            )
            share = tested.adjusted_p[rows]
            mixed = (1.0 - share) * halves.expression + share * mean
            draws.append(replace(halves, expression=mixed))
        first, *others = draws
        return replace(first, others=tuple(others), n_cells=cells_of_halves(held_out, rows))


def duplicate_bytes(config: HalvesConfig, size: FitSize) -> int:
    """Bytes of all halvings, and of the tests of one: arrays of held-out conditions × genes."""
    return 8 * (12 + 2 * config.n_halves) * size.n_held_out * size.n_genes


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the ceiling."""
    return [
        BaselineSpec(
            name="interpolated_duplicate",
            summary="Half of the cells where it shows an effect, else the mean (ceiling).",
            source="Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304",
            config=HalvesConfig,
            factory=lambda config: InterpolatedDuplicate(config.n_halves),
            role="ceiling",
            reads_halves=False,
            closed_form=False,
            fit_bytes=duplicate_bytes,
        )
    ]
