"""Every score of one board: by metric, model and held-out condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dygenept.errors import ResultsError
from dygenept.leaderboard.groups import GROUPINGS, REGIME
from dygenept.leaderboard.metric_table import Unit
from dygenept.leaderboard.saturation import regimes, saturation
from dygenept.results.records import MetricRecord, RunRecord
from dygenept.types import DoubleArray

ABSENT = np.inf
PARTS = ("subgroup", REGIME, "effect", "de_genes", "cell_type")


@dataclass(frozen=True)
class BoardScores:
    """The scores of one board.

    Attributes:
        records: Its records, one per model and fold.
        units: What was held out, sorted: fold, perturbation, cell type. Where a metric has a value
            for each gene these are units as well, called ``KLF1 (gene)``.
        values: By metric and model, a value for each unit: NaN where it is undefined, infinity
            where the model has none.
        reasons: By metric, model and unit, why a value is undefined.
    """

    records: Sequence[RunRecord]
    units: tuple[Unit, ...]
    values: Mapping[str, Mapping[str, DoubleArray]]
    reasons: Mapping[tuple[str, str, Unit], str]

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> BoardScores:
        """Lay records out.

        Args:
            records: Records of one group, one per model and fold.
        """
        units = sorted({unit for record in records for unit in _held_out(record)})
        place = {unit: number for number, unit in enumerate(units)}
        values: dict[str, dict[str, DoubleArray]] = {}
        reasons: dict[tuple[str, str, Unit], str] = {}
        for record in records:
            named: list[tuple[str, str]] = []
            places: list[int] = []
            for metric in record.metrics:
                of_model = values.setdefault(metric.name, {})
                if record.model not in of_model:
                    of_model[record.model] = np.full(len(units), ABSENT)
                # Nearly always those of the metric before.
                if (own := _named(metric)) != named:
                    named, places = own, [place[Unit(record.fold, *of)] for of in own]
                of_model[record.model][places] = [
                    np.nan if item.value is None else item.value for item in metric.values
                ]
                for item, of in zip(metric.values, own, strict=True):
                    if item.value is None and item.reason:
                        unit = Unit(record.fold, *of)
                        reasons[metric.name, record.model, unit] = item.reason
        return cls(records, tuple(units), values, reasons)

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the models, each once, in the order of the records."""
        return tuple(dict.fromkeys(record.model for record in self.records))

    @cached_property
    def roles(self) -> Mapping[str, str]:
        """Role of each model."""
        return {record.model: record.role for record in self.records}

    @cached_property
    def higher_is_better(self) -> Mapping[str, bool]:
        """Direction of each metric."""
        return {of.name: of.higher_is_better for record in self.records for of in record.metrics}

    def parts(self, metric: str) -> Mapping[str, Mapping[Unit, str] | str]:
        """Return the parts that the held-out conditions can be cut into.

        Args:
            metric: Regimes are cut by this one.

        Returns:
            By what they are cut: the part of each unit, or why there are none.
        """
        # Parts depend on one metric at most; the others would be read for nothing.
        slim = [
            record.model_copy(
                update={"metrics": tuple(of for of in record.metrics if of.name == metric)}
            )
            for record in self.records
        ]
        of_genes = any(of.unit == "gene" for record in slim for of in record.metrics)
        found: dict[str, Mapping[Unit, str] | str] = {}
        for by in PARTS:
            try:
                of_unit = regimes(saturation(slim, metric)) if by == REGIME else GROUPINGS[by](slim)
            except ResultsError as error:
                found[by] = str(error)
                continue
            if of_genes:
                of_unit = {
                    unit._replace(perturbation=named_gene(unit.perturbation)): part
                    for unit, part in of_unit.items()
                }
            found[by] = of_unit or f"no held-out perturbation has a {by}"
        return found


def _named(metric: MetricRecord) -> list[tuple[str, str]]:
    """Return perturbation (or gene, which may be called as one is) and cell type of each value."""
    if metric.unit == "gene":
        return [(named_gene(item.perturbation), item.cell_type) for item in metric.values]
    return [(item.perturbation, item.cell_type) for item in metric.values]


def named_gene(gene: str) -> str:
    """Return what a unit is called that is a gene, and no perturbation of it."""
    return f"{gene} (gene)"


def _held_out(record: RunRecord) -> set[Unit]:
    pairs = {of for metric in record.metrics for of in _named(metric)}
    return {Unit(record.fold, *of) for of in pairs}
