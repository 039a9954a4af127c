"""Models that are given the truth: three ceilings, a corrected one, and a floor.

``truth`` predicts the truth itself: it must win every metric. This project.
``shuffled`` predicts the truth with its perturbation labels permuted: what knowing everything but
the label gives. A floor: a model that does not beat it has learned nothing about which gene was
perturbed. Openproblems-bio, negative controls.
In the others one half of the cells predicts the other. Several random halvings are scored, each by
itself, and their scores averaged: one halving of a few cells is a noisy ceiling.
``technical_duplicate`` is that, the noise ceiling, and so is pessimistic: a prediction has half of
the cells, and its truth as well. Openproblems-bio, positive controls; Ahlmann-Eltze et al. 2025.
``corrected_duplicate`` is what its correlations would be if prediction and truth had all cells
each, by the Spearman-Brown formula 2r / (1 + r); other metrics are undefined. Spearman 1910; Brown
1910.
``interpolated_duplicate`` predicts the other half where one shows an effect, and the mean
elsewhere. One half is the truth, the other the duplicate d. With m the mean of the train
perturbations and q, per gene, the adjusted p value of the duplicate against all other perturbed
cells of the cell type (see ``HalfTester``): ŷ = (1 - q) · d + q · m. A gene that shows no effect of
its own takes no noise from the duplicate, so that the ceiling stays above the mean where few cells
make ``technical_duplicate`` fall below it. Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304;
loads scipy. The others load nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from dygenept.evaluation.closed_form import cells_of_halves, require_held_out, scored_halves
from dygenept.evaluation.reference import train_view
from dygenept.machine.tables import empty_like, rows_of
from dygenept.plugin import BaselineSpec, PluginConfig, PluginError, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, FitWork, HeldOut, Predictions, Task


class HalvesConfig(PluginConfig):
    """Options of a ceiling from halved cells.

    Attributes:
        n_halves: Random halvings whose scores are averaged.
    """

    n_halves: int = Field(default=5, ge=1, le=1000)


class ToldTruth:
    """Keeps the task, which must show the truth.

    Args:
        name: Name of the ceiling or floor, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: Task | None = None

    def fit(self, task: Task) -> None:
        """Keep the task.

        Raises:
            PluginError: If the task hides the truth.
        """
        require_held_out(task, ())
        self._task = task

    def _held_out(self, conditions: Sequence[Condition]) -> tuple[Task, HeldOut, list[int]]:
        """Return the task, its truth and the truth's rows of some conditions.

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        if self._task is None:
            raise PluginError(f"{self._name} cannot predict before it is fitted; call fit")
        held_out, rows = require_held_out(self._task, conditions)
        return self._task, held_out, rows


class Truth(ToldTruth):
    """ŷ = y."""

    def __init__(self) -> None:
        super().__init__("truth")

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the truth, (n, G).

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        _, held_out, rows = self._held_out(conditions)
        return Predictions(conditions=tuple(conditions), expression=rows_of(held_out.means, rows))


class Shuffled(ToldTruth):
    """ŷ = the truth of another held-out perturbation of the same cell type."""

    def __init__(self) -> None:
        super().__init__("shuffled")
        self._shuffled: dict[Condition, DoubleArray] = {}

    def fit(self, task: Task) -> None:
        """Permute the held-out truth within each cell type so that none keeps its own.

        The permutation is one random cycle, seeded by the run. A cell type with one held-out
        perturbation has nothing to exchange, and takes a random train perturbation instead.

        Raises:
            PluginError: If the task hides the truth.
        """
        super().fit(task)
        held_out, _ = require_held_out(task, ())
        rng = np.random.default_rng(task.runtime.seed)
        self._shuffled = {}
        rows = {condition: row for row, condition in enumerate(held_out.conditions)}
        for cell_type in sorted({condition.cell_type for condition in rows}):
            members = sorted(item for item in rows if item.cell_type == cell_type)
            if len(members) == 1:
                choices = train_view(task, cell_type).means
                self._shuffled[members[0]] = choices[int(rng.integers(len(choices)))]
                continue
            order = rng.permutation(len(members)).tolist()
            for taker, giver in zip(order, order[1:] + order[:1], strict=True):
                self._shuffled[members[taker]] = held_out.means[rows[members[giver]]]

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Return the permuted truth, (n, G).

        Raises:
            PluginError: If it was not fitted, or a condition is not held out.
        """
        task, _, _ = self._held_out(conditions)
        shape = len(conditions), len(task.gene_ids)
        expression = empty_like(task.means, shape, np.float64)
        for row, condition in enumerate(conditions):
            expression[row] = self._shuffled[condition]
        return Predictions(conditions=tuple(conditions), expression=expression)


class TechnicalDuplicate(ToldTruth):
    """ŷ = mean of one random half of the cells, scored against the other half."""

    def __init__(self, n_halves: int = 5, *, lengthening: float = 1.0) -> None:
        super().__init__("technical_duplicate")
        self._n_halves, self._lengthening = n_halves, lengthening

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


class InterpolatedDuplicate(ToldTruth):
    """ŷ = (1 - q) · d + q · m, scored against the other half."""

    def __init__(self, n_halves: int = 5) -> None:
        super().__init__("interpolated_duplicate")
        self._n_halves = n_halves

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


def interpolated_bytes(config: HalvesConfig, size: FitSize) -> int:
    """Bytes of all halvings, and of the tests of one: arrays of held-out conditions × genes."""
    return 8 * (12 + 2 * config.n_halves) * size.n_held_out * size.n_genes


def truth_work(config: PluginConfig, size: FitSize) -> FitWork:
    """Steps of copying the truth."""
    return FitWork(passes=2 * size.n_held_out * size.n_genes)


def duplicate_work(config: HalvesConfig, size: FitSize) -> FitWork:
    """Steps of laying out halves, each of which is drawn and scored by itself."""
    passes = 6 * config.n_halves * size.n_held_out * size.n_genes
    return FitWork(passes=passes, halvings=config.n_halves)


def interpolated_work(config: HalvesConfig, size: FitSize) -> FitWork:
    """The same, and the tests of a half: about fifty operations on each value."""
    passes = 60 * config.n_halves * size.n_held_out * size.n_genes
    return FitWork(passes=passes, halvings=config.n_halves)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the ceilings and the floor."""
    return [
        BaselineSpec(
            name="shuffled",
            summary="Truth with perturbation labels permuted (floor).",
            source="openproblems-bio/task_perturbation_prediction, negative controls",
            factory=lambda config: Shuffled(),
            role="floor",
            reads_halves=False,
            fit_work=truth_work,
        ),
        BaselineSpec(
            name="technical_duplicate",
            summary="One random half of the cells scored against the other (noise ceiling).",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            config=HalvesConfig,
            factory=lambda config: TechnicalDuplicate(config.n_halves),
            role="ceiling",
            fit_bytes=duplicate_bytes,
            fit_work=duplicate_work,
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
            fit_work=duplicate_work,
        ),
        BaselineSpec(
            name="interpolated_duplicate",
            summary="Half of the cells where it shows an effect, else the mean (ceiling).",
            source="Miller, Mejia et al. 2025, bioRxiv 2025.10.20.683304",
            config=HalvesConfig,
            factory=lambda config: InterpolatedDuplicate(config.n_halves),
            role="ceiling",
            reads_halves=False,
            closed_form=False,
            fit_bytes=interpolated_bytes,
            fit_work=interpolated_work,
        ),
        BaselineSpec(
            name="truth",
            summary="The truth itself (ceiling).",
            source="this project",
            factory=lambda config: Truth(),
            role="ceiling",
            reads_halves=False,
            fit_work=truth_work,
        ),
    ]
