"""Which metrics a run scores, and what it computes once for them: tests, samples, halves, pools."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from dygenept.data.measured import Measured
from dygenept.data.pseudobulk import condition_counts
from dygenept.errors import ConfigError, nearest
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.control_cells import (
    ControlCells,
    ControlHalves,
    control_half_means,
    count_controls,
)
from dygenept.evaluation.held_out import HeldOutPool
from dygenept.evaluation.predicted_cells import CellTester
from dygenept.plugin.configured import ConfiguredPlugin
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import EffectMetric, Metric
from dygenept.plugin.specs import EffectMetricSpec, MetricSpec
from dygenept.runs.keys_and_seeds import job_seed
from dygenept.types import (
    DeTests,
    EffectTable,
    IntArray,
    MetricCells,
    MetricInputs,
    MetricValues,
    PerturbationData,
    Split,
)
from dygenept.types.results import Provenance


@dataclass(frozen=True, slots=True)
class Scoring:
    """What predictions are scored with.

    Attributes:
        metrics: Metrics, each with what computes it.
        de_tests: DE tests of every gene, where a metric reads them.
        cells: Samples of cells, where a metric reads them.
        of_effects: Metrics of a table of effects; ``metrics`` is empty then.
        held_out: What is held out in any fold, among which ranks are.
        controls: How many control cells there are.
        control_seed: Seed of their halves.
        control_halves: Means of the halves, where a metric reads them.
        has_singles: A metric reads the single perturbations of combinations.
        cell_tester: Tests predicted cells, where a metric reads them.
    """

    metrics: tuple[tuple[ConfiguredPlugin[MetricSpec], Metric], ...] = ()
    de_tests: DeTests | None = None
    cells: MetricCells | None = None
    of_effects: tuple[tuple[ConfiguredPlugin[EffectMetricSpec], EffectMetric], ...] = ()
    held_out: HeldOutPool | None = None
    controls: ControlCells | None = None
    control_seed: int = 0
    control_halves: ControlHalves | None = None
    has_singles: bool = False
    cell_tester: CellTester | None = None

    def sampled_batches(self, rows: IntArray) -> tuple[IntArray, ...] | None:
        """Return the batch of each sampled cell of some conditions; None where they have none.

        Args:
            rows: Positions of the conditions in the data set.
        """
        if self.cells is None:
            return None
        found = [self.cells.batches(row) for row in rows.tolist()]
        batches = tuple(own for own in found if own is not None)
        return batches if len(batches) == len(found) else None

    @property
    def uses_spread(self) -> bool:
        """True if a metric reads the spread that models may offer."""
        return any(plugin.spec.uses_spread for plugin, _ in self.metrics)

    @property
    def plugins(self) -> tuple[Provenance, ...]:
        """Where the metrics came from."""
        return (
            *(plugin.provenance for plugin, _ in self.metrics),
            *(plugin.provenance for plugin, _ in self.of_effects),
        )


@dataclass(frozen=True, slots=True)
class MetricChoice:
    """The metrics of a run.

    Attributes:
        metrics: Metrics of cells.
        of_effects: Metrics of a table of effects; ``metrics`` is empty then.
        controls: How many control cells there are.
    """

    metrics: tuple[ConfiguredPlugin[MetricSpec], ...] = ()
    of_effects: tuple[ConfiguredPlugin[EffectMetricSpec], ...] = ()
    controls: ControlCells | None = None

    def reads(self, what: str) -> bool:
        """Tell whether a metric declares something, such as ``uses_cells``."""
        return any(getattr(plugin.spec, what) for plugin in self.metrics)


class OneAtATime:
    """A metric that is not computed twice at the same time, whichever threads ask for it."""

    def __init__(self, metric: Metric) -> None:
        """Guard a metric."""
        self._metric, self._lock = metric, threading.Lock()

    def __call__(self, inputs: MetricInputs) -> MetricValues:
        """Wait for whoever computes it, then compute it."""
        with self._lock:
            return self._metric(inputs)


def choose_metrics(
    asked: Sequence[str], environment: Environment, data: PerturbationData
) -> MetricChoice:
    """Choose the metrics of a run.

    Args:
        asked: Metrics by name; empty for those that boards show by default, the forms for few
            control cells among them where these are few.
        environment: Registry and plugins.
        data: The data set.

    Raises:
        ConfigError: If a metric does not score this kind of data set.
    """
    if data.effects is not None:
        return _of_effects(asked, environment, data.name, data.effects)
    if stray := set(asked) & set(environment.manager.names(EffectMetricSpec.kind)):
        raise ConfigError(f"{min(stray)} scores tables of effects, and {data.name!r} has cells")
    controls = count_controls(data, condition_counts(data))
    shown = ("default", "few_controls") if controls.are_few else ("default",)
    specs = environment.manager.specs(MetricSpec)
    names = asked or tuple(spec.name for spec in specs if spec.boards in shown)
    plugins = tuple(environment.configured(MetricSpec, name) for name in names)
    return MetricChoice(metrics=plugins, controls=controls)


def scoring_of(
    choice: MetricChoice, data: PerturbationData, measured: Measured, split: Split, *, seed: int
) -> Scoring:
    """Make the metrics of a run and compute what they read.

    Args:
        choice: Which metrics.
        data: The data set.
        measured: Its means, and DE tests where a metric reads them.
        split: Its folds; ranks are among what any of them holds out.
        seed: Seed of the run.
    """
    if choice.of_effects:
        return Scoring(
            of_effects=tuple(
                (plugin, plugin.spec.factory(plugin.options)) for plugin in choice.of_effects
            )
        )
    means, control_seed = measured.means, job_seed(seed, "controls")
    predicts, uses_halves = (
        choice.reads("uses_predicted_cells"),
        choice.reads("uses_control_halves"),
    )
    # Models are asked for cells in the batches of those that are sampled.
    uses_cells = choice.reads("uses_cells") or (predicts and data.batches is not None)
    return Scoring(
        metrics=tuple((plugin, _made(plugin)) for plugin in choice.metrics),
        de_tests=measured.tests,
        cells=cell_samples(data, means, seed=job_seed(seed, "cells")) if uses_cells else None,
        held_out=HeldOutPool(data, means, split.folds, seed=job_seed(seed, "halves")),
        controls=choice.controls,
        control_seed=control_seed,
        control_halves=control_half_means(data, seed=control_seed) if uses_halves else None,
        cell_tester=CellTester(data) if predicts else None,
        has_singles=choice.reads("uses_singles"),
    )


def _made(plugin: ConfiguredPlugin[MetricSpec]) -> Metric:
    metric: Metric = plugin.spec.factory(plugin.options)
    return metric if plugin.spec.by_row or plugin.spec.concurrent else OneAtATime(metric)


def _of_effects(
    asked: Sequence[str], environment: Environment, dataset: str, table: EffectTable
) -> MetricChoice:
    known = environment.manager.names(EffectMetricSpec.kind)
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"{name} scores cells, and {dataset} is a table of effects; {nearest(name, known)}"
            )
    plugins = [environment.configured(EffectMetricSpec, name) for name in asked or known]
    fitting = [
        plugin
        for plugin in plugins
        if table.kind in plugin.spec.values and (asked or plugin.spec.by_default)
    ]
    fitting.sort(key=lambda plugin: not plugin.spec.leads)
    if not fitting:
        raise ConfigError(f"none of {', '.join(asked)} scores {table.kind}")
    return MetricChoice(of_effects=tuple(fitting))
