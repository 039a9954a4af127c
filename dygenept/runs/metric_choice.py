"""Which metrics a run scores, and what it computes once for them: tests, samples, halves, pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dygenept.data.de.tests import de_tests
from dygenept.errors import ConfigError, nearest
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.control_cells import ControlCells, control_half_means, count_controls
from dygenept.evaluation.held_out import HeldOutPool
from dygenept.evaluation.predicted_cells import CellTester
from dygenept.plugin.configured import ConfiguredPlugin
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import EffectMetric, Metric
from dygenept.plugin.specs import EffectMetricSpec, MetricSpec
from dygenept.runs.job_identity import job_seed
from dygenept.types import (
    DeTests,
    DoubleArray,
    EffectTable,
    MetricCells,
    PerturbationData,
    Pseudobulk,
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
    control_halves: DoubleArray | None = None
    has_singles: bool = False
    cell_tester: CellTester | None = None

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


def scoring_of(
    asked: Sequence[str],
    environment: Environment,
    data: PerturbationData,
    means: Pseudobulk,
    split: Split,
    *,
    seed: int,
) -> Scoring:
    """Choose the metrics of a run and compute what they read.

    Args:
        asked: Metrics by name; empty for those that boards show by default, the forms for few
            control cells among them where these are few.
        environment: Registry and plugins.
        data: The data set.
        means: Its means.
        split: Its folds; ranks are among what any of them holds out.
        seed: Seed of the run.

    Raises:
        ConfigError: If a metric does not score this kind of data set.
    """
    if data.effects is not None:
        return _scoring_effects(asked, environment, data.name, data.effects)
    if stray := set(asked) & set(environment.manager.names(EffectMetricSpec.kind)):
        raise ConfigError(f"{min(stray)} scores tables of effects, and {data.name!r} has cells")
    controls = count_controls(data, means)
    shown = ("default", "few_controls") if controls.are_few else ("default",)
    specs = environment.manager.specs(MetricSpec)
    names = asked or tuple(spec.name for spec in specs if spec.boards in shown)
    plugins = [environment.configured(MetricSpec, name) for name in names]
    uses_de_tests = any(plugin.spec.uses_de_tests for plugin in plugins)
    uses_cells = any(plugin.spec.uses_cells for plugin in plugins)
    uses_halves = any(plugin.spec.uses_control_halves for plugin in plugins)
    uses_predicted = any(plugin.spec.uses_predicted_cells for plugin in plugins)
    control_seed = job_seed(seed, "controls")
    return Scoring(
        metrics=tuple((plugin, plugin.spec.factory(plugin.options)) for plugin in plugins),
        de_tests=de_tests(data, means) if uses_de_tests else None,
        cells=cell_samples(data, means, seed=job_seed(seed, "cells")) if uses_cells else None,
        held_out=HeldOutPool(data, means, split.folds, seed=job_seed(seed, "halves")),
        controls=controls,
        control_seed=control_seed,
        control_halves=control_half_means(data, seed=control_seed) if uses_halves else None,
        cell_tester=CellTester(data) if uses_predicted else None,
        has_singles=any(plugin.spec.uses_singles for plugin in plugins),
    )


def _scoring_effects(
    asked: Sequence[str], environment: Environment, dataset: str, table: EffectTable
) -> Scoring:
    known = environment.manager.names(EffectMetricSpec.kind)
    for name in asked:
        if name not in known:
            raise ConfigError(
                f"{name} scores cells, and {dataset} is a table of effects; {nearest(name, known)}"
            )
    plugins = [environment.configured(EffectMetricSpec, name) for name in asked or known]
    fitting = [plugin for plugin in plugins if table.kind in plugin.spec.values]
    fitting.sort(key=lambda plugin: not plugin.spec.leads)
    if not fitting:
        raise ConfigError(f"none of {', '.join(asked)} scores {table.kind}")
    return Scoring(
        of_effects=tuple((plugin, plugin.spec.factory(plugin.options)) for plugin in fitting)
    )
